import { crc32c } from "./crc32c.ts";
import { writeFolderBlock } from "./folder.ts";
import {
  alignUp,
  chunkIndexBytes,
  chunkIndexes,
  compactField,
  compactInode,
  deviceSlotBytes,
  deviceTagBytes,
  encodeDevice,
  extendedField,
  extendedInode,
  featureChecksum,
  featureChunks,
  featureDevices,
  featureMtime,
  inodeField,
  layoutChunks,
  layoutInline,
  superField,
  superMagic,
  superOffset,
  xattrHeaderBytes,
} from "./format.ts";
import { layOut, type PlacedInode, type Plan } from "./lay-out.ts";
import { holeBlock, S_IFBLK, S_IFCHR, S_IFLNK, S_IFMT, type Tree } from "./tree.ts";

export interface ImageOptions {
  /** 9 for contents that start at multiples of 512, as those of a tar do; 12 for such of 4096. */
  readonly blockBits: number;
  /** 16 bytes that tell this image from others. */
  readonly uuid: Uint8Array;
}

/**
 * Makes the EROFS image of a tree: metadata alone, which points into the tree's devices for files' contents.
 *
 * ```
 * 0      nothing, then at 1024 the superblock
 * 1152   device slots
 *        the root's inode, whose number must fit 16 bits
 *        attributes that several inodes have
 *        inodes, each with its attributes, then a file's chunk indexes, or a link's target or a folder's last part
 *        whole blocks of folders and of long links
 * ```
 */
export function writeImage(tree: Tree, { blockBits, uuid }: ImageOptions): Buffer {
  const plan = layOut(tree, 2 ** blockBits);
  const image = Buffer.alloc(plan.bytes);
  for (const [index, { tag, bytes }] of tree.devices.entries()) {
    const offset = plan.deviceOffset + index * deviceSlotBytes;
    image.write(tag, offset, deviceTagBytes, "latin1");
    image.writeUInt32LE(Math.ceil(bytes / plan.blockBytes), offset + deviceTagBytes);
  }
  plan.pool.writeShared(image);
  for (const [index, placed] of plan.inodes.entries()) {
    writeInode(image, placed, index + 1, plan);
    writeBody(image, placed, plan);
  }
  writeSuperblock(image, tree, plan, blockBits, uuid);
  return image;
}

function writeInode(image: Buffer, placed: PlacedInode, serial: number, { pool, dataBlock }: Plan): void {
  const { node, offset, isExtended, xattrBytes, layout } = placed;
  image.writeUInt16LE((layout << 1) | (isExtended ? 1 : 0), offset + inodeField.format);
  image.writeUInt16LE(xattrBytes === 0 ? 0 : (xattrBytes - xattrHeaderBytes) / 4 + 1, offset + inodeField.xattrCount);
  image.writeUInt16LE(node.mode, offset + inodeField.mode);
  const size = sizeOf(placed);
  image.writeUInt32LE(size % 2 ** 32, offset + inodeField.size);
  image.writeUInt32LE(unionOf(placed, dataBlock), offset + inodeField.union);
  image.writeUInt32LE(serial, offset + inodeField.serial);
  if (isExtended) {
    image.writeUInt32LE(Math.floor(size / 2 ** 32), offset + inodeField.size + 4);
    image.writeUInt32LE(node.uid, offset + extendedField.uid);
    image.writeUInt32LE(node.gid, offset + extendedField.gid);
    image.writeBigInt64LE(BigInt(node.seconds), offset + extendedField.seconds);
    image.writeUInt32LE(node.nanos, offset + extendedField.nanos);
    image.writeUInt32LE(node.links, offset + extendedField.links);
  } else {
    image.writeUInt16LE(node.uid, offset + compactField.uid);
    image.writeUInt16LE(node.gid, offset + compactField.gid);
    image.writeUInt16LE(node.links, offset + compactField.links);
  }
  pool.write(node.attributes, image, offset + (isExtended ? extendedInode : compactInode));
}

function sizeOf({ node, folder }: PlacedInode): number {
  return folder === undefined ? node.size || node.target.length : folder.bytes;
}

/** A device's number, how a file is cut into chunks, or where the first block is. */
function unionOf({ node, layout, firstBlock }: PlacedInode, dataBlock: number): number {
  const type = node.mode & S_IFMT;
  if (type === S_IFCHR || type === S_IFBLK) return encodeDevice(node.major, node.minor);
  if (layout === layoutChunks) return chunkIndexes | (node.content?.chunkBits ?? 0);
  return dataBlock + firstBlock;
}

function writeBody(image: Buffer, placed: PlacedInode, { blockBytes, dataBlock }: Plan): void {
  const { node, offset, isExtended, xattrBytes, layout, folder, firstBlock } = placed;
  const after = offset + (isExtended ? extendedInode : compactInode) + xattrBytes;
  const own = (dataBlock + firstBlock) * blockBytes;
  if (node.content !== undefined) writeChunks(image, alignUp(after, chunkIndexBytes), node.content.chunks);
  if ((node.mode & S_IFMT) === S_IFLNK) image.write(node.target, layout === layoutInline ? after : own, "latin1");
  if (folder === undefined) return;
  let first = 0;
  for (const [index, end] of folder.ends.entries()) {
    const isTail = layout === layoutInline && index === folder.ends.length - 1;
    writeFolderBlock(image, isTail ? after : own + index * blockBytes, folder.entries.slice(first, end));
    first = end;
  }
}

function writeChunks(image: Buffer, offset: number, chunks: readonly number[]): void {
  for (let index = 0, at = offset; index < chunks.length; index += 2, at += chunkIndexBytes) {
    image.writeUInt16LE(chunks[index] ?? 0, at + 2);
    image.writeUInt32LE(chunks[index + 1] ?? holeBlock, at + 4);
  }
}

function writeSuperblock(image: Buffer, { root, devices }: Tree, plan: Plan, blockBits: number, uuid: Uint8Array) {
  const at = (field: keyof typeof superField): number => superOffset + superField[field];
  image.writeUInt32LE(superMagic, at("magic"));
  image.writeUInt32LE(featureChecksum | featureMtime, at("featureCompat"));
  image.writeUInt8(blockBits, at("blockBits"));
  image.writeUInt16LE(root.number, at("rootNumber"));
  image.writeBigUInt64LE(BigInt(plan.inodes.length), at("inodes"));
  image.writeBigUInt64LE(BigInt(plan.seconds), at("buildSeconds"));
  image.writeUInt32LE(image.length / plan.blockBytes, at("blocks"));
  image.set(uuid.subarray(0, 16), at("uuid"));
  image.writeUInt32LE(featureChunks | (devices.length > 0 ? featureDevices : 0), at("featureIncompat"));
  image.writeUInt16LE(devices.length, at("extraDevices"));
  image.writeUInt16LE(plan.deviceOffset / deviceSlotBytes, at("deviceSlot"));
  // The sum is over the superblock's block from its start on, itself taken as zero.
  const end = plan.blockBytes > superOffset ? plan.blockBytes : superOffset + plan.blockBytes;
  image.writeUInt32LE(crc32c(image.subarray(superOffset, end)), at("checksum"));
}
