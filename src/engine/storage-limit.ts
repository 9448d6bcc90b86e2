import type { Amount, ContainerStorage, LimitKind, StorageLimit } from "./model.ts";
import type { FileSystemUse } from "./storage-face.ts";

/** A warning that was given is taken back only this far below the threshold, so that it isn't given over and over. */
const hysteresis = 5;
/** File systems keep a little for themselves that no program can write to: this part of a limit, and no more than a mebibyte. */
const unusablePart = 0.02;
const unusableBytes = 1024 * 1024;

/** How near a tree is to its limit. `free` is what its file system says, where it knows. */
export function limitState(used: Amount, limit: StorageLimit, free?: Amount): ContainerStorage {
  const left = {
    bytes: Math.min(free?.bytes ?? Number.POSITIVE_INFINITY, leftOf(limit.bytes, used.bytes)),
    inodes: Math.min(free?.inodes ?? Number.POSITIVE_INFINITY, leftOf(limit.inodes, used.inodes)),
  };
  const reached = reachedLimit(limit, left);
  return {
    bytes: used.bytes,
    inodes: used.inodes,
    limit,
    free: { bytes: finite(left.bytes), inodes: finite(left.inodes) },
    ...(reached === undefined ? {} : { reached }),
  };
}

function reachedLimit(limit: StorageLimit, left: Amount): LimitKind | undefined {
  if (limit.inodes !== undefined && left.inodes <= 0) return "inode";
  if (limit.bytes !== undefined && left.bytes <= Math.min(unusableBytes, limit.bytes * unusablePart)) return "disk";
  return undefined;
}

/** The larger of the shares of bytes and inodes that are used, in percent of the limits there are. */
export function limitPercent({ bytes, inodes, limit, free }: ContainerStorage): Amount {
  if (limit === undefined || free === undefined) return { bytes: 0, inodes: 0 };
  return {
    bytes: limit.bytes === undefined ? 0 : percentOf(bytes, free.bytes),
    inodes: limit.inodes === undefined ? 0 : percentOf(inodes, free.inodes),
  };
}

/** As `df` counts: of what is used and what may be used, without what is kept for root. */
export function fileSystemUse(
  type: string,
  stats: {
    readonly bsize: number;
    readonly blocks: number;
    readonly bfree: number;
    readonly bavail: number;
    readonly files: number;
    readonly ffree: number;
  },
): FileSystemUse {
  const used = { bytes: (stats.blocks - stats.bfree) * stats.bsize, inodes: stats.files - stats.ffree };
  const free = { bytes: stats.bavail * stats.bsize, inodes: stats.ffree };
  return {
    type,
    total: { bytes: stats.blocks * stats.bsize, inodes: stats.files },
    used,
    free,
    percent: {
      bytes: percentOf(used.bytes, free.bytes),
      // btrfs and others make inodes as they are needed.
      inodes: stats.files === 0 ? 0 : percentOf(used.inodes, free.inodes),
    },
  };
}

/** Whether a warning holds: from the threshold on, until it is well below. */
export function isLow(before: boolean, percent: number, warnPercent: number): boolean {
  return percent >= (before ? Math.max(0, warnPercent - hysteresis) : warnPercent);
}

function percentOf(used: number, free: number): number {
  if (used <= 0) return 0;
  return Math.round((used / (used + Math.max(0, free))) * 1000) / 10;
}

function leftOf(limit: number | undefined, used: number): number {
  return limit === undefined ? Number.POSITIVE_INFINITY : Math.max(0, limit - used);
}

function finite(value: number): number {
  return Number.isFinite(value) ? value : 0;
}
