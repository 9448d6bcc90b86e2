import { readFileSync } from "node:fs";
import { join } from "node:path";

/** A kernel part that limits one resource, by its v2 name; v1 calls io `blkio`. */
export type Controller = "cpu" | "cpuacct" | "cpuset" | "memory" | "pids" | "io" | "devices" | "freezer";

/** Where a hierarchy is mounted. */
export interface HierarchyMount {
  readonly directory: string;
  /** The cgroup that the mount shows as its top, as the kernel names it; `/` but in a container. */
  readonly root: string;
}

/** What cgroup file systems a host has mounted. */
export interface CgroupLayout {
  readonly version: "1" | "2" | "hybrid";
  /** v1 controllers; those mounted together share a directory. */
  readonly v1: ReadonlyMap<Controller, HierarchyMount>;
  readonly v2:
    | (HierarchyMount & {
        readonly controllers: readonly Controller[] /** This process's own cgroup. */;
        readonly own: string;
      })
    | undefined;
}

const v1Names = new Map<string, Controller>([
  ["cpu", "cpu"],
  ["cpuacct", "cpuacct"],
  ["cpuset", "cpuset"],
  ["memory", "memory"],
  ["pids", "pids"],
  ["blkio", "io"],
  ["devices", "devices"],
  ["freezer", "freezer"],
]);

const v2Names: readonly Controller[] = ["cpu", "cpuset", "memory", "pids", "io"];

/** Reads what this host has. */
export function readLayout(): CgroupLayout {
  return parseLayout({
    mountinfo: readFileSync("/proc/self/mountinfo", "utf8"),
    selfCgroup: readFileSync("/proc/self/cgroup", "utf8"),
    controllersOf: (directory) => readFileSync(join(directory, "cgroup.controllers"), "utf8"),
  });
}

/**
 * Finds the hierarchies in `/proc/self/mountinfo` and `/proc/self/cgroup`.
 *
 * @see proc_pid_mountinfo(5), cgroups(7)
 */
export function parseLayout(files: {
  readonly mountinfo: string;
  readonly selfCgroup: string;
  controllersOf(v2Directory: string): string;
}): CgroupLayout {
  const v1 = new Map<Controller, HierarchyMount>();
  let v2Mount: HierarchyMount | undefined;
  for (const line of files.mountinfo.split("\n")) {
    const [mount = "", superblock = ""] = line.split(" - ");
    const [, , , root = "/", directory = ""] = mount.split(" ").map(unescapeOctal);
    const [type, , options = ""] = superblock.split(" ");
    if (type === "cgroup2") v2Mount ??= { directory, root };
    if (type !== "cgroup") continue;
    for (const option of options.split(",")) {
      const controller = v1Names.get(option);
      if (controller !== undefined && !v1.has(controller)) v1.set(controller, { directory, root });
    }
  }
  const v2 = v2Mount && {
    ...v2Mount,
    controllers: v2Names.filter((name) => words(files.controllersOf(v2Mount.directory)).includes(name)),
    own: /^0::(.*)$/m.exec(files.selfCgroup)?.[1] ?? "/",
  };
  return { version: v1.size === 0 ? "2" : v2 === undefined ? "1" : "hybrid", v1, v2 };
}

function words(text: string): readonly string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}

function unescapeOctal(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
