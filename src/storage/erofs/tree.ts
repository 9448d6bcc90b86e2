import { bytesOf, textOf } from "../../base/byte-text.ts";

/** Bits of a mode that say what a file is: inode(7). */
export const S_IFMT = 0o170000;
export const S_IFREG = 0o100000;
export const S_IFDIR = 0o040000;
export const S_IFLNK = 0o120000;
export const S_IFCHR = 0o020000;
export const S_IFBLK = 0o060000;
export const S_IFIFO = 0o010000;
export const S_IFSOCK = 0o140000;

/** A name or a link's target with one character a byte: a file's name needn't be text, and is sorted by its bytes. */
export type ByteString = string;

/** Attribute values by full name (`user.x`). */
export type Attributes = ReadonlyMap<ByteString, Uint8Array>;

/** What stands for a hole where a block's number is due: EROFS_NULL_ADDR. */
export const holeBlock = 0xffff_ffff;

/** Where a file's content lies, in pieces ("chunks") of one size, which is a power of two. */
export interface Content {
  /** A chunk has `block size << chunkBits` bytes. */
  readonly chunkBits: number;
  /** Two numbers a chunk: which device holds it (1 is the tree's first), and its first block there or {@link holeBlock}. */
  readonly chunks: number[];
}

/**
 * One file of a tree. A hard link is the same node under two names.
 *
 * What a layer does to those below it is told as overlay does it: a whiteout is a character device 0:0.
 */
export interface Node {
  /** Type and permission bits. */
  mode: number;
  uid: number;
  gid: number;
  /** Seconds since the epoch, and nanoseconds beyond them. */
  seconds: number;
  nanos: number;
  attributes: Attributes;
  /** Bytes of a file's content, holes included. */
  readonly size: number;
  /** Of a file that isn't empty. */
  readonly content: Content | undefined;
  /** Of a symbolic link. */
  readonly target: ByteString;
  /** Of a device. */
  readonly major: number;
  readonly minor: number;
  /** Of a folder. */
  readonly children: Map<ByteString, Node> | undefined;
  /** Of a folder: what lies below in other layers isn't to be seen. */
  opaque: boolean;
  /** Of a folder: the archive doesn't tell of it, so that it looks like the one below, if there is one. */
  implied: boolean;
  /** Where its inode is in the image, while one is laid out or written: its number. */
  number: number;
  /** Names that it has, while an image is laid out. */
  links: number;
}

/** A tree and the files that its contents lie in: a content's device 1 is the first of them. */
export interface Tree {
  readonly root: Node;
  readonly devices: readonly Device[];
}

/** A file that an image points into. */
export interface Device {
  /** What the image says of it, 64 bytes at most: we have the SHA-256 of its content there. */
  readonly tag: string;
  readonly bytes: number;
}

export const noAttributes: Attributes = new Map();

/** A node with defaults for what isn't said. */
export function newNode(node: Partial<Node> & Pick<Node, "mode">): Node {
  // All fields in one order: the engine then has one shape for all nodes.
  return {
    mode: node.mode,
    uid: node.uid ?? 0,
    gid: node.gid ?? 0,
    seconds: node.seconds ?? 0,
    nanos: node.nanos ?? 0,
    attributes: node.attributes ?? noAttributes,
    size: node.size ?? 0,
    content: node.content,
    target: node.target ?? "",
    major: node.major ?? 0,
    minor: node.minor ?? 0,
    children: (node.mode & S_IFMT) === S_IFDIR ? (node.children ?? new Map()) : undefined,
    opaque: node.opaque ?? false,
    implied: node.implied ?? false,
    number: 0,
    links: 0,
  };
}

/** A folder that nothing was said of. */
export function impliedFolder(): Node {
  return newNode({ mode: S_IFDIR | 0o755, implied: true });
}

/** What hides a name of the layers below. */
export function whiteout(): Node {
  return newNode({ mode: S_IFCHR });
}

export function isWhiteout(node: Node): boolean {
  return (node.mode & S_IFMT) === S_IFCHR && node.major === 0 && node.minor === 0;
}

/** Text as the bytes that the kernel sees. */
export function toBytes(text: string): ByteString {
  return ascii.test(text) ? text : bytesOf(text).toString("latin1");
}

/** The other way, for messages. */
export function toText(bytes: ByteString): string {
  return ascii.test(bytes) ? bytes : textOf(Buffer.from(bytes, "latin1"));
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII is meant
const ascii = /^[\x00-\x7f]*$/;
