import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { isErrno } from "../../base/errno.ts";
import { fileSystemOf } from "../file-system.ts";
import type { OverlayFeatures } from "./mounts.ts";

const run = promisify(execFile);

/** Why these can't hold an upper directory: overlay needs trusted.* attributes, whiteouts and d_type of it. */
const refused = new Map([
  ["overlay", "overlay can't write onto another overlay, which that directory is on (a container's own file system?)"],
  ["aufs", "overlay can't write onto aufs, which that directory is on"],
  ["nfs", "overlay can't write onto NFS: it keeps neither whiteouts nor the attributes that overlay needs"],
  ["ecryptfs", "overlay can't write onto eCryptfs"],
  ["vfat", "overlay can't write onto FAT: it keeps neither owners nor attributes"],
  ["exfat", "overlay can't write onto exFAT: it keeps neither owners nor attributes"],
  ["cifs", "overlay can't write onto an SMB share: it keeps no whiteouts"],
  ["9p", "overlay can't write onto a 9p share: it keeps no whiteouts"],
]);

/** Whether overlay can have its layers in a directory: by what is known, then by really mounting one. */
export async function probeOverlay(directory: string): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return "mounting overlay needs root";
  const fileSystem = fileSystemOf(directory);
  const reason = refused.get(fileSystem);
  if (reason !== undefined) return reason;
  if ((await trial(directory)).base) return undefined;
  if (!kernelHasOverlay())
    return "the kernel has no overlay file system (CONFIG_OVERLAY_FS), and no module of that name could be loaded";
  return `the kernel refused to mount an overlay with its writable layer on ${fileSystem} (no d_type or no trusted.* attributes? for xfs: mkfs.xfs -n ftype=1), or this process may not mount`;
}

/** What more than the base this kernel's overlay takes. */
export async function overlayFeatures(directory: string): Promise<OverlayFeatures> {
  const { lowerdirPlus, volatile } = await trial(directory);
  return { lowerdirPlus, volatile };
}

/** Where a trial is made when it has no room where it belongs. */
const elsewhere = "/run";
const trialBytes = 256 * 1024;
const trialInodes = 64;

const trials = new Map<number, Promise<OverlayFeatures & { base: boolean }>>();

/** Mounts once a process and file system, in a mount namespace of its own that goes with the child. */
function trial(directory: string): Promise<OverlayFeatures & { base: boolean }> {
  const { dev } = statSync(directory);
  const done = trials.get(dev) ?? mountTrial(directory);
  trials.set(dev, done);
  return done;
}

async function mountTrial(directory: string): Promise<OverlayFeatures & { base: boolean }> {
  // On a disk that is full an overlay that is in use must stay in reach, be it to make room.
  const place = mkdtempSync(join(hasRoom(directory) ? directory : elsewhere, "onggi-trial-"));
  try {
    for (const name of ["a", "b", "upper", "work", "merged"]) mkdirSync(join(place, name));
    const { stdout } = await run("unshare", ["--mount", "--propagation", "private", "sh", "-c", script], {
      cwd: place,
    });
    return {
      base: stdout.includes("base"),
      lowerdirPlus: stdout.includes("plus"),
      volatile: stdout.includes("volatile"),
    };
  } catch (error) {
    if (isErrno(error, "ENOENT")) return { base: kernelHasOverlay(), lowerdirPlus: false, volatile: false };
    return { base: false, lowerdirPlus: false, volatile: false };
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

function hasRoom(directory: string): boolean {
  const { bavail, bsize, files, ffree } = statfsSync(directory);
  return bavail * bsize >= trialBytes && (files === 0 || ffree >= trialInodes);
}

/** A whiteout must be possible and entries must have types, or deletions and listings in containers would be wrong. */
const script = `
try() { mount -t overlay overlay -o "$1,upperdir=upper,workdir=work" merged 2>/dev/null && umount merged; }
try lowerdir=a:b,index=off,metacopy=off,redirect_dir=nofollow && mknod upper/whiteout c 0 0 2>/dev/null && echo base
try lowerdir+=a,lowerdir+=b && echo plus
try lowerdir=a,volatile && echo volatile
true`;

function kernelHasOverlay(): boolean {
  return /\boverlay$/m.test(readFileSync("/proc/filesystems", "utf8"));
}
