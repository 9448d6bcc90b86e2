import { lstat, opendir } from "node:fs/promises";
import { join } from "node:path";
import { isErrno } from "../base/errno.ts";
import type { Usage } from "./snapshotter.ts";

/**
 * Counts what a directory takes on its file system: blocks, and inodes with hard links once.
 *
 * Runs beside other work, a file at a time; entries that vanish meanwhile don't count.
 */
export async function treeUsage(directory: string): Promise<Usage> {
  const total = { bytes: 0, inodes: 0 };
  await add(directory, total, new Set());
  return total;
}

async function add(path: string, total: { bytes: number; inodes: number }, linked: Set<string>): Promise<void> {
  try {
    const stats = await lstat(path);
    if (stats.nlink > 1 && !stats.isDirectory()) {
      const inode = `${stats.dev}:${stats.ino}`;
      if (linked.has(inode)) return;
      linked.add(inode);
    }
    total.bytes += stats.blocks * 512;
    total.inodes += 1;
    if (!stats.isDirectory()) return;
    for await (const entry of await opendir(path)) await add(join(path, entry.name), total, linked);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}
