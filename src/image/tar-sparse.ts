import { type PaxRecords, paxNumber, paxText } from "./pax.ts";
import { blockSize, type SparseMap } from "./tar-entry.ts";
import { corrupt, number } from "./tar-header.ts";

const maxPieces = 1 << 20;

/** What a header block of GNU's old sparse format (type `S`) says; `more` when blocks with further pieces follow. */
export function oldSparse(block: Buffer): {
  readonly map: SparseMap;
  readonly more: boolean;
  readonly realSize: number;
} {
  return { map: pieces(block, 386, 4), more: block[482] !== 0, realSize: number(block, 483, 12) };
}

/** A block of further pieces of the old format. */
export function oldSparseMore(block: Buffer): { readonly map: SparseMap; readonly more: boolean } {
  return { map: pieces(block, 0, 21), more: block[504] !== 0 };
}

/** Whether a pax header says that its member begins with a map (format 1.0). */
export function hasSparseMapInData(records: PaxRecords): boolean {
  return records.get("GNU.sparse.major")?.toString("latin1") === "1";
}

/** The real size that a pax header tells, in its older or newer key. */
export function paxRealSize(records: PaxRecords): number | undefined {
  const value = records.get("GNU.sparse.realsize") ?? records.get("GNU.sparse.size");
  return value === undefined ? undefined : paxNumber(value);
}

/** The map of format 0.1: `offset,length,offset,length`. */
export function paxSparseMap(records: PaxRecords): SparseMap | undefined {
  const list = paxText(records, "GNU.sparse.map")?.split(",");
  if (list === undefined) return undefined;
  const numbers = list.map((one) => paxNumber(Buffer.from(one)));
  return pairs(numbers);
}

/**
 * Reads the map that format 1.0 puts before the content: a count, then offsets and lengths, a line each, up to a whole block.
 *
 * @param data - the blocks read so far
 * @returns undefined while more blocks are needed
 */
export function dataSparseMap(data: Buffer): { readonly map: SparseMap; readonly bytes: number } | undefined {
  let at = 0;
  const line = () => {
    const end = data.indexOf(0x0a, at);
    if (end === -1) return undefined;
    const value = paxNumber(data.subarray(at, end));
    at = end + 1;
    return value;
  };
  const count = line();
  if (count === undefined) return undefined;
  if (count > maxPieces) throw corrupt("a sparse file has too many pieces");
  const numbers: number[] = [];
  for (let index = 0; index < 2 * count; index++) {
    const value = line();
    if (value === undefined) return undefined;
    numbers.push(value);
  }
  return { map: pairs(numbers), bytes: Math.ceil(at / blockSize) * blockSize };
}

/** @throws OnggiError `corrupt` unless pieces ascend, don't overlap, and fit the sizes */
export function checkSparseMap(map: SparseMap, storedSize: number, realSize: number): void {
  let end = 0;
  let stored = 0;
  if (map.length > maxPieces) throw corrupt("a sparse file has too many pieces");
  for (const [offset, length] of map) {
    if (offset < end || offset + length > realSize) throw corrupt("a sparse file's pieces overlap or leave it");
    end = offset + length;
    stored += length;
  }
  if (stored !== storedSize) throw corrupt("a sparse file's pieces don't add up to its content");
}

function pieces(block: Buffer, start: number, count: number): SparseMap {
  const map: [number, number][] = [];
  for (let index = 0; index < count; index++) {
    const at = start + index * 24;
    if (block[at] === 0) break;
    map.push([number(block, at, 12), number(block, at + 12, 12)]);
  }
  return map;
}

function pairs(numbers: readonly number[]): SparseMap {
  if (numbers.length % 2 !== 0) throw corrupt("a sparse file's map has an offset without a length");
  const map: [number, number][] = [];
  for (let index = 0; index < numbers.length; index += 2) map.push([numbers[index] ?? 0, numbers[index + 1] ?? 0]);
  return map;
}
