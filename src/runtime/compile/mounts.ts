import { posix } from "node:path";
import { OnggiError } from "../../base/error.ts";
import type { Spec, SpecMount } from "../../oci/runtime-spec.ts";
import {
  CLONE_NEWNS,
  MOUNT_ATTR__ATIME,
  MOUNT_ATTR_NOATIME,
  MOUNT_ATTR_STRICTATIME,
  MS_BIND,
  MS_NODEV,
  MS_NOEXEC,
  MS_NOSUID,
  MS_PRIVATE,
  MS_RDONLY,
  MS_REC,
  MS_RELATIME,
  MS_REMOUNT,
  MS_SHARED,
  O_RDONLY,
  openFlags,
} from "../../program/kernel.ts";
import type { Op, Slot } from "../../program/op.ts";
import type { HostFacts } from "./host-facts.ts";
import { attributesOf, type MountOptions, parseMountOptions } from "./mount-options.ts";

/** The mounts of a spec, apart by when they are made. */
export interface CompiledMounts {
  /** On the host: sources of bind mounts become detached mounts, so no path of the host is needed later. */
  readonly host: readonly Op[];
  /** After the pivot, what lies in /proc, /sys and /dev. */
  readonly kernel: readonly Op[];
  /** After paths are masked, all others: what a volume holds can't reach the masking. */
  readonly volumes: readonly Op[];
}

/** Where the kernel shows itself: mounted first, each on a folder that is really there. */
const kernelRoots = ["/proc", "/sys", "/dev"];

/** What may be put over a file of /proc: lxcfs and its like do; anything else would hide the masking. As runc has it. */
const allowedInProc = [
  "/proc/cpuinfo",
  "/proc/diskstats",
  "/proc/meminfo",
  "/proc/stat",
  "/proc/swaps",
  "/proc/uptime",
  "/proc/loadavg",
  "/proc/slabinfo",
  "/proc/sys/kernel/ns_last_pid",
  "/proc/sys/crypto/fips_enabled",
];

/** Compiles the mounts of a spec; each group keeps the spec's order. */
export function compileMounts(spec: Spec, host: HostFacts): CompiledMounts {
  const hostOps: Op[] = [];
  const kernel: Op[] = [];
  const volumes: Op[] = [];
  const slots = new Set<Slot>();
  for (const [index, mount] of spec.mounts.entries()) {
    const destination = posix.normalize(posix.join("/", mount.destination)).replace(/(?<=.)\/$/, "");
    const isKernels = kernelRoots.some((root) => destination === root || destination.startsWith(`${root}/`));
    const options = parseMountOptions(mount.options ?? [], mount.type);
    checkTarget(destination, mount, options);
    const ops = isKernels ? kernel : volumes;
    if (kernelRoots.includes(destination)) ops.push(...realFolder(destination, host));
    if (mount.type === "cgroup" || mount.type === "cgroup2")
      ops.push(...cgroupMounts(destination, options, host, spec));
    else if (options.bind === "none") ops.push(...newMount(mount, destination, options));
    else {
      const slot: Slot = slots.has(destination) ? `${destination} (${index})` : destination;
      slots.add(slot);
      hostOps.push(...openSource(slot, mount, options, host));
      ops.push({ op: "moveMount", slot, target: destination, create: "like" });
      if (!host.features.mountSetattr) ops.push(...remount(destination, options));
    }
  }
  if (needsHostNamespace(spec)) hostOps.splice(0, hostOps.length, ...inHostNamespace(hostOps));
  return { host: hostOps, kernel, volumes };
}

function checkTarget(destination: string, mount: SpecMount, options: MountOptions): void {
  if (destination === "/") throw new OnggiError("invalid", "invalid specification: destination can't be '/'");
  const isProcItself = destination === "/proc" && (mount.type === "proc" || options.bind !== "none");
  const isInProc = destination === "/proc" || destination.startsWith("/proc/");
  if (!isInProc || isProcItself || allowedInProc.includes(destination)) return;
  throw new OnggiError("invalid", `"${destination}" cannot be mounted because it is inside /proc`, {
    hint: "Mount it somewhere else: what lies over /proc could hide that the kernel's own files are masked.",
  });
}

/** Makes the folder if it isn't there and refuses a link: mounted behind one, the kernel's files would escape the masks. */
function* realFolder(path: string, { architecture }: HostFacts): Iterable<Op> {
  const { O_PATH, O_DIRECTORY, O_NOFOLLOW } = openFlags[architecture];
  yield { op: "mkdir", path, mode: 0o755, ignore: ["EEXIST"] };
  yield { op: "open", slot: `folder ${path}`, path, flags: O_PATH | O_DIRECTORY | O_NOFOLLOW };
}

function* newMount(mount: SpecMount, target: string, options: MountOptions): Iterable<Op> {
  const type = mount.type ?? "";
  const source = mount.source ?? type;
  yield { op: "mount", source, target, type, flags: options.flags, data: options.data.join(","), create: "dir" };
  // A new mount is private; all else is said in a second call: mount(2).
  if (options.propagation !== 0 && (options.propagation & MS_PRIVATE) === 0) {
    yield { op: "mount", source: "none", target, type: "", flags: options.propagation, data: "" };
  }
}

