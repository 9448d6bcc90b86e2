import { bytesOf } from "../base/byte-text.ts";
import { blockSize, type SparseMap, type TarEntry, typeFlags } from "./tar-entry.ts";

const nsPerSecond = 1_000_000_000n;
const maxOctal11 = 0o77777777777;
const maxOctal7 = 0o7777777;

/**
 * The header blocks of one member: ustar, with a pax header before it where ustar can't say it.
 *
 * The same entry always gives the same bytes.
 */
export function encodeTarHeader(entry: TarEntry): Uint8Array {
  const path = entry.type === "directory" && !entry.path.endsWith("/") ? `${entry.path}/` : entry.path;
  const pax = paxRecords(entry, path);
  const header = ustar(entry, path);
  if (pax.length === 0) return header;

  return Buffer.concat([paxHeader(entry, pax), header]);
}

function paxHeader(entry: TarEntry, records: readonly Buffer[]): Buffer {
  const body = Buffer.concat(records);
  const meta: TarEntry = { ...entry, type: "file", size: body.length, mode: 0o644, linkPath: "" };
  return Buffer.concat([ustar(meta, "PaxHeaders/entry", "x"), body, tarPadding(body.length)]);
}

/**
 * The header blocks of a file with holes, in GNU's format 1.0, which Docker and GNU tar read: where data lies comes before the data.
 *
 * @param map - where data lies, ascending; only that follows, without the holes
 */
export function encodeSparseHeader(entry: TarEntry, map: SparseMap): Uint8Array {
  const stored = map.reduce((sum, [, length]) => sum + length, 0);
  const lines = [map.length, ...map.flat()].map((number) => `${number}\n`).join("");
  const content = Buffer.concat([Buffer.from(lines), tarPadding(lines.length)]);
  const pax = [
    ...paxRecords({ ...entry, size: content.length + stored }, entry.path),
    paxRecord("GNU.sparse.major", "1"),
    paxRecord("GNU.sparse.minor", "0"),
    paxRecord("GNU.sparse.name", entry.path),
    paxRecord("GNU.sparse.realsize", String(entry.size)),
  ];
  const header = ustar({ ...entry, size: content.length + stored }, "GNUSparseFile.0/entry");
  return Buffer.concat([paxHeader(entry, pax), header, content]);
}

/** Zeros that fill a member's content up to a whole block. */
export function tarPadding(size: number): Uint8Array {
  return zeros.subarray(0, (blockSize - (size % blockSize)) % blockSize);
}

/** What ends an archive: two blocks of zeros. */
export function tarEnd(): Uint8Array {
  return zeros;
}

const zeros = new Uint8Array(2 * blockSize);

function ustar(entry: TarEntry, path: string, flag: string = typeFlags[entry.type]): Buffer {
  const block = Buffer.alloc(blockSize);
  const { name, prefix } = splitPath(path);
  block.write(name, 0, 100, "utf8");
  octal(block, 100, 8, entry.mode);
  octal(block, 108, 8, entry.uid > maxOctal7 ? 0 : entry.uid);
  octal(block, 116, 8, entry.gid > maxOctal7 ? 0 : entry.gid);
  octal(block, 124, 12, entry.size > maxOctal11 ? 0 : entry.size);
  octal(block, 136, 12, Number(clampedSeconds(entry.mtimeNs)));
  block.write(flag, 156, "latin1");
  block.write(entry.linkPath, 157, 100, "utf8");
  block.write("ustar\x0000", 257, "latin1");
  octal(block, 329, 8, entry.major);
  octal(block, 337, 8, entry.minor);
  block.write(prefix, 345, 155, "utf8");

  block.fill(" ", 148, 156);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

function paxRecords(entry: TarEntry, path: string): Buffer[] {
  const records: Buffer[] = [];
  const add = (key: string, value: string | Uint8Array) => records.push(paxRecord(key, value));
  if (!splitPath(path).whole) add("path", path);
  if (!isPlain(entry.linkPath, 100)) add("linkpath", entry.linkPath);
  if (entry.size > maxOctal11) add("size", String(entry.size));
  if (entry.uid > maxOctal7) add("uid", String(entry.uid));
  if (entry.gid > maxOctal7) add("gid", String(entry.gid));
  if (clampedSeconds(entry.mtimeNs) * nsPerSecond !== entry.mtimeNs) add("mtime", paxTime(entry.mtimeNs));
  for (const name of [...entry.xattrs.keys()].sort()) {
    add(`SCHILY.xattr.${name}`, entry.xattrs.get(name) ?? new Uint8Array());
  }
  return records;
}

/** `LENGTH key=value\n`, where LENGTH counts itself. */
function paxRecord(key: string, value: string | Uint8Array): Buffer {
  const rest = Buffer.concat([
    bytesOf(` ${key}=`),
    typeof value === "string" ? bytesOf(value) : value,
    Buffer.from("\n"),
  ]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

/** Seconds with a fraction, rounded by nothing: `-1.5` is one and a half seconds before the epoch. */
function paxTime(ns: bigint): string {
  const magnitude = ns < 0n ? -ns : ns;
  const fraction = (magnitude % nsPerSecond).toString().padStart(9, "0").replace(/0+$/, "");
  return `${ns < 0n ? "-" : ""}${magnitude / nsPerSecond}${fraction === "" ? "" : `.${fraction}`}`;
}

function clampedSeconds(ns: bigint): bigint {
  const seconds = ns / nsPerSecond;
  return seconds < 0n || seconds > BigInt(maxOctal11) ? 0n : seconds;
}

/** Where a path goes in a ustar header: whole in `name`, or split at a slash; `whole` is false when pax must tell it. */
function splitPath(path: string): { readonly name: string; readonly prefix: string; readonly whole: boolean } {
  if (isPlain(path, 100)) return { name: path, prefix: "", whole: true };
  if (isPlain(path, 256)) {
    for (let slash = path.indexOf("/"); slash !== -1 && slash <= 155; slash = path.indexOf("/", slash + 1)) {
      const name = path.slice(slash + 1);
      if (slash > 0 && name !== "" && name.length <= 100) return { name, prefix: path.slice(0, slash), whole: true };
    }
  }
  return {
    name: Buffer.from(path)
      .subarray(0, 100)
      .toString("latin1")
      .replace(/[^\x20-\x7e]/g, "?"),
    prefix: "",
    whole: false,
  };
}

function isPlain(text: string, maxLength: number): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what ustar can hold is ASCII without NUL
  return text.length <= maxLength && /^[\x01-\x7f]*$/.test(text);
}

function octal(block: Buffer, offset: number, width: number, value: number): void {
  block.write(value.toString(8).padStart(width - 1, "0"), offset, width - 1, "latin1");
}
