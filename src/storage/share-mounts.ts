import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { CLONE_NEWNS, MS_SLAVE, O_RDONLY } from "../program/kernel.ts";
import type { Op } from "../program/op.ts";
import { readMountTable } from "./mount-table.ts";
import type { DriverTools } from "./snapshotter.ts";

const run = promisify(execFile);

/**
 * Lets what is mounted below a directory from now on be seen by the executor, whose mount namespace is its own.
 *
 * On hosts with systemd all mounts are shared, and nothing is to be done. Elsewhere the directory becomes a shared mount of itself, of which the
 * executor gets a copy that follows it.
 */
export async function shareMounts(directory: string, { perform }: DriverTools): Promise<void> {
  if (isShared(directory)) return;
  await run("mount", ["--bind", directory, directory]);
  await run("mount", ["--make-shared", directory]);
  await perform(copyMount(directory, process.pid));
}

/** Takes the mount away again, where one was made; with something mounted below it, it stays. */
export async function unshareMounts(directory: string): Promise<void> {
  const mounts = readMountTable().map(({ mountPoint }) => mountPoint);
  if (!mounts.includes(directory) || mounts.some((path) => path.startsWith(`${directory}/`))) return;
  // Lazily: the records of this storage are still open.
  await run("umount", ["--lazy", directory]);
}

function isShared(directory: string): boolean {
  const around = readMountTable().filter(
    ({ mountPoint }) => mountPoint === "/" || directory === mountPoint || directory.startsWith(`${mountPoint}/`),
  );
  return around.toSorted((a, b) => a.mountPoint.length - b.mountPoint.length).at(-1)?.shared === true;
}

/** Into the namespace that it runs in, from that of a process. */
function copyMount(directory: string, pid: number): readonly Op[] {
  return [
    { op: "open", slot: "own", path: "/proc/self/ns/mnt", flags: O_RDONLY },
    { op: "open", slot: "theirs", path: `/proc/${pid}/ns/mnt`, flags: O_RDONLY },
    { op: "setns", slot: "theirs", flags: CLONE_NEWNS },
    { op: "openTree", slot: "tree", path: directory, recursive: true },
    { op: "setns", slot: "own", flags: CLONE_NEWNS },
    {
      op: "mountAttributes",
      slot: "tree",
      target: "",
      set: 0n,
      clear: 0n,
      propagation: MS_SLAVE,
      recursive: true,
    },
    { op: "moveMount", slot: "tree", target: directory },
  ];
}
