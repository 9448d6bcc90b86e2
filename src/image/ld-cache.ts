/** One library of the dynamic loader's cache. */
export interface LdCacheEntry {
  readonly name: string;
  readonly path: string;
  readonly flags: number;
  readonly osVersion: number;
  /** 0 for what runs on any processor of the architecture. */
  readonly hwcap: bigint;
}

const magic = "glibc-ld.so.cache1.1";
const headerSize = 48;
const entrySize = 24;
const littleEndian = 2;

/**
 * Reads `/etc/ld.so.cache`, also where it follows the older format in the same file.
 *
 * @returns the entries in the file's order, none when it isn't such a cache
 * @see glibc's sysdeps/generic/dl-cache.h
 */
export function parseLdCache(file: Buffer): readonly LdCacheEntry[] {
  const start = file.indexOf(magic, 0, "latin1");
  if (start === -1 || file.length < start + headerSize) return [];
  const cache = file.subarray(start);
  const count = cache.readUInt32LE(20);
  if (cache.length < headerSize + count * entrySize) return [];
  return Array.from({ length: count }, (_, index) => {
    const at = headerSize + index * entrySize;
    return {
      flags: cache.readInt32LE(at),
      name: textAt(cache, cache.readUInt32LE(at + 4)),
      path: textAt(cache, cache.readUInt32LE(at + 8)),
      osVersion: cache.readUInt32LE(at + 12),
      hwcap: cache.readBigUInt64LE(at + 16),
    };
  });
}

/** Writes a cache of entries that are in the loader's order already, as a subset of a read cache is. */
export function encodeLdCache(entries: readonly LdCacheEntry[]): Buffer {
  const stringsStart = headerSize + entries.length * entrySize;
  const head = Buffer.alloc(stringsStart);
  const strings: Buffer[] = [];
  let end = stringsStart;
  const place = (text: string) => {
    const at = end;
    const bytes = Buffer.from(`${text}\0`);
    strings.push(bytes);
    end += bytes.length;
    return at;
  };

  head.write(magic, 0, "latin1");
  head.writeUInt32LE(entries.length, 20);
  entries.forEach((entry, index) => {
    const at = headerSize + index * entrySize;
    head.writeInt32LE(entry.flags, at);
    head.writeUInt32LE(place(entry.name), at + 4);
    head.writeUInt32LE(place(entry.path), at + 8);
    head.writeUInt32LE(entry.osVersion, at + 12);
    head.writeBigUInt64LE(entry.hwcap, at + 16);
  });
  head.writeUInt32LE(end - stringsStart, 24);
  head[28] = littleEndian;
  return Buffer.concat([head, ...strings]);
}

function textAt(cache: Buffer, at: number): string {
  const end = cache.indexOf(0, at);
  return end === -1 ? "" : cache.toString("utf8", at, end);
}
