/**
 * EROFS on disk, as far as our images use it: superblock, inodes, folders, attributes, chunk indexes, device slots.
 *
 * @see https://docs.kernel.org/filesystems/erofs.html and fs/erofs/erofs_fs.h of Linux
 */

export const superOffset = 1024;
export const superBytes = 128;
export const superMagic = 0xe0f5_e1e2;

/** Offsets of fields in the superblock. */
export const superField = {
  magic: 0,
  checksum: 4,
  featureCompat: 8,
  blockBits: 12,
  rootNumber: 14,
  inodes: 16,
  buildSeconds: 24,
  buildNanos: 32,
  blocks: 36,
  metaBlock: 40,
  xattrBlock: 44,
  uuid: 48,
  featureIncompat: 80,
  extraDevices: 86,
  deviceSlot: 88,
} as const;

/** The superblock has a CRC-32C; inodes have times of modification. */
export const featureChecksum = 0x1;
export const featureMtime = 0x2;
export const featureChunks = 0x4;
export const featureDevices = 0x8;

/** Inodes start at multiples of it, and their number is their offset counted in it. */
export const slotBytes = 32;
export const compactInode = 32;
export const extendedInode = 64;

export const inodeField = {
  format: 0,
  xattrCount: 2,
  mode: 4,
  /** 32 bits in a compact inode, 64 in an extended one. */
  size: 8,
  /** Start block, device number or chunk format. */
  union: 16,
  serial: 20,
} as const;
export const compactField = { links: 6, uid: 24, gid: 26 } as const;
export const extendedField = { uid: 24, gid: 28, seconds: 32, nanos: 40, links: 44 } as const;

/** How an inode's data lies: in blocks of its own, the last part right after the inode, or as chunk indexes after it. */
export const layoutPlain = 0;
export const layoutInline = 2;
export const layoutChunks = 4;

/** The chunk format: the low five bits are {@link Content.chunkBits}. */
export const chunkIndexes = 0x20;
export const chunkIndexBytes = 8;
export const maxChunkBits = 31;

export const deviceSlotBytes = 128;
export const deviceTagBytes = 64;

export const direntBytes = 12;
export const maxNameBytes = 255;

/** Values of a folder's entry for each file type, by its mode shifted right by 12: they are those of getdents. */
export const direntTypes: Readonly<Record<number, number>> = { 8: 1, 4: 2, 2: 3, 6: 4, 1: 5, 12: 6, 10: 7 };

export const xattrHeaderBytes = 12;
export const xattrEntryBytes = 4;

/** Prefixes of attributes' names that an entry tells as a number. */
export const xattrPrefixes: readonly (readonly [index: number, prefix: string])[] = [
  [1, "user."],
  [2, "system.posix_acl_access"],
  [3, "system.posix_acl_default"],
  [4, "trusted."],
  [6, "security."],
];

export function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}

/** The kernel's dev_t of a device, as an inode has it. */
export function encodeDevice(major: number, minor: number): number {
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

export function decodeDevice(device: number): { readonly major: number; readonly minor: number } {
  return { major: (device >>> 8) & 0xfff, minor: (device & 0xff) | ((device >>> 12) & 0xfff00) };
}
