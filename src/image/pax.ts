import { textOf } from "../base/byte-text.ts";
import type { SparseMap } from "./tar-entry.ts";
import { corrupt } from "./tar-header.ts";

const xattrPrefix = "SCHILY.xattr.";
const nsDigits = 9;

/** What a pax header says of the members it stands before: keys with raw values. */
export type PaxRecords = ReadonlyMap<string, Buffer>;

/**
 * Reads `LENGTH key=value\n` records; an empty value takes back what a global header said.
 *
 * @throws OnggiError `corrupt`
 */
export function parsePax(body: Buffer): { readonly records: PaxRecords; readonly sparse: SparseMap } {
  const records = new Map<string, Buffer>();
  const sparse: [number, number][] = [];
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(0x20, at);
    const length = space === -1 || space - at > 9 ? Number.NaN : Number(body.toString("latin1", at, space));
    const end = at + length;
    if (!(end <= body.length) || end <= space || body[end - 1] !== 0x0a)
      throw corrupt("a pax header has a wrong length");
    const equals = body.indexOf(0x3d, space);
    if (equals === -1 || equals >= end) throw corrupt("a pax header has a record without a value");
    const key = textOf(body.subarray(space + 1, equals));
    const value = body.subarray(equals + 1, end - 1);
    // Sparse format 0.0 repeats these two keys, the only ones whose order counts.
    if (key === "GNU.sparse.offset") sparse.push([paxNumber(value), 0]);
    else if (key === "GNU.sparse.numbytes") sparse.push([sparse.pop()?.[0] ?? 0, paxNumber(value)]);
    else records.set(key, value);
    at = end;
  }
  return { records, sparse };
}

export function paxText(records: PaxRecords, key: string): string | undefined {
  const value = records.get(key);
  if (value === undefined || value.length === 0) return undefined;
  const text = textOf(value);
  if (text.includes("\0")) throw corrupt(`a pax header has a NUL in ${key}`);
  return text;
}

/** A whole number that isn't negative. */
export function paxNumber(value: Buffer): number {
  const number = /^[0-9]{1,16}$/.test(value.toString("latin1")) ? Number(value.toString("latin1")) : Number.NaN;
  if (!Number.isSafeInteger(number))
    throw corrupt(`a pax header has a wrong number: ${JSON.stringify(value.toString("latin1", 0, 40))}`);
  return number;
}

/** `-1.5` and the like in nanoseconds; finer digits are dropped. */
export function paxTimeNs(value: Buffer): bigint {
  const match = /^(-?)([0-9]{1,15})(?:\.([0-9]*))?$/.exec(value.toString("latin1"));
  if (match === null)
    throw corrupt(`a pax header has a wrong time: ${JSON.stringify(value.toString("latin1", 0, 40))}`);
  const [, sign, seconds = "0", fraction = ""] = match;
  const ns = BigInt(seconds + fraction.slice(0, nsDigits).padEnd(nsDigits, "0"));
  return sign === "-" ? -ns : ns;
}

/** Extended attributes, copied out of the archive's bytes. */
export function paxXattrs(records: PaxRecords): ReadonlyMap<string, Uint8Array> {
  let xattrs: Map<string, Uint8Array> | undefined;
  for (const [key, value] of records) {
    if (!key.startsWith(xattrPrefix)) continue;
    xattrs ??= new Map();
    xattrs.set(key.slice(xattrPrefix.length), Uint8Array.from(value));
  }
  return xattrs ?? noXattrs;
}

const noXattrs: ReadonlyMap<string, Uint8Array> = new Map();
