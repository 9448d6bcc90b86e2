import { textOf } from "../base/byte-text.ts";
import { type PaxRecords, parsePax, paxNumber, paxText, paxTimeNs, paxXattrs } from "./pax.ts";
import { blockSize, type SparseMap, type TarEntry } from "./tar-entry.ts";
import { corrupt, isZeroBlock, parseHeader, type RawHeader, typeOf } from "./tar-header.ts";
import {
  checkSparseMap,
  dataSparseMap,
  hasSparseMapInData,
  oldSparse,
  oldSparseMore,
  paxRealSize,
  paxSparseMap,
} from "./tar-sparse.ts";

/** What a reader tells, in the archive's order: each entry, its content bit by bit, its end. */
export interface TarVisitor {
  entry(entry: TarEntry): void;
  /**
   * Content of the entry told last, `hole` zeros before it; the bytes are the reader's input, uncopied. `at` is where they lie in the archive:
   * a hole at the end of a file is told as one less and a zero that lies nowhere, at -1.
   */
  data(bytes: Buffer, hole: number, at: number): void;
  end(): void;
}

const maxExtendedHeader = 1 << 20;
const maxPathBytes = 4096;
const maxEntries = 4_000_000;
const nsPerSecond = 1_000_000_000n;
const noRecords: PaxRecords = new Map();

/** Where a reader stands: it wants a whole header block, an extended header's body, more of a sparse map, or content. */
type State = "header" | "extended" | "oldSparse" | "sparseMap" | "content" | "padding" | "ended";

/**
 * Reads a tar as its bytes come: ustar, GNU and pax, with long names, large numbers, binary attributes and sparse files.
 *
 * It calls its visitor at once and keeps nothing but what is split between two chunks, so memory stays small whatever the
 * archive holds. Errors are OnggiError `corrupt`.
 */
export class TarReader {
  readonly #visitor: TarVisitor;
  #state: State = "header";
  /** Where the next byte lies in the archive. */
  #position = 0;
  #carry: Buffer = Buffer.alloc(0);
  #entries = 0;

  #globals: PaxRecords = noRecords;
  #records: PaxRecords = noRecords;
  #paxSparse: SparseMap = [];
  #longPath: string | undefined;
  #longLink: string | undefined;

  #header: RawHeader | undefined;
  #wanted = blockSize;
  /** Stored bytes of content yet to come, and padding after it. */
  #left = 0;
  #padding = 0;
  #skipping = false;
  #sparse: { map: [number, number][]; realSize: number; piece: number; taken: number; position: number } | undefined;

  constructor(visitor: TarVisitor) {
    this.#visitor = visitor;
  }

  /** Where the reader stands in the archive; while it tells of a file without a map before its content, where that begins. */
  get position(): number {
    return this.#position;
  }

