import type { Executor, Worker } from "../executor/executor.ts";
import type { SpecMount } from "../oci/runtime-spec.ts";
import { CLONE_NEWNS, MNT_DETACH, MOUNT_ATTR_NODEV, MS_PRIVATE, MS_REC } from "../program/kernel.ts";
import type { Mount } from "../program/mount.ts";
import type { Op } from "../program/op.ts";
import type { HostFacts } from "../runtime/compile/host-facts.ts";
import { compileMounts } from "../runtime/compile/mounts.ts";
import { rootfs } from "../runtime/compile/rootfs.ts";

export interface PlaceParts {
  readonly executor: Executor;
  readonly facts: HostFacts;
  /** An empty directory to mount on, in a mount namespace that nobody else sees. */
  readonly staging: string;
}

/** A process by which a container's mounts are found. */
export interface Inhabitant {
  readonly pid: number;
  readonly startTime: bigint;
}

/** The kernel's own file systems: no files to copy, and one of them is as large as all addresses. */
const kernelFolders = ["/proc", "/sys", "/dev"];

/**
 * A worker inside a container that runs: it sees what the container's processes see, volumes and all, but for what the kernel shows there.
 *
 * Its mount namespace is a copy of its own: no device can be opened there, and no path leads out of the root, whatever the container does.
 */
export function enterContainer({ executor, facts }: PlaceParts, process: Inhabitant): Promise<Worker> {
  const without = kernelFolders.map((target): Op => {
    return { op: "umount", target, flags: MNT_DETACH, ignore: ["EINVAL", "ENOENT", "ENOTDIR"] };
  });
  return executor.work([...inOwnCopy(process), ...without, ...noDevices(facts), { op: "jail" }]);
}

/** A worker in the root file system of a container that runs, without what is mounted on it. */
export function enterRootfs({ executor, facts }: PlaceParts, process: Inhabitant): Promise<Worker> {
  return executor.work([
    ...inOwnCopy(process),
    { op: "openTree", slot: "root", path: "/", recursive: false },
    // It needs a place to be seen at; this one is there in every container.
    { op: "moveMount", slot: "root", target: "/proc" },
    { op: "chroot", path: "/proc" },
    { op: "chdir", path: "/" },
    ...noDevices(facts),
    { op: "jail" },
  ]);
}

/** A worker in a tree that nobody else has mounted; `volumes` are mounted on it. */
export function enterTree(
  { executor, facts, staging }: PlaceParts,
  mounts: readonly Mount[],
  volumes: readonly SpecMount[] = [],
): Promise<Worker> {
  const compiled = compileMounts(specOf(volumes), facts);
  return executor.work([
    { op: "unshare", flags: CLONE_NEWNS },
    ...compiled.host,
    ...rootfs({ root: { path: staging } }, facts, mounts),
    { op: "chroot", path: staging },
    { op: "chdir", path: "/" },
    ...compiled.volumes,
    ...noDevices(facts),
    { op: "jail" },
  ]);
}

/** A worker in a directory of the host's. */
export function enterDirectory({ executor }: PlaceParts, directory: string): Promise<Worker> {
  return executor.work([{ op: "chroot", path: directory }, { op: "chdir", path: "/" }, { op: "jail" }]);
}

function inOwnCopy({ pid, startTime }: Inhabitant): readonly Op[] {
  return [
    { op: "openProcess", slot: "process", pid, startTime },
    { op: "setns", slot: "process", flags: CLONE_NEWNS },
    { op: "unshare", flags: CLONE_NEWNS },
    { op: "mount", source: "none", target: "/", type: "", flags: MS_REC | MS_PRIVATE, data: "" },
  ];
}

/** Opening a device does something, and a container may put one in the place of a file just when that is read. */
function noDevices({ features }: HostFacts): readonly Op[] {
  if (!features.mountSetattr) return [];
  const set = BigInt(MOUNT_ATTR_NODEV);
  return [{ op: "mountAttributes", target: "/", set, clear: 0n, propagation: 0, recursive: true }];
}

/** As much of a spec as mounts need. */
function specOf(mounts: readonly SpecMount[]): Parameters<typeof compileMounts>[0] {
  return {
    ociVersion: "1.2.0",
    root: { path: "/" },
    mounts: [...mounts],
    process: { args: [], env: [], cwd: "/", user: { uid: 0, gid: 0 } },
    linux: { namespaces: [] },
  };
}
