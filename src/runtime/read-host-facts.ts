import { existsSync, readdirSync, readFileSync } from "node:fs";
import { availableParallelism, release, totalmem } from "node:os";
import { OnggiError } from "../base/error.ts";
import type { Architecture, CgroupHierarchy, CgroupLayout, HostFacts } from "./compile/host-facts.ts";

const cgroupRoot = "/sys/fs/cgroup";

/**
 * Reads what of this host decides how containers are made.
 * @throws OnggiError `unsupported` on a processor that Onggi has no tables for, or without cgroups
 */
export function readHostFacts(): HostFacts {
  const kernel = kernelVersion(release());
  const isAtLeast = (major: number, minor: number) => kernel[0] > major || (kernel[0] === major && kernel[1] >= minor);
  return {
    architecture: architecture(),
    kernel,
    lastCapability: Number(readFileSync("/proc/sys/kernel/cap_last_cap", "utf8")),
    capabilities: boundingSet(readFileSync("/proc/self/status", "utf8")),
    features: {
      newMountApi: isAtLeast(5, 2),
      mountSetattr: isAtLeast(5, 12),
      seccomp: existsSync("/proc/sys/kernel/seccomp/actions_avail"),
    },
    cgroup: cgroupLayout(readFileSync("/proc/self/mountinfo", "utf8")),
    oomScoreAdj: Number(readFileSync("/proc/self/oom_score_adj", "utf8")),
    cpus: availableParallelism(),
    memoryBytes: totalmem(),
    machinePaths: throttlePaths(),
  };
}

function architecture(): Architecture {
  if (process.arch === "x64") return "x86_64";
  if (process.arch === "arm64") return "aarch64";
  throw new OnggiError("unsupported", `onggi doesn't run on ${process.arch} yet`, { hint: "Use x86_64 or arm64." });
}

function kernelVersion(text: string): [major: number, minor: number] {
  const [major = 0, minor = 0] = text.split(".").map((part) => Number.parseInt(part, 10));
  return [major, minor];
}

function boundingSet(status: string): bigint {
  const line = (name: string) => BigInt(`0x${new RegExp(`^${name}:\\s*(\\w+)$`, "m").exec(status)?.[1] ?? "0"}`);
  // Both: a right that root has no more can't be given, even where the bounds would allow it.
  return line("CapBnd") & line("CapPrm");
}

/**
 * Tells v1, v2 and hybrid from the mounts below /sys/fs/cgroup.
 * @see cgroups(7)
 */
export function cgroupLayout(mountinfo: string): CgroupLayout {
  const hierarchies: CgroupHierarchy[] = [];
  for (const line of mountinfo.trim().split("\n")) {
    const [mount = "", superblock = ""] = line.split(" - ", 2);
    const target = mount.split(" ")[4] ?? "";
    const [type, , options = ""] = superblock.split(" ");
    if (type !== "cgroup" && type !== "cgroup2") continue;
    if (target === cgroupRoot) return { version: "2", hierarchies: [] };
    if (!target.startsWith(`${cgroupRoot}/`)) continue;
    const name = target.slice(cgroupRoot.length + 1);
    if (hierarchies.some((known) => known.name === name)) continue;
    hierarchies.push({ name, type, option: type === "cgroup2" ? "" : controllers(options) });
  }
  if (hierarchies.length === 0) {
    throw new OnggiError("unsupported", "no cgroups are mounted below /sys/fs/cgroup", {
      hint: "Mount them: mount -t cgroup2 cgroup2 /sys/fs/cgroup",
    });
  }
  const isHybrid = hierarchies.some(({ type }) => type === "cgroup2");
  return { version: isHybrid ? "hybrid" : "1", hierarchies };
}

/** The superblock's options that pick the hierarchy: all but the flags of any file system. */
function controllers(options: string): string {
  const others = ["rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode"];
  const isChoice = (option: string) => !others.includes(option) && !option.startsWith("release_agent=");
  return options.split(",").filter(isChoice).join(",");
}

/** How often a processor was throttled tells one container what the others do: moby masks it too. */
function throttlePaths(): string[] {
  const root = "/sys/devices/system/cpu";
  if (!existsSync(root)) return [];
  const folders = readdirSync(root).filter((name) => /^cpu\d+$/.test(name));
  return folders.map((name) => `${root}/${name}/thermal_throttle`).filter((path) => existsSync(path));
}
