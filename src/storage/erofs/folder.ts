import { direntBytes, direntTypes } from "./format.ts";
import type { ByteString, Node } from "./tree.ts";

/** One name in a folder. */
export interface Entry {
  readonly name: ByteString;
  readonly node: Node;
}

/** A folder's names as they are written: sorted by bytes with `.` and `..` among them, cut into blocks. */
export interface FolderBlocks {
  readonly entries: readonly Entry[];
  /** For each block the index of the entry after its last. */
  readonly ends: readonly number[];
  /** Bytes used of the last block. */
  readonly tail: number;
  /** The folder's size: whole blocks, and what is used of the last. */
  readonly bytes: number;
}

/** The kernel looks a name up by halving, among blocks and then in one, so that all have to be in order. */
export function folderBlocks(folder: Node, parent: Node, blockBytes: number): FolderBlocks {
  const entries: Entry[] = [
    { name: ".", node: folder },
    { name: "..", node: parent },
  ];
  for (const [name, node] of folder.children ?? []) entries.push({ name, node });
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));

  const ends: number[] = [];
  let used = 0;
  for (const [index, { name }] of entries.entries()) {
    const bytes = direntBytes + name.length;
    if (used + bytes > blockBytes) {
      ends.push(index);
      used = 0;
    }
    used += bytes;
  }
  ends.push(entries.length);
  return { entries, ends, tail: used, bytes: (ends.length - 1) * blockBytes + used };
}

/** Writes one block of a folder: its entries, then their names. */
export function writeFolderBlock(image: Buffer, offset: number, entries: readonly Entry[]): void {
  let at = offset;
  let nameOffset = entries.length * direntBytes;
  for (const { name, node } of entries) {
    image.writeUInt32LE(node.number >>> 0, at);
    image.writeUInt32LE(Math.floor(node.number / 2 ** 32), at + 4);
    image.writeUInt16LE(nameOffset, at + 8);
    image.writeUInt8(direntTypes[node.mode >>> 12] ?? 0, at + 10);
    image.write(name, offset + nameOffset, "latin1");
    nameOffset += name.length;
    at += direntBytes;
  }
}

/** The names in one block of a folder, with the numbers of their inodes; `bytes` of it are in use. */
export function* readFolderBlock(
  image: Buffer,
  offset: number,
  bytes: number,
): Iterable<{ readonly name: ByteString; readonly number: number }> {
  const count = Math.floor(image.readUInt16LE(offset + 8) / direntBytes);
  for (let index = 0; index < count; index++) {
    const at = offset + index * direntBytes;
    const start = image.readUInt16LE(at + 8);
    const end = index + 1 < count ? image.readUInt16LE(at + direntBytes + 8) : bytes;
    const name = image.toString("latin1", offset + start, offset + end);
    const nul = index + 1 < count ? -1 : name.indexOf("\0");
    const number = image.readUInt32LE(at) + image.readUInt32LE(at + 4) * 2 ** 32;
    yield { name: nul === -1 ? name : name.slice(0, nul), number };
  }
}
