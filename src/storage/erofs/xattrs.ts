import { alignUp, xattrEntryBytes, xattrHeaderBytes, xattrPrefixes } from "./format.ts";
import { type Attributes, type ByteString, noAttributes } from "./tree.ts";

/** What one attribute takes at least twice is kept once. */
interface Shared {
  readonly entry: Buffer;
  /** Inodes that have it: with two, it is kept apart from them. */
  uses: number;
  /** Its place in the image divided by 4. */
  place: number;
}

/** An inode names so many shared attributes at most (`h_shared_count` is one byte). */
const maxShared = 255;

/**
 * Collects the attributes of a tree's inodes, so that those that several have (an SELinux label, say) lie in the image once.
 *
 * First all are counted, then the shared ones get their place, then each inode's are written.
 */
export class XattrPool {
  readonly #shared = new Map<string, Shared>();
  /** One object of attributes may belong to many nodes: its keys are made once. */
  readonly #known = new WeakMap<Attributes, readonly Shared[]>();

  count(attributes: Attributes): void {
    if (attributes.size > 0) for (const one of this.#entries(attributes)) one.uses += 1;
  }

  /** Gives the shared ones their places from `offset` on. @returns the offset after them */
  place(offset: number): number {
    let at = alignUp(offset, xattrEntryBytes);
    for (const one of this.#shared.values()) {
      if (one.uses < 2) continue;
      one.place = at / xattrEntryBytes;
      at += one.entry.length;
    }
    return at;
  }

  writeShared(image: Buffer): void {
    for (const { entry, uses, place } of this.#shared.values()) {
      if (uses > 1) entry.copy(image, place * xattrEntryBytes);
    }
  }

  /** Bytes that follow an inode for its attributes. */
  bytes(attributes: Attributes): number {
    if (attributes.size === 0) return 0;
    const { shared, own } = this.#split(attributes);
    return xattrHeaderBytes + 4 * shared.length + own.reduce((sum, { entry }) => sum + entry.length, 0);
  }

  write(attributes: Attributes, image: Buffer, offset: number): void {
    if (attributes.size === 0) return;
    const { shared, own } = this.#split(attributes);
    image.writeUInt8(shared.length, offset + 4);
    let at = offset + xattrHeaderBytes;
    for (const { place } of shared) at = image.writeUInt32LE(place, at);
    for (const { entry } of own) at += entry.copy(image, at);
  }

  #split(attributes: Attributes): { readonly shared: readonly Shared[]; readonly own: readonly Shared[] } {
    const all = this.#entries(attributes);
    const shared = all.filter(({ uses }) => uses > 1).slice(0, maxShared);
    return { shared, own: all.filter((one) => !shared.includes(one)) };
  }

  #entries(attributes: Attributes): readonly Shared[] {
    const known = this.#known.get(attributes);
    if (known !== undefined) return known;
    const entries: Shared[] = [];
    for (const [name, value] of attributes) {
      const entry = encodeEntry(name, value);
      if (entry === undefined) continue;
      const key = entry.toString("latin1");
      const one = this.#shared.get(key) ?? { entry, uses: 0, place: 0 };
      this.#shared.set(key, one);
      entries.push(one);
    }
    this.#known.set(attributes, entries);
    return entries;
  }
}

/** Whether the format can hold an attribute of this name: of `system.` only the access lists. */
export function isStorable(name: ByteString): boolean {
  return xattrPrefixes.some(([, prefix]) => (prefix.endsWith(".") ? name.startsWith(prefix) : name === prefix));
}

function encodeEntry(name: ByteString, value: Uint8Array): Buffer | undefined {
  const found = xattrPrefixes.find(([, prefix]) => (prefix.endsWith(".") ? name.startsWith(prefix) : name === prefix));
  if (found === undefined) return undefined;
  const rest = name.slice(found[1].length);
  const entry = Buffer.alloc(alignUp(xattrEntryBytes + rest.length + value.length, xattrEntryBytes));
  entry.writeUInt8(rest.length, 0);
  entry.writeUInt8(found[0], 1);
  entry.writeUInt16LE(value.length, 2);
  entry.write(rest, xattrEntryBytes, "latin1");
  entry.set(value, xattrEntryBytes + rest.length);
  return entry;
}

/** The attributes that lie after an inode, `bytes` long. */
export function readXattrs(image: Buffer, offset: number, bytes: number, sharedBase: number): Attributes {
  if (bytes === 0) return noAttributes;
  const attributes = new Map<ByteString, Uint8Array>();
  const shared = image.readUInt8(offset + 4);
  let at = offset + xattrHeaderBytes;
  for (let index = 0; index < shared; index++, at += 4) {
    readEntry(image, sharedBase + image.readUInt32LE(at) * xattrEntryBytes, attributes);
  }
  while (at < offset + bytes) at = readEntry(image, at, attributes);
  return attributes;
}

function readEntry(image: Buffer, offset: number, into: Map<ByteString, Uint8Array>): number {
  const nameBytes = image.readUInt8(offset);
  const index = image.readUInt8(offset + 1);
  const valueBytes = image.readUInt16LE(offset + 2);
  const start = offset + xattrEntryBytes;
  const prefix = xattrPrefixes.find(([number]) => number === index)?.[1] ?? "";
  const value = image.subarray(start + nameBytes, start + nameBytes + valueBytes);
  into.set(prefix + image.toString("latin1", start, start + nameBytes), Buffer.from(value));
  return offset + alignUp(xattrEntryBytes + nameBytes + valueBytes, xattrEntryBytes);
}
