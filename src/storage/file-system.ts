import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, constants, copyFileSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { OnggiError } from "../base/error.ts";

const run = promisify(execFile);

/** Names of the file systems that storage asks about: statfs(2), `linux/magic.h`. */
const names = new Map<number, string>([
  [0xef53, "ext4"],
  [0x58465342, "xfs"],
  [0x9123683e, "btrfs"],
  [0x2fc12fc1, "zfs"],
  [0x01021994, "tmpfs"],
  [0x794c7630, "overlay"],
  [0x61756673, "aufs"],
  [0x6969, "nfs"],
  [0x65735546, "fuse"],
  [0xf15f, "ecryptfs"],
  [0xe0f5e1e2, "erofs"],
  [0x2011bab0, "exfat"],
  [0x4d44, "vfat"],
  [0xff534d42, "cifs"],
  [0x01021997, "9p"],
]);

/** The name of the file system that holds a directory, or its magic number in hexadecimal. */
export function fileSystemOf(directory: string): string {
  const type = statfsSync(directory).type >>> 0;
  return names.get(type) ?? `0x${type.toString(16)}`;
}

/** Whether copies in a directory can share their blocks (FICLONE): then overlay's copy-up and vfs's copies cost nothing. */
export function hasReflink(directory: string): boolean {
  const source = join(directory, `.reflink-${randomBytes(6).toString("hex")}`);
  const copy = `${source}-copy`;
  try {
    const file = openSync(source, "wx", 0o600);
    writeSync(file, "x".repeat(4096));
    closeSync(file);
    copyFileSync(source, copy, constants.COPYFILE_FICLONE_FORCE);
    return true;
  } catch {
    return false;
  } finally {
    rmSync(source, { force: true });
    rmSync(copy, { force: true });
  }
}

const waiting = new Map<string, Promise<void>>();
const running = new Map<string, Promise<void>>();

/**
 * Brings all that was written to a directory's file system to the disk (syncfs, which Node lacks, by coreutils' `sync`).
 * Calls while one is under way share the next.
 */
export function syncFileSystem(directory: string): Promise<void> {
  const next = waiting.get(directory);
  if (next !== undefined) return next;
  const before = running.get(directory) ?? Promise.resolve();
  const sync = before
    .catch(() => {})
    .then(() => {
      waiting.delete(directory);
      running.set(directory, sync);
      return syncNow(directory);
    });
  waiting.set(directory, sync);
  const forget = () => {
    if (running.get(directory) === sync) running.delete(directory);
  };
  sync.then(forget, forget);
  return sync;
}

async function syncNow(directory: string): Promise<void> {
  try {
    await run("sync", ["-f", directory]);
  } catch (cause) {
    throw new OnggiError("exhausted", `the file system of ${directory} can't be brought to the disk`, {
      hint: "Look for errors of the disk in the kernel's log, and whether it is full.",
      cause,
    });
  }
}
