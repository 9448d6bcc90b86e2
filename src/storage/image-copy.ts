import { execFile } from "node:child_process";
import { chmodSync, mkdirSync } from "node:fs";
import { promisify } from "node:util";
import { copyTree } from "./copy-tree.ts";
import { syncFileSystem } from "./file-system.ts";
import type { SizedImages } from "./sized-image.ts";
import type { StorageLimit } from "./snapshotter.ts";
import { treeUsage } from "./tree-usage.ts";

const run = promisify(execFile);
const block = 4096;

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
  if (durable) await syncFileSystem(tree);
}

/** A limit is of what a container writes, so the copy comes on top. Bytes are counted as files show them: where the tree lies, it may be compressed. */
async function limitWithCopy(limit: StorageLimit, tree: string | undefined): Promise<StorageLimit> {
  if (tree === undefined) return limit;
  const { inodes } = await treeUsage(tree);
  const { bytes: room, inodes: count } = limit;
  return {
    ...(room === undefined ? {} : { bytes: room + (await shownBytes(tree)) + inodes * block }),
    ...(count === undefined ? {} : { inodes: count + inodes }),
  };
}

async function shownBytes(tree: string): Promise<number> {
  const { stdout } = await run("du", ["--summarize", "--one-file-system", "--bytes", "--", tree]);
  return Number.parseInt(stdout, 10);
}
