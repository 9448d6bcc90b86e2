import { execFile } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { isErrno } from "../base/errno.ts";
import { copyTree } from "./copy-tree.ts";
import { syncFileSystem } from "./file-system.ts";
import { driverInodes, type SizedImages } from "./sized-image.ts";
import type { StorageLimit, Usage } from "./snapshotter.ts";
import { treeUsage } from "./tree-usage.ts";

const run = promisify(execFile);
const block = 4096;
/** What ext4 keeps from programs, of all that it has room for; that of the copy isn't the container's. */
const keptPart = 0.02;

export interface ImageCopy {
  readonly limit: StorageLimit;
  readonly durable: boolean;
  /** The tree to copy; undefined for an empty one. */
  readonly below: string | undefined;
  /** Where it goes, once the image is mounted. */
  readonly tree: string;
}

/**
 * Makes a tree in a file system of a certain size, for drivers whose own trees know no such limit: a copy of the one it stands on.
 */
export async function copyIntoImage(
  images: SizedImages,
  id: string,
  { limit, durable, below, tree }: ImageCopy,
): Promise<void> {
  await images.create(id, await limitWithCopy(limit, below), { durable });
  mkdirSync(tree, { recursive: true, mode: 0o755 });
  if (below === undefined)
    chmodSync(tree, 0o755); // mkdir's mode is subject to the umask
  else await copyTree(below, tree);
  writeFileSync(copiedFile(tree), "", { mode: 0o600 }); // Counts, too.
  writeFileSync(copiedFile(tree), JSON.stringify(images.usage(id)), { mode: 0o600 });
  if (durable) await syncFileSystem(tree);
}

/** What was written to such a tree since. */
export function usageBeyondCopy(images: SizedImages, id: string, tree: string): Usage {
  const { bytes, inodes, free } = images.usage(id);
  const copied = readCopied(tree);
  const own = { bytes: Math.max(0, bytes - copied.bytes), inodes: Math.max(0, inodes - copied.inodes) };
  if (free === undefined) return own;
  return { ...own, free: { ...free, bytes: Math.max(0, Math.floor(free.bytes - copied.bytes * keptPart)) } };
}

/** Beside the tree: how much its file system held when it was made. */
function copiedFile(tree: string): string {
  return join(dirname(tree), "copied.json");
}

function readCopied(tree: string): Usage {
  try {
    return JSON.parse(readFileSync(copiedFile(tree), "utf8")) as Usage;
  } catch (error) {
    if (isErrno(error, "ENOENT") || error instanceof SyntaxError) return { bytes: 0, inodes: 0 };
    throw error;
  }
}

/** A limit is of what a container writes, so the copy comes on top. Bytes are counted as files show them: where the tree lies, it may be compressed. */
async function limitWithCopy(limit: StorageLimit, tree: string | undefined): Promise<StorageLimit> {
  const { inodes } = tree === undefined ? { inodes: 1 } : await treeUsage(tree);
  const { bytes: room, inodes: count } = limit;
  const shown = room === undefined || tree === undefined ? 0 : await shownBytes(tree);
  return {
    ...(room === undefined ? {} : { bytes: room + shown + inodes * block }),
    // The tree's folder is among those copied, and there is one file beside it.
    ...(count === undefined ? {} : { inodes: count + inodes + 1 - driverInodes }),
  };
}

async function shownBytes(tree: string): Promise<number> {
  const { stdout } = await run("du", ["--summarize", "--one-file-system", "--bytes", "--", tree]);
  return Number.parseInt(stdout, 10);
}
