import { posix } from "node:path";
import type { Device, Spec } from "../../oci/runtime-spec.ts";
import { S_IFBLK, S_IFCHR, S_IFIFO } from "../../program/kernel.ts";
import type { Op } from "../../program/op.ts";
import { parseMountOptions } from "./mount-options.ts";

/** Every container has these: runtime-spec, "Default Devices". */
export const defaultDevices: readonly Device[] = [
  { type: "c", path: "/dev/null", major: 1, minor: 3, fileMode: 0o666 },
  { type: "c", path: "/dev/zero", major: 1, minor: 5, fileMode: 0o666 },
  { type: "c", path: "/dev/full", major: 1, minor: 7, fileMode: 0o666 },
  { type: "c", path: "/dev/random", major: 1, minor: 8, fileMode: 0o666 },
  { type: "c", path: "/dev/urandom", major: 1, minor: 9, fileMode: 0o666 },
  { type: "c", path: "/dev/tty", major: 5, minor: 0, fileMode: 0o666 },
];

const links: readonly (readonly [path: string, target: string])[] = [
  ["/dev/fd", "/proc/self/fd"],
  ["/dev/stdin", "/proc/self/fd/0"],
  ["/dev/stdout", "/proc/self/fd/1"],
  ["/dev/stderr", "/proc/self/fd/2"],
  ["/dev/ptmx", "pts/ptmx"],
  ["/dev/core", "/proc/kcore"],
];

/** Fills /dev, unless it is a bind mount of somebody else's. */
export function* devices(spec: Spec): Iterable<Op> {
  const dev = spec.mounts.find(({ destination }) => posix.normalize(destination) === "/dev");
  if (dev === undefined || parseMountOptions(dev.options ?? [], dev.type).bind !== "none") return;
  const mounted = spec.mounts.map(({ destination }) => posix.normalize(destination));
  const paths = new Set(mounted); // what a user mounts over a device is there already
  const folders = new Set(["/dev", "/", ...mounted]);
  for (const device of [...defaultDevices, ...(spec.linux.devices ?? [])]) {
    const path = posix.normalize(device.path);
    if (paths.has(path) || links.some(([link]) => link === path)) continue;
    paths.add(path);
    const folder = posix.dirname(path);
    if (!folders.has(folder)) yield { op: "mkdir", path: folder, mode: 0o755, parents: true, ignore: ["EEXIST"] };
    folders.add(folder);
    yield* node({ ...device, path });
  }
  for (const [path, target] of links) if (!paths.has(path)) yield { op: "symlink", target, path };
}

const types: Readonly<Record<Device["type"], number>> = { c: S_IFCHR, u: S_IFCHR, b: S_IFBLK, p: S_IFIFO };

function* node({ path, type, major, minor, fileMode = 0o666, uid = 0, gid = 0 }: Device): Iterable<Op> {
  yield { op: "mknod", path, mode: types[type] | (fileMode & 0o7777), major, minor };
  if (uid !== 0 || gid !== 0) yield { op: "chown", path, uid, gid };
}
