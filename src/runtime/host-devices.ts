import { lstatSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { OnggiError } from "../base/error.ts";
import type { Device } from "../oci/runtime-spec.ts";

/** Folders and files of /dev that a container has of its own. */
const own = new Set([
  "pts",
  "shm",
  "fd",
  "mqueue",
  "console",
  "ptmx",
  "stdin",
  "stdout",
  "stderr",
  ".udev",
  ".lxc",
  ".lxd-mounts",
]);

/**
 * Reads which device a path of the host is, to be found at another path in a container; of a folder, all devices in it.
 * @throws OnggiError `invalid` when it isn't there or is no device
 */
export function readDevices(hostPath: string, containerPath: string): readonly Device[] {
  const stat = statSync(hostPath, { throwIfNoEntry: false });
  const problem = `error gathering device information while adding custom device "${hostPath}"`;
  if (stat === undefined) throw new OnggiError("invalid", `${problem}: no such file or directory`);
  if (stat.isDirectory()) {
    const found = listBelow(hostPath).map((device) => ({
      ...device,
      path: join(containerPath, device.path.slice(hostPath.length)),
    }));
    if (found.length > 0) return found;
  }
  const device = deviceAt(hostPath);
  if (device === undefined) throw new OnggiError("invalid", `${problem}: not a device node`);
  return [{ ...device, path: containerPath }];
}

/** All devices of the host, as a privileged container has them. */
export function listHostDevices(): readonly Device[] {
  return listBelow("/dev");
}

function listBelow(folder: string): Device[] {
  const devices: Device[] = [];
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (own.has(entry.name)) continue;
    if (entry.isDirectory()) devices.push(...listBelow(path));
    else if (entry.isCharacterDevice() || entry.isBlockDevice()) {
      const device = deviceAt(path);
      if (device !== undefined) devices.push(device);
    }
  }
  return devices;
}

/** Follows a link, as `--device /dev/disk/by-id/…` is meant. Undefined: gone meanwhile, or no device. */
function deviceAt(path: string): Device | undefined {
  const stat = statSync(path, { throwIfNoEntry: false }) ?? lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined || !(stat.isCharacterDevice() || stat.isBlockDevice())) return undefined;
  const { major, minor } = numbersOf(stat.rdev);
  const type = stat.isBlockDevice() ? "b" : "c";
  return { type, path, major, minor, fileMode: stat.mode & 0o7777, uid: stat.uid, gid: stat.gid };
}

/** As glibc's gnu_dev_major and gnu_dev_minor take a 64-bit dev_t apart. */
function numbersOf(rdev: number): { major: number; minor: number } {
  const bits = BigInt(rdev);
  const major = Number(((bits >> 8n) & 0xfffn) | ((bits >> 32n) & ~0xfffn));
  const minor = Number((bits & 0xffn) | ((bits >> 12n) & ~0xffn & 0xffffffffn));
  return { major, minor };
}