  /** How many of the bytes to come may be passed over by {@link skip}. */
  get skippable(): number {
    if (this.#state === "ended") return Number.POSITIVE_INFINITY;
    return this.#state === "content" && this.#sparse === undefined ? this.#left : 0;
  }

  /** Passes over content: the visitor isn't told of it. */
  skip(bytes: number): void {
    this.#position += bytes;
    if (this.#state === "ended") return;
    this.#left -= bytes;
    if (this.#left > 0) return;
    if (this.#skipping) this.#afterContent();
    else this.#finish();
  }

  write(chunk: Buffer): void {
    const start = this.#position;
    let at = 0;
    while (at < chunk.length && this.#state !== "ended") {
      if (this.#state === "content") {
        const take = Math.min(this.#left, chunk.length - at);
        this.#content(chunk.subarray(at, at + take), start + at);
        at += take;
      } else if (this.#state === "padding") {
        const take = Math.min(this.#padding, chunk.length - at);
        this.#padding -= take;
        at += take;
        if (this.#padding === 0) this.#expect("header", blockSize);
      } else {
        const take = Math.min(this.#wanted - this.#carry.length, chunk.length - at);
        const piece = chunk.subarray(at, at + take);
        at += take;
        this.#position = start + at;
        // Nearly always a block lies in one chunk and nothing is copied.
        const block = this.#carry.length === 0 ? piece : Buffer.concat([this.#carry, piece]);
        if (block.length < this.#wanted) this.#carry = Buffer.from(block);
        else {
          this.#carry = empty;
          this.#block(block);
        }
      }
    }
    this.#position = start + chunk.length;
  }

  /** Says that no more comes. @throws OnggiError `corrupt` when the archive is cut short */
  end(): void {
    if (this.#state === "ended") return;
    const isBetween = this.#state === "header" && this.#carry.length === 0 && !this.#hasExtension();
    // Docker and GNU tar take an archive whose two zero blocks at the end are missing, but not an empty file.
    if (!isBetween || this.#entries === 0) throw corrupt("it is cut short");
  }

  #block(block: Buffer): void {
    if (this.#state === "header") this.#headerBlock(block);
    else if (this.#state === "extended") this.#extendedBody(block);
    else if (this.#state === "oldSparse") this.#oldSparseBlock(block);
    else this.#sparseMapBlock(block);
  }

  #headerBlock(block: Buffer): void {
    if (isZeroBlock(block)) {
      if (this.#hasExtension()) throw corrupt("it ends after an extended header");
      this.#state = "ended";
      return;
    }
    const header = parseHeader(block);
    if (header.size < 0) throw corrupt("a member has a negative size");
    this.#header = header;
    if ("xgLK".includes(header.flag)) {
      if (header.size > maxExtendedHeader) throw corrupt(`an extended header has ${header.size} bytes`);
      if (header.size === 0) this.#expect("header", blockSize);
      else this.#expect("extended", roundUp(header.size));
      return;
    }
    if (header.flag === "S") {
      const { map, more, realSize } = oldSparse(block);
      this.#sparse = newSparse(map, realSize);
      if (more) this.#expect("oldSparse", blockSize);
      else this.#member(header);
      return;
    }
    this.#member(header);
  }

  #extendedBody(block: Buffer): void {
    const { flag, size } = this.#header ?? { flag: "", size: 0 };
    const body = block.subarray(0, size);
    if (flag === "L") this.#longPath = untilNul(body);
    else if (flag === "K") this.#longLink = untilNul(body);
    else {
      const { records, sparse } = parsePax(Buffer.from(body));
      if (flag === "g") this.#globals = new Map([...this.#globals, ...records]);
      else {
        this.#records = records;
        this.#paxSparse = sparse;
      }
    }
    this.#expect("header", blockSize);
  }

  #oldSparseBlock(block: Buffer): void {
    const { map, more } = oldSparseMore(block);
    for (const piece of map) this.#sparse?.map.push([...piece]);
    if (more) this.#expect("oldSparse", blockSize);
    else if (this.#header !== undefined) this.#member(this.#header);
  }

  /** A member itself: what extended headers said of it is put together with its block. */
  #member(header: RawHeader): void {
    if (++this.#entries > maxEntries) throw corrupt(`it has more than ${maxEntries} members`);
    const records = this.#globals === noRecords ? this.#records : new Map([...this.#globals, ...this.#records]);
    const type = typeOf(header.flag);
    const path = paxText(records, "GNU.sparse.name") ?? paxText(records, "path") ?? this.#longPath ?? header.path;
    const stored = paxSize(records, "size") ?? header.size;
    // Links, folders and devices may carry a size, but only a hard link written by pax has content.
    const hasContent = type === "file" || type === undefined || (type === "hardlink" && stored > 0 && records.size > 0);
    this.#left = hasContent ? stored : 0;
    this.#padding = roundUp(this.#left) - this.#left;

    if (type === undefined) {
      this.#skip();
      return;
    }
    if (Buffer.byteLength(path) > maxPathBytes) throw corrupt(`a path has more than ${maxPathBytes} bytes`);
    const isDirectory = type === "directory" || (type === "file" && path.endsWith("/") && header.flag !== "S");
    if (type === "file" && !isDirectory) this.#prepareSparse(records);
    const entry: TarEntry = {
      type: isDirectory ? "directory" : type,
      path,
      mode: header.mode,
      uid: paxSize(records, "uid") ?? header.uid,
      gid: paxSize(records, "gid") ?? header.gid,
      size: type === "file" && !isDirectory ? (this.#sparse?.realSize ?? stored) : 0,
      mtimeNs: paxTime(records) ?? BigInt(header.mtimeSeconds) * nsPerSecond,
      linkPath: paxText(records, "linkpath") ?? this.#longLink ?? header.linkPath,
      major: header.major,
      minor: header.minor,
      xattrs: paxXattrs(records),
    };
    const mapComesFirst = this.#sparse !== undefined && hasSparseMapInData(records);
    this.#forgetExtensions();
    this.#visitor.entry(entry);
    if (type !== "file" || isDirectory) this.#skip();
    else if (mapComesFirst) this.#expect("sparseMap", blockSize);
    else this.#beginContent();
  }

  #prepareSparse(records: PaxRecords): void {
    const realSize = paxRealSize(records);
    if (this.#sparse !== undefined || realSize === undefined) return;
    const map = paxSparseMap(records) ?? this.#paxSparse;
    this.#sparse = newSparse(map, realSize);
  }

  #sparseMapBlock(block: Buffer): void {
    const found = dataSparseMap(block);
    if (found === undefined) {
      if (this.#wanted > this.#left || this.#wanted > 64 * maxExtendedHeader)
        throw corrupt("a sparse file's map is cut short");
      this.#carry = Buffer.from(block);
      this.#wanted += blockSize;
      return;
    }
    this.#left -= found.bytes;
    if (this.#sparse !== undefined) this.#sparse.map = found.map.map((piece) => [...piece]);
    this.#beginContent();
  }

  #beginContent(): void {
    if (this.#sparse !== undefined) {
      // GNU tar marks the end of a file that ends in a hole with an empty piece.
      this.#sparse.map = this.#sparse.map.filter(([, length]) => length > 0);
      checkSparseMap(this.#sparse.map, this.#left, this.#sparse.realSize);
    }
    if (this.#left === 0) this.#finish();
    else this.#state = "content";
  }

  #content(bytes: Buffer, at: number): void {
    this.#left -= bytes.length;
    if (this.#skipping) {
      if (this.#left === 0) this.#afterContent();
      return;
    }
    if (this.#sparse === undefined) this.#visitor.data(bytes, 0, at);
    else this.#sparseContent(bytes, at);
    if (this.#left === 0) this.#finish();
  }

  #sparseContent(bytes: Buffer, from: number): void {
    const sparse = this.#sparse;
    for (let at = 0; sparse !== undefined && at < bytes.length; ) {
      const [offset, length] = sparse.map[sparse.piece] ?? [0, bytes.length];
      const take = Math.min(length - sparse.taken, bytes.length - at);
      const start = offset + sparse.taken;
      this.#visitor.data(bytes.subarray(at, at + take), start - sparse.position, from + at);
      at += take;
      sparse.position = start + take;
      sparse.taken += take;
      if (sparse.taken === length) {
        sparse.piece++;
        sparse.taken = 0;
      }
    }
  }

  #finish(): void {
    const hole = this.#sparse === undefined ? 0 : this.#sparse.realSize - this.#sparse.position;
    if (hole > 0) this.#visitor.data(zero, hole - 1, -1);
    this.#sparse = undefined;
    this.#visitor.end();
    this.#afterContent();
  }

  /** Passes over the content of what isn't a file. */
  #skip(): void {
    const isMember = this.#header !== undefined && typeOf(this.#header.flag) !== undefined;
    this.#forgetExtensions();
    this.#sparse = undefined;
    if (isMember) this.#visitor.end();
    if (this.#left === 0) {
      this.#afterContent();
      return;
    }
    this.#skipping = true;
    this.#state = "content";
  }

  #afterContent(): void {
    this.#skipping = false;
    if (this.#padding > 0) this.#state = "padding";
    else this.#expect("header", blockSize);
  }

  #expect(state: State, bytes: number): void {
    this.#state = state;
    this.#wanted = bytes;
  }

  #hasExtension(): boolean {
    return this.#records !== noRecords || this.#longPath !== undefined || this.#longLink !== undefined;
  }

  #forgetExtensions(): void {
    this.#records = noRecords;
    this.#paxSparse = [];
    this.#longPath = undefined;
    this.#longLink = undefined;
  }
}

const empty = Buffer.alloc(0);
const zero = Buffer.alloc(1);

function newSparse(map: SparseMap, realSize: number) {
  return {
    map: map.map(([offset, length]): [number, number] => [offset, length]),
    realSize,
    piece: 0,
    taken: 0,
    position: 0,
  };
}

function roundUp(size: number): number {
  return Math.ceil(size / blockSize) * blockSize;
}

function untilNul(body: Buffer): string {
  const end = body.indexOf(0);
  return textOf(end === -1 ? body : body.subarray(0, end));
}

function paxSize(records: PaxRecords, key: string): number | undefined {
  const value = records.get(key);
  return value === undefined || value.length === 0 ? undefined : paxNumber(value);
}

function paxTime(records: PaxRecords): bigint | undefined {
  const value = records.get("mtime");
  return value === undefined || value.length === 0 ? undefined : paxTimeNs(value);
}
