import { OnggiError } from "../../base/error.ts";
import { readFolderBlock } from "./folder.ts";
import {
  alignUp,
  chunkIndexBytes,
  chunkIndexes,
  compactField,
  compactInode,
  decodeDevice,
  deviceSlotBytes,
  deviceTagBytes,
  extendedField,
  extendedInode,
  inodeField,
  layoutChunks,
  layoutInline,
  slotBytes,
  superField,
  superMagic,
  superOffset,
  xattrHeaderBytes,
} from "./format.ts";
import {
  type ByteString,
  type Content,
  type Device,
  type Node,
  newNode,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  type Tree,
} from "./tree.ts";
import { readXattrs } from "./xattrs.ts";

/**
 * Reads an image that {@link writeImage} made.
 *
 * @throws OnggiError `corrupt` for what can't be read; whether all is as it was written, only its digest can tell
 */
export function readImage(image: Buffer): Tree {
  try {
    return new ImageReader(image).read();
  } catch (cause) {
    if (cause instanceof OnggiError) throw cause;
    throw new OnggiError("corrupt", "the EROFS image is damaged", { cause });
  }
}

interface Inode {
  readonly mode: number;
  readonly layout: number;
  readonly size: number;
  readonly union: number;
  readonly xattrs: number;
  /** Where its inline data or its chunk indexes begin. */
  readonly after: number;
  readonly isExtended: boolean;
}

class ImageReader {
  readonly #image: Buffer;
  readonly #blockBytes: number;
  readonly #seconds: number;
  /** Files that have several names. */
  readonly #linked = new Map<number, Node>();
  #folders = 0;

  constructor(image: Buffer) {
    this.#image = image;
    const at = (field: keyof typeof superField): number => superOffset + superField[field];
    if (image.readUInt32LE(at("magic")) !== superMagic) throw new OnggiError("corrupt", "the file is no EROFS image");
    this.#blockBytes = 2 ** image.readUInt8(at("blockBits"));
    this.#seconds = Number(image.readBigUInt64LE(at("buildSeconds")));
  }

  read(): Tree {
    const root = this.#node(this.#image.readUInt16LE(superOffset + superField.rootNumber));
    return { root, devices: this.#devices() };
  }

  #devices(): readonly Device[] {
    const count = this.#image.readUInt16LE(superOffset + superField.extraDevices);
    const first = this.#image.readUInt16LE(superOffset + superField.deviceSlot) * deviceSlotBytes;
    return Array.from({ length: count }, (_, index) => {
      const at = first + index * deviceSlotBytes;
      const tag = this.#image.toString("latin1", at, at + deviceTagBytes).replace(/\0+$/, "");
      return { tag, bytes: this.#image.readUInt32LE(at + deviceTagBytes) * this.#blockBytes };
    });
  }

  #node(number: number): Node {
    const known = this.#linked.get(number);
    if (known !== undefined) return known;
    const offset = number * slotBytes;
    const inode = this.#inode(offset);
    const head = offset + (inode.isExtended ? extendedInode : compactInode);
    const type = inode.mode & S_IFMT;
    const { links, ...owner } = this.#owner(offset, inode.isExtended);
    const node = newNode({
      mode: inode.mode,
      ...owner,
      attributes: readXattrs(this.#image, head, inode.xattrs, 0),
      size: type === S_IFDIR || type === S_IFLNK ? 0 : inode.size,
      content: inode.layout === layoutChunks ? this.#content(inode) : undefined,
      target: type === S_IFLNK ? this.#target(inode) : "",
      ...(type === S_IFCHR || type === S_IFBLK ? decodeDevice(inode.union) : {}),
    });
    if (type === S_IFDIR) this.#fill(node, inode);
    else if (links > 1) this.#linked.set(number, node);
    return node;
  }

  #inode(offset: number): Inode {
    const image = this.#image;
    const format = image.readUInt16LE(offset + inodeField.format);
    const isExtended = (format & 1) !== 0;
    const count = image.readUInt16LE(offset + inodeField.xattrCount);
    const xattrs = count === 0 ? 0 : xattrHeaderBytes + 4 * (count - 1);
    const high = isExtended ? image.readUInt32LE(offset + inodeField.size + 4) : 0;
    return {
      mode: image.readUInt16LE(offset + inodeField.mode),
      layout: (format >> 1) & 7,
      size: image.readUInt32LE(offset + inodeField.size) + high * 2 ** 32,
      union: image.readUInt32LE(offset + inodeField.union),
      xattrs,
      after: offset + (isExtended ? extendedInode : compactInode) + xattrs,
      isExtended,
    };
  }

  #owner(offset: number, isExtended: boolean): Pick<Node, "uid" | "gid" | "seconds" | "nanos" | "links"> {
    const image = this.#image;
    if (!isExtended) {
      return {
        uid: image.readUInt16LE(offset + compactField.uid),
        gid: image.readUInt16LE(offset + compactField.gid),
        seconds: this.#seconds,
        nanos: 0,
        links: image.readUInt16LE(offset + compactField.links),
      };
    }
    return {
      uid: image.readUInt32LE(offset + extendedField.uid),
      gid: image.readUInt32LE(offset + extendedField.gid),
      seconds: Number(image.readBigInt64LE(offset + extendedField.seconds)),
      nanos: image.readUInt32LE(offset + extendedField.nanos),
      links: image.readUInt32LE(offset + extendedField.links),
    };
  }

  #content({ size, union, after }: Inode): Content {
    const chunkBits = union & ~chunkIndexes;
    const count = Math.ceil(size / (this.#blockBytes * 2 ** chunkBits));
    const chunks: number[] = [];
    let at = alignUp(after, chunkIndexBytes);
    for (let index = 0; index < count; index++, at += chunkIndexBytes) {
      chunks.push(this.#image.readUInt16LE(at + 2), this.#image.readUInt32LE(at + 4));
    }
    return { chunkBits, chunks };
  }

  #target({ layout, union, after, size }: Inode): ByteString {
    const start = layout === layoutInline ? after : union * this.#blockBytes;
    return this.#image.toString("latin1", start, start + size);
  }

  #fill(folder: Node, inode: Inode): void {
    // A damaged image may have a folder in itself.
    if (++this.#folders > this.#image.length / slotBytes) throw new OnggiError("corrupt", "the EROFS image is damaged");
    const blocks = Math.ceil(inode.size / this.#blockBytes);
    for (let index = 0; index < blocks; index++) {
      const isTail = inode.layout === layoutInline && index === blocks - 1;
      const offset = isTail ? inode.after : (inode.union + index) * this.#blockBytes;
      const bytes = Math.min(this.#blockBytes, inode.size - index * this.#blockBytes);
      for (const entry of readFolderBlock(this.#image, offset, bytes)) {
        if (entry.name !== "." && entry.name !== "..") folder.children?.set(entry.name, this.#node(entry.number));
      }
    }
  }
}
