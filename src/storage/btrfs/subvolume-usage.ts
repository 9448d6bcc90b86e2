import type { DriverTools, Usage } from "../snapshotter.ts";
import { EXTENT_DATA, INODE_ITEM, type Item, searchTree } from "./tree-search.ts";

/** `struct btrfs_file_extent_item`: what is inline begins here. */
const inlineOffset = 21;
const inline = 0;

export interface UsageQuery {
  /** Any directory of the file system. */
  readonly path: string;
  readonly subvolume: bigint;
  /** The first transaction whose writes count; 0 for all. */
  readonly since: bigint;
}

/**
 * Counts what was written to a subvolume since it was made: inodes that were made or changed, and the extents that are new in it.
 *
 * The kernel passes over whole branches of the tree that are older, so a clone of a large image costs what was changed in it.
 */
export async function subvolumeUsage(
  tools: Pick<DriverTools, "perform">,
  { path, subvolume, since }: UsageQuery,
): Promise<Usage> {
  const counted = new Set<bigint>();
  const total = { bytes: 0, inodes: 0 };
  for await (const item of searchTree(tools, { path, tree: subvolume, sinceTransaction: since })) {
    if (item.kind === INODE_ITEM && changedIn(item) >= since) total.inodes += 1;
    if (item.kind === EXTENT_DATA) total.bytes += newBytes(item, since, counted);
  }
  return total;
}

function changedIn({ data }: Item): bigint {
  return data.readBigUInt64LE(8);
}

/** What an extent takes on the disk, once, however many places of the subvolume show a part of it. */
function newBytes({ data }: Item, since: bigint, counted: Set<bigint>): number {
  if (data.readBigUInt64LE(0) < since) return 0;
  if (data.readUInt8(20) === inline) return data.length - inlineOffset;
  const place = data.readBigUInt64LE(inlineOffset);
  if (place === 0n || counted.has(place)) return 0;
  counted.add(place);
  return Number(data.readBigUInt64LE(inlineOffset + 8));
}
