import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { StorageLimit } from "./snapshotter.ts";
import { treeUsage } from "./tree-usage.ts";

const run = promisify(execFile);
const block = 4096;

/**
 * The limit of a file system into which a tree is copied first: a limit is of what a container writes, so the copy comes on top.
 *
 * Bytes are counted as files show them: where the tree lies, it may be compressed.
 */
export async function limitWithCopy(limit: StorageLimit, tree: string | undefined): Promise<StorageLimit> {
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
