import { type FolderBlocks, folderBlocks } from "./folder.ts";
import {
  alignUp,
  chunkIndexBytes,
  compactInode,
  deviceSlotBytes,
  extendedInode,
  layoutChunks,
  layoutInline,
  layoutPlain,
  slotBytes,
  superBytes,
  superOffset,
} from "./format.ts";
import { type Node, S_IFDIR, S_IFLNK, S_IFMT, type Tree } from "./tree.ts";
import { XattrPool } from "./xattrs.ts";

/** An inode with its place. */
export interface PlacedInode {
  readonly node: Node;
  readonly offset: number;
  readonly isExtended: boolean;
  readonly xattrBytes: number;
  readonly layout: number;
  /** Of a folder. */
  readonly folder: FolderBlocks | undefined;
  /** Its first block, counted from the first after the inodes. */
  readonly firstBlock: number;
}

/** Where everything of an image lies. */
export interface Plan {
  readonly blockBytes: number;
  readonly pool: XattrPool;
  readonly inodes: readonly PlacedInode[];
  readonly deviceOffset: number;
  /** The first block after the inodes. */
  readonly dataBlock: number;
  readonly bytes: number;
  /** The time that a compact inode has. */
  readonly seconds: number;
}

/** What follows an inode and its attributes, and what it has elsewhere. */
interface Body {
  readonly layout: number;
  readonly inline: number;
  readonly indexes: number;
  readonly blocks: number;
  readonly folder: FolderBlocks | undefined;
}

/**
 * Gives each inode its place and number.
 *
 * The entries of one folder lie side by side, since who lists a folder asks for them all.
 */
export function layOut({ root, devices }: Tree, blockBytes: number): Plan {
  const pool = new XattrPool();
  const seconds = survey(root, pool);
  const inodes: PlacedInode[] = [];
  let at = superOffset + superBytes;
  let blocks = 0;

  const place = (node: Node, parent: Node): void => {
    const isExtended = needsExtended(node, seconds);
    const xattrBytes = pool.bytes(node.attributes);
    const head = (isExtended ? extendedInode : compactInode) + xattrBytes;
    const { layout, inline, indexes, blocks: own, folder } = bodyOf(node, parent, head, blockBytes);
    let offset = alignUp(at, slotBytes);
    const start = (offset + head) % blockBytes;
    // What lies inline must not cross a block's end; all else may.
    if (inline > 0 && start + inline > blockBytes) offset += alignUp(blockBytes - start, slotBytes);
    node.number = offset / slotBytes;
    at = offset + head + inline;
    if (indexes > 0) at = alignUp(at, chunkIndexBytes) + indexes * chunkIndexBytes;
    inodes.push({ node, offset, isExtended, xattrBytes, layout, folder, firstBlock: blocks });
    blocks += own;
  };

  const deviceOffset = at;
  at += devices.length * deviceSlotBytes;
  place(root, root);
  at = pool.place(at);
  // A stack, so that a folder's tree follows it.
  const folders = [root];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const node of folder.children?.values() ?? []) {
      if (node.number > 0) continue;
      place(node, folder);
      if (node.children !== undefined) folders.push(node);
    }
  }
  const dataBlock = Math.ceil(at / blockBytes);
  const bytes = alignUp((dataBlock + blocks) * blockBytes, pageBytes);
  return { blockBytes, pool, inodes, deviceOffset, dataBlock, bytes, seconds };
}

/** An image ends with a whole page, so that no read reaches beyond its end. */
const pageBytes = 4096;

/** Counts links and attributes. @returns the most frequent time, which compact inodes then have */
function survey(root: Node, pool: XattrPool): number {
  const all = [root];
  root.links = 0;
  const times = new Map<number, number>();
  for (let node = all.pop(); node !== undefined; node = all.pop()) {
    node.number = 0;
    for (const child of node.children?.values() ?? []) {
      child.links = 0;
      if (child.children !== undefined) all.push(child);
    }
  }
  all.push(root);
  root.links = 2;
  pool.count(root.attributes);
  for (let folder = all.pop(); folder !== undefined; folder = all.pop()) {
    for (const child of folder.children?.values() ?? []) {
      if (child.children !== undefined) {
        folder.links += 1;
        child.links = 2;
        all.push(child);
      } else if (++child.links > 1) continue;
      child.number = 0;
      pool.count(child.attributes);
      if (child.nanos === 0) times.set(child.seconds, (times.get(child.seconds) ?? 0) + 1);
    }
  }
  let best = 0;
  let most = 0;
  for (const [seconds, count] of times) {
    if (count <= most || seconds < 0) continue;
    best = seconds;
    most = count;
  }
  return best;
}

function needsExtended({ uid, gid, links, size, seconds, nanos }: Node, common: number): boolean {
  return uid > 0xffff || gid > 0xffff || links > 0xffff || size >= 2 ** 32 || seconds !== common || nanos !== 0;
}

function bodyOf(node: Node, parent: Node, head: number, blockBytes: number): Body {
  const type = node.mode & S_IFMT;
  const none = { layout: layoutPlain, inline: 0, indexes: 0, blocks: 0, folder: undefined };
  // A body begins at this offset in a block at the earliest.
  const room = blockBytes - (head % slotBytes);
  if (type === S_IFDIR) {
    const folder = folderBlocks(node, parent, blockBytes);
    const { length } = folder.ends;
    return folder.tail > room
      ? { ...none, blocks: length, folder }
      : { ...none, layout: layoutInline, inline: folder.tail, blocks: length - 1, folder };
  }
  if (type === S_IFLNK) {
    const { length } = node.target;
    return length > room || length >= blockBytes
      ? { ...none, blocks: Math.ceil(length / blockBytes) }
      : { ...none, layout: layoutInline, inline: length };
  }
  if (node.content === undefined) return none;
  return { ...none, layout: layoutChunks, indexes: node.content.chunks.length / 2 };
}
