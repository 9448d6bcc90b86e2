import { textOf } from "../base/byte-text.ts";
import { OnggiError } from "../base/error.ts";
import { blockSize, type TarEntryType } from "./tar-entry.ts";

/** A header block's fields as they stand, before what extended headers say. */
export interface RawHeader {
  /** The type's letter: beside {@link TarEntryType} also `x g L K S` and others. */
  readonly flag: string;
  readonly path: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtimeSeconds: number;
  readonly linkPath: string;
  readonly major: number;
  readonly minor: number;
  /** The whole block, for what only some dialects have. */
  readonly block: Buffer;
}

const types: Readonly<Record<string, TarEntryType>> = {
  "0": "file",
  "\0": "file",
  "7": "file",
  S: "file",
  "1": "hardlink",
  "2": "symlink",
  "3": "char",
  "4": "block",
  "5": "directory",
  "6": "fifo",
};

/** The type of a member's letter; undefined for letters that aren't members or aren't known. */
export function typeOf(flag: string): TarEntryType | undefined {
  return types[flag];
}

/** @throws OnggiError `corrupt` when the checksum is wrong or a number isn't one */
export function parseHeader(block: Buffer): RawHeader {
  checkSum(block);
  const isUstar = block.toString("latin1", 257, 262) === "ustar";
  const isGnu = isUstar && block[262] === 0x20;
  const name = text(block, 0, 100);
  const prefix = isUstar && !isGnu ? text(block, 345, 155) : "";
  return {
    flag: block.toString("latin1", 156, 157),
    path: prefix === "" ? name : `${prefix}/${name}`,
    mode: number(block, 100, 8) & 0o7777,
    uid: number(block, 108, 8),
    gid: number(block, 116, 8),
    size: number(block, 124, 12),
    mtimeSeconds: number(block, 136, 12),
    linkPath: text(block, 157, 100),
    major: isUstar ? number(block, 329, 8) : 0,
    minor: isUstar ? number(block, 337, 8) : 0,
    block,
  };
}

export function isZeroBlock(block: Buffer): boolean {
  return block[0] === 0 && block.equals(zeroBlock);
}

/** A number field: octal digits, or the base-256 form with its highest bit set, which may be negative. */
export function number(block: Buffer, offset: number, width: number): number {
  const first = block[offset] ?? 0;
  if ((first & 0x80) !== 0) return base256(block, offset, width);
  let value = 0;
  let at = offset;
  const end = offset + width;
  while (at < end && (block[at] === 0x20 || block[at] === 0)) at++;
  for (; at < end; at++) {
    const byte = block[at] ?? 0;
    if (byte === 0 || byte === 0x20) break;
    if (byte < 0x30 || byte > 0x37) throw corrupt("a number in a header has a digit that isn't octal");
    value = value * 8 + (byte - 0x30);
  }
  return value;
}

/** Text up to the first NUL; bytes that are no UTF-8 as in `base/byte-text.ts`. */
export function text(block: Buffer, offset: number, width: number): string {
  let end = block.indexOf(0, offset);
  if (end === -1 || end > offset + width) end = offset + width;
  return textOf(block.subarray(offset, end));
}

function base256(block: Buffer, offset: number, width: number): number {
  const isNegative = (block[offset] ?? 0) === 0xff;
  let value = isNegative ? -1n : BigInt((block[offset] ?? 0) & 0x7f);
  for (let at = offset + 1; at < offset + width; at++) value = (value << 8n) | BigInt(block[at] ?? 0);
  const plain = Number(value);
  if (!Number.isSafeInteger(plain)) throw corrupt(`a number in a header is too large: ${value}`);
  return plain;
}

/** The sum of all bytes, the checksum itself counted as spaces; some old writers summed signed bytes. */
function checkSum(block: Buffer): void {
  const expected = number(block, 148, 8);
  let unsigned = 8 * 0x20;
  let high = 0;
  for (let at = 0; at < blockSize; at++) {
    if (at === 148) at = 156;
    const byte = block[at] ?? 0;
    unsigned += byte;
    if (byte > 127) high++;
  }
  if (unsigned !== expected && unsigned - 256 * high !== expected) throw corrupt("a header's checksum is wrong");
}

export function corrupt(reason: string): OnggiError {
  return new OnggiError("corrupt", `the archive is damaged: ${reason}`, {
    hint: "Make or fetch the archive again; it must be a tar, plain or compressed with gzip or zstd.",
  });
}

const zeroBlock = Buffer.alloc(blockSize);