function* openSource(slot: Slot, mount: SpecMount, options: MountOptions, host: HostFacts): Iterable<Op> {
  if (!host.features.newMountApi) {
    throw new OnggiError("unsupported", `bind mount of ${mount.source}: this kernel has no open_tree(2)`, {
      hint: "Use Linux 5.2 or newer.",
    });
  }
  if (mount.source === undefined) throw new OnggiError("invalid", `bind mount on ${mount.destination} has no source`);
  const recursive = options.bind === "recursive";
  if (options.subdirectory === undefined) yield { op: "openTree", slot, path: mount.source, recursive };
  else {
    // Found and taken in one step, from inside the source: whoever turns the folder into a link meanwhile stays inside.
    yield { op: "chdir", path: mount.source };
    yield { op: "openTree", slot, path: options.subdirectory, recursive };
    yield { op: "chdir", path: "/" };
  }
  if (!host.features.mountSetattr) return;
  const wanted = options.propagation === 0 ? MS_PRIVATE | MS_REC : options.propagation;
  const isDeep = recursive && (wanted & MS_REC) !== 0;
  const all = attributesOf(options.recursiveFlags);
  const top = attributesOf(options.flags);
  yield attributes(slot, all | (isDeep ? 0 : top), wanted & ~MS_REC, isDeep || all !== 0);
  if (isDeep && top !== 0) yield attributes(slot, top, 0, false);
}

function attributes(slot: Slot, set: number, propagation: number, recursive: boolean): Op {
  // The access times are one field, not flags: it must be cleared to be set (mount_setattr(2)).
  const clear = (set & (MOUNT_ATTR_NOATIME | MOUNT_ATTR_STRICTATIME)) === 0 ? 0n : BigInt(MOUNT_ATTR__ATIME);
  return { op: "mountAttributes", slot, target: "", set: BigInt(set), clear, propagation, recursive };
}

/** What mount_setattr(2) does, for kernels without it: by the path, of the one mount. */
function* remount(target: string, options: MountOptions): Iterable<Op> {
  const propagation = options.propagation === 0 ? MS_PRIVATE | MS_REC : options.propagation;
  yield { op: "mount", source: "none", target, type: "", flags: propagation, data: "" };
  const flags = options.flags | options.recursiveFlags;
  if (flags !== 0) {
    yield { op: "mount", source: "none", target, type: "", flags: MS_REMOUNT | MS_BIND | flags, data: "" };
  }
}

/**
 * The container's cgroups as its cgroup namespace shows them: one mount on v2, a tmpfs with one a hierarchy on v1.
 *
 * Of v1 only the hierarchies in which the container has a group of its own are shown: in the others it is in the host's root, which
 * would name all containers to it. A privileged container has all.
 */
function* cgroupMounts(target: string, options: MountOptions, { cgroup }: HostFacts, spec: Spec): Iterable<Op> {
  const readonly = options.flags & MS_RDONLY;
  const flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RELATIME;
  if (cgroup.version === "2") {
    yield { op: "mount", source: "cgroup", target, type: "cgroup2", flags: flags | readonly, data: "", create: "dir" };
    return;
  }
  const data = "mode=755,size=65536k";
  yield { op: "mount", source: "tmpfs", target, type: "tmpfs", flags, data, create: "dir" };
  for (const { name, type, option } of cgroup.hierarchies.filter(
    (hierarchy) => readonly === 0 || hasOwnGroup(hierarchy, spec),
  )) {
    const at = `${target}/${name}`;
    yield { op: "mkdir", path: at, mode: 0o755 };
    yield { op: "mount", source: "cgroup", target: at, type, flags: flags | readonly, data: option };
    // Programs look for `cpu` where the host has `cpu,cpuacct`.
    if (name.includes(",")) {
      for (const alias of name.split(",")) yield { op: "symlink", target: name, path: `${target}/${alias}` };
    }
  }
  if (readonly !== 0) {
    const ro = MS_REMOUNT | MS_BIND | MS_RDONLY | flags;
    yield { op: "mount", source: "none", target, type: "", flags: ro, data: "" };
  }
}

/** As `src/cgroup` makes them: these always, these when asked. */
function hasOwnGroup({ option }: { readonly option: string }, { linux }: Spec): boolean {
  const { cpu, blockIO } = linux.resources ?? {};
  const controllers = option.split(",");
  if (controllers.some((name) => ["cpu", "cpuacct", "memory", "pids"].includes(name))) return true;
  if (controllers.includes("cpuset")) return cpu?.cpus !== undefined || cpu?.mems !== undefined;
  return controllers.includes("blkio") && blockIO?.weight !== undefined;
}

/** A bind that shall give mounts back to the host must be a copy of the host's own mount, not of the spawner's slave. */
function needsHostNamespace(spec: Spec): boolean {
  return spec.mounts.some((mount) => {
    const options = parseMountOptions(mount.options ?? [], mount.type);
    return options.bind !== "none" && (options.propagation & MS_SHARED) !== 0;
  });
}

function* inHostNamespace(ops: readonly Op[]): Iterable<Op> {
  yield { op: "open", slot: "own mounts", path: "/proc/self/ns/mnt", flags: O_RDONLY };
  yield { op: "open", slot: "host mounts", path: "/proc/1/ns/mnt", flags: O_RDONLY };
  yield { op: "setns", slot: "host mounts", flags: CLONE_NEWNS };
  yield* ops;
  yield { op: "setns", slot: "own mounts", flags: CLONE_NEWNS };
}
