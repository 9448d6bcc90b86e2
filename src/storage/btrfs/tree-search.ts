import { constants } from "node:fs";
import type { Op } from "../../program/op.ts";
import { command } from "../../program/quote.ts";
import type { DriverTools } from "../snapshotter.ts";

/** `linux/btrfs.h`: the key is 104 bytes, then the buffer's size, then the buffer. */
const TREE_SEARCH_V2 = 0xc0709411;
const keyBytes = 104;
const headBytes = keyBytes + 8;
const itemHeadBytes = 32;
const bufferBytes = 256 * 1024;
/** An item lies in one node of the tree, which has 64 KiB at most. */
const maxItemBytes = 64 * 1024;
const maxU32 = 0xffffffff;
const maxU64 = 0xffffffffffffffffn;

/** The tree of all subvolumes. */
export const rootTree = 1n;
/** Kinds of items. */
export const INODE_ITEM = 1;
export const EXTENT_DATA = 108;
export const ROOT_REF = 156;

/** Where a search begins or ends: items are in the order of object, kind, offset. */
export interface ItemKey {
  readonly object: bigint;
  readonly kind: number;
  readonly offset: bigint;
}

export interface Item extends ItemKey {
  readonly data: Buffer;
}

export interface Search {
  /** Any directory of the file system. */
  readonly path: string;
  readonly tree: bigint;
  readonly from?: ItemKey;
  readonly to?: ItemKey;
  /** Leaves out what lies in leaves that no transaction since has written. */
  readonly sinceTransaction?: bigint;
}

const first: ItemKey = { object: 0n, kind: 0, offset: 0n };
const last: ItemKey = { object: maxU64, kind: maxU32, offset: maxU64 };

/** The items of one of btrfs's trees, as they are in memory now. */
export async function* searchTree(tools: Pick<DriverTools, "perform">, search: Search): AsyncIterable<Item> {
  let from: ItemKey | undefined = search.from ?? first;
  while (from !== undefined) {
    const [answer] = await tools.perform([searchOp(search, from)]);
    const items = answer === undefined ? [] : parseItems(answer);
    yield* items;
    const end = items.at(-1);
    from = end === undefined || hadRoom(items) ? undefined : after(end);
  }
}

export function searchOp({ path, tree, to = last, sinceTransaction = 0n }: Search, from: ItemKey): Op {
  const argument = Buffer.alloc(headBytes + bufferBytes);
  const numbers = [tree, from.object, to.object, from.offset, to.offset, sinceTransaction, maxU64];
  for (const [i, number] of numbers.entries()) argument.writeBigUInt64LE(number, 8 * i);
  argument.writeUInt32LE(from.kind, 56);
  argument.writeUInt32LE(to.kind, 60);
  argument.writeUInt32LE(maxU32, 64);
  argument.writeBigUInt64LE(BigInt(bufferBytes), keyBytes);
  const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
  const shell = command("btrfs", "inspect-internal", "dump-tree", "-t", String(tree), path);
  return { op: "ioctl", path, flags, request: TREE_SEARCH_V2, argument, shell };
}

export function parseItems(answer: Uint8Array): Item[] {
  const bytes = Buffer.from(answer.buffer, answer.byteOffset, answer.byteLength);
  const items: Item[] = [];
  let at = headBytes;
  for (let left = bytes.readUInt32LE(64); left > 0; left--) {
    const size = bytes.readUInt32LE(at + 28);
    items.push({
      object: bytes.readBigUInt64LE(at + 8),
      offset: bytes.readBigUInt64LE(at + 16),
      kind: bytes.readUInt32LE(at + 24),
      data: bytes.subarray(at + itemHeadBytes, at + itemHeadBytes + size),
    });
    at += itemHeadBytes + size;
  }
  return items;
}

/** Whether one more item of any size would have fitted: then there was none. */
function hadRoom(items: readonly Item[]): boolean {
  const used = items.reduce((sum, { data }) => sum + itemHeadBytes + data.length, 0);
  return used + itemHeadBytes + maxItemBytes <= bufferBytes;
}

function after({ object, kind, offset }: ItemKey): ItemKey | undefined {
  if (offset < maxU64) return { object, kind, offset: offset + 1n };
  if (kind < maxU32) return { object, kind: kind + 1, offset: 0n };
  return object < maxU64 ? { object: object + 1n, kind: 0, offset: 0n } : undefined;
}
