import { constants } from "node:fs";
import { basename, dirname } from "node:path";
import type { Op, Slot } from "../../program/op.ts";
import { command } from "../../program/quote.ts";

/** Requests of `linux/btrfs.h`: direction, size of the argument, 0x94, number. */
const SUBVOL_CREATE_V2 = 0x50009418;
const SNAP_CREATE_V2 = 0x50009417;
const SNAP_DESTROY_V2 = 0x5000943f;
const SUBVOL_SETFLAGS = 0x4008941a;
const SYNC = 0x9408;
const INO_LOOKUP = 0xd0009412;
const GET_SUBVOL_INFO = 0x81f8943c;
const FS_INFO = 0x8400941f;
const QUOTA_CTL = 0xc0109428;
const QGROUP_CREATE = 0x4010942a;
const QGROUP_LIMIT = 0x8030942b;

const subvolumeReadOnly = 2n;
const destroyById = 16n;
const limitExclusive = 2n;
const namedArgumentBytes = 4096;
const namedArgument = { flags: 16, name: 56 };
const subvolumeInfoBytes = 504;
const fsInfoBytes = 1024;
/** BTRFS_FIRST_FREE_OBJECTID: the inode of a subvolume's root. */
export const subvolumeRootInode = 256;

const directoryFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

interface Call {
  readonly request: number;
  readonly path: string;
  readonly argument?: Uint8Array;
  readonly shell: string;
}

function call({ request, path, argument = new Uint8Array(), shell }: Call): Extract<Op, { op: "ioctl" }> {
  return { op: "ioctl", path, flags: directoryFlags, request, argument, shell };
}

/** Makes an empty subvolume; its mode is subject to the umask. */
export function createSubvolume(path: string): Op {
  const argument = Buffer.alloc(namedArgumentBytes);
  argument.write(basename(path), namedArgument.name);
  const shell = command("btrfs", "subvolume", "create", path);
  return call({ request: SUBVOL_CREATE_V2, path: dirname(path), argument, shell });
}

/** Makes a writable snapshot; it is on the disk when the call returns, with what was written to the source before. */
export function createSnapshot(source: string, path: string): readonly Op[] {
  const slot: Slot = "source";
  const argument = Buffer.alloc(namedArgumentBytes);
  argument.write(basename(path), namedArgument.name);
  const shell = command("btrfs", "subvolume", "snapshot", source, path);
  return [
    { op: "open", slot, path: source, flags: directoryFlags },
    { ...call({ request: SNAP_CREATE_V2, path: dirname(path), argument, shell }), patches: [{ offset: 0, slot }] },
    { op: "closeSlot", slot },
  ];
}

/**
 * Deletes a subvolume that has no other in it, wherever it lies on the file system of `directory`. The kernel frees its blocks
 * later, by itself.
 */
export function destroySubvolume(directory: string, id: bigint): Op {
  const argument = Buffer.alloc(namedArgumentBytes);
  argument.writeBigUInt64LE(destroyById, namedArgument.flags);
  argument.writeBigUInt64LE(id, namedArgument.name);
  const shell = command("btrfs", "subvolume", "delete", "--subvolid", String(id), directory);
  return call({ request: SNAP_DESTROY_V2, path: directory, argument, shell });
}

export function makeReadOnly(path: string): Op {
  const shell = command("btrfs", "property", "set", path, "ro", "true");
  return call({ request: SUBVOL_SETFLAGS, path, argument: numbers(subvolumeReadOnly), shell });
}

/** Brings all data and the file system's tree to the disk. */
export function syncAll(path: string): Op {
  return call({ request: SYNC, path, shell: command("btrfs", "filesystem", "sync", path) });
}

/** Its answer starts with the id of the subvolume that a directory belongs to. */
export function lookUpSubvolume(path: string): Op {
  const argument = Buffer.alloc(namedArgumentBytes);
  argument.writeBigUInt64LE(BigInt(subvolumeRootInode), 8);
  return call({ request: INO_LOOKUP, path, argument, shell: command("btrfs", "inspect-internal", "rootid", path) });
}

export function subvolumeInfo(path: string): Op {
  const shell = command("btrfs", "subvolume", "show", path);
  return call({ request: GET_SUBVOL_INFO, path, argument: Buffer.alloc(subvolumeInfoBytes), shell });
}

export interface SubvolumeInfo {
  readonly id: bigint;
  readonly isSnapshot: boolean;
  /** The transaction that made it. */
  readonly madeIn: bigint;
}

export function parseSubvolumeInfo(answer: Uint8Array): SubvolumeInfo {
  const info = Buffer.from(answer.buffer, answer.byteOffset, answer.byteLength);
  return {
    id: info.readBigUInt64LE(0),
    isSnapshot: info.subarray(312, 328).some((byte) => byte !== 0),
    madeIn: info.readBigUInt64LE(352),
  };
}

export function fileSystemInfo(path: string): Op {
  const shell = command("btrfs", "filesystem", "show", path);
  return call({ request: FS_INFO, path, argument: Buffer.alloc(fsInfoBytes), shell });
}

/** The file system's UUID, as `/sys/fs/btrfs` has it. */
export function parseFileSystemId(answer: Uint8Array): string {
  const hex = Buffer.from(answer.subarray(16, 32)).toString("hex");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** Simple quotas (Linux 6.7) charge who wrote a block, for ever, and need no scan; full ones find out who shares it, and are slow. */
export function enableQuotas(path: string, kind: "simple" | "full"): Op {
  const shell = command("btrfs", "quota", "enable", ...(kind === "simple" ? ["--simple"] : []), path);
  return call({ request: QUOTA_CTL, path, argument: numbers(kind === "simple" ? 4n : 1n, 0n), shell });
}

/** Limits what belongs to a subvolume alone. */
export function limitSubvolume(path: string, id: bigint, bytes: number): Op {
  const shell = command("btrfs", "qgroup", "limit", "-e", bytes, `0/${id}`, path);
  const argument = numbers(id, limitExclusive, 0n, BigInt(bytes), 0n, 0n);
  return call({ request: QGROUP_LIMIT, path, argument, shell });
}

/** Forgets the counters of a subvolume that is gone. */
export function destroyCounters(path: string, id: bigint): Op {
  const shell = command("btrfs", "qgroup", "destroy", `0/${id}`, path);
  return call({ request: QGROUP_CREATE, path, argument: numbers(0n, id), shell });
}

function numbers(...values: readonly bigint[]): Buffer {
  const bytes = Buffer.alloc(8 * values.length);
  for (const [i, value] of values.entries()) bytes.writeBigUInt64LE(value, 8 * i);
  return bytes;
}
