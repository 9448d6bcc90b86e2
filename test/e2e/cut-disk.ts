/** A disk whose power can be cut: a journaled ext4 in a file. What the file holds at a moment is what would be left. */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const calls = [
  "mkdir",
  "open",
  "write",
  "writeFile",
  "rename",
  "link",
  "symlink",
  "unlink",
  "rmdir",
  "rm",
  "chmod",
  "fsync",
  "fdatasync",
  "ftruncate",
  "truncate",
  "copyFile",
] as const;

/** Mounts a disk's file on a directory. */
export function mountDisk(file: string, directory: string): void {
  fs.mkdirSync(directory, { recursive: true });
  execFileSync("mount", ["-o", "loop", file, directory]);
}

/** The last of an engine's processes may be a moment behind its end. */
export async function unmountDisk(directory: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      execFileSync("umount", [directory], { stdio: "pipe" });
      return;
    } catch (error) {
      if (attempt === 100) throw error;
      await sleep(20);
    }
  }
}

export function makeDisk(file: string, megabytes: number): void {
  fs.writeFileSync(file, "");
  fs.truncateSync(file, megabytes * 2 ** 20);
  execFileSync("mkfs.ext4", ["-q", "-J", "size=4", "-E", "lazy_itable_init=0", file]);
}

/**
 * Calls `listener` before each change that this process makes to files, whichever face of `node:fs` it uses.
 *
 * @returns a function that ends it
 */
export function beforeEachChange(listener: (call: string) => void): () => void {
  let inside = false;
  const undo: (() => void)[] = [];
  const hook = (holder: Record<string, unknown>, name: string) => {
    const original = holder[name];
    if (typeof original !== "function") return;
    holder[name] = function hooked(this: unknown, ...args: unknown[]) {
      if (!inside && changes(name, args)) {
        inside = true;
        try {
          listener(name);
        } finally {
          inside = false;
        }
      }
      return Reflect.apply(original, this, args) as unknown;
    };
    undo.push(() => {
      holder[name] = original;
    });
  };
  for (const call of calls) {
    hook(fs as unknown as Record<string, unknown>, call);
    hook(fs as unknown as Record<string, unknown>, `${call}Sync`);
    hook(fs.promises as unknown as Record<string, unknown>, call);
  }
  syncBuiltinESMExports();
  return () => {
    for (const one of undo) one();
    syncBuiltinESMExports();
  };
}

/** Opening to read changes nothing. */
function changes(call: string, [, flags]: readonly unknown[]): boolean {
  if (!call.startsWith("open")) return true;
  return flags !== undefined && flags !== "r" && flags !== fs.constants.O_RDONLY;
}

/** A copy of the disk as it is now, without what the kernel hasn't written to it yet. */
export function copyDisk(file: string, folder: string, name: string): string {
  const copy = join(folder, name);
  execFileSync("cp", ["--sparse=always", "--reflink=auto", file, copy]);
  return copy;
}
