import { closeSync, constants, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { setImmediate as breathe } from "node:timers/promises";
import { constants as zlibConstants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { bytesOf, textOf } from "../base/byte-text.ts";
import { OnggiError } from "../base/error.ts";
import type { TreeFiles } from "./tree-files.ts";

/**
 * All of a layer's tar that isn't the content of its files, and where that content lies in the unpacked tree: with both, the very
 * same tar can be made again.
 *
 * ```
 * file     a line of JSON ({@link RecordHead}), then blocks: u32 length, zstd of a block
 * block    pieces: u32 length, bytes as they stand in the tar; u16 length, path of a file; where there is one: u64 offset, u64 length
 * ```
 */
export interface RecordHead {
  readonly format: 1;
  readonly diffId: string;
  /** Of the plain tar. */
  readonly plainBytes: number;
  /** Of all files in it. */
  readonly contentBytes: number;
  /** Whether blocks follow; without, the tar is found elsewhere. */
  readonly hasBlocks: boolean;
}

const headBytes = 512;
const blockBytes = 1 << 20;
const maxBlockBytes = 64 << 20;
const compression = { params: { [zlibConstants.ZSTD_c_compressionLevel]: 1 } };
const largeRead = 1 << 20;

/** Writes a record while the tar is read: what stands in the tar goes in unless it is told to be a file's content. */
export class TarRecorder {
  readonly #fd: number;
  #block = Buffer.allocUnsafe(blockBytes);
  #size = 0;
  /** The piece that is being put together: where its length stands, and how many bytes it has. */
  #piece = 0;
  #pieceBytes = 0;
  /** How far the tar is recorded. */
  #cursor = 0;
  #chunk: Buffer = Buffer.alloc(0);
  #chunkAt = 0;
  #content: { readonly path: string; readonly offset: number; length: number } | undefined;

  constructor(path: string) {
    this.#fd = openSync(path, "wx", 0o600);
    try {
      // The head takes its place when the layer's sizes are known.
      writeSync(this.#fd, Buffer.alloc(headBytes, " "));
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
    this.#beginPiece();
  }

  /** The bytes that are about to be read, and where they begin in the tar. */
  begin(chunk: Buffer, at: number): void {
    this.#chunk = chunk;
    this.#chunkAt = at;
  }

  /** `length` bytes at `at` are those of a file at `offset`. */
  content(at: number, length: number, path: string, offset: number): void {
    this.#literal(at);
    this.#cursor = at + length;
    const last = this.#content;
    if (last !== undefined && last.path === path && last.offset + last.length === offset) {
      last.length += length;
      return;
    }
    this.#endContent();
    this.#content = { path, offset, length };
  }

  /** All of the chunk was read. */
  end(): void {
    this.#literal(this.#chunkAt + this.#chunk.length);
  }

  finish(head: Omit<RecordHead, "format" | "hasBlocks">): void {
    this.#endContent();
    if (this.#pieceBytes > 0) this.#endPiece("", 0, 0);
    this.#flush();
    writeSync(this.#fd, encodeHead({ format: 1, ...head, hasBlocks: true }), 0, headBytes, 0);
    fsyncSync(this.#fd);
  }

  close(): void {
    closeSync(this.#fd);
  }

  #literal(until: number): void {
    const [from, to] = [Math.max(this.#cursor, this.#chunkAt), until];
    if (to <= from) return;
    this.#endContent();
    const bytes = this.#chunk.subarray(from - this.#chunkAt, to - this.#chunkAt);
    for (let at = 0; at < bytes.length; ) {
      // Room for what ends the piece is left.
      const room = this.#block.length - this.#size - tailBytes;
      if (room <= 0) {
        this.#endPiece("", 0, 0);
        continue;
      }
      const take = Math.min(room, bytes.length - at);
      bytes.copy(this.#block, this.#size, at, at + take);
      this.#size += take;
      this.#pieceBytes += take;
      at += take;
    }
    this.#cursor = to;
  }

  #endContent(): void {
    const content = this.#content;
    if (content === undefined) return;
    this.#content = undefined;
    this.#endPiece(content.path, content.offset, content.length);
  }

  #beginPiece(): void {
    this.#piece = this.#size;
    this.#size += 4;
    this.#pieceBytes = 0;
  }

  #endPiece(path: string, offset: number, length: number): void {
    const block = this.#block;
    block.writeUInt32LE(this.#pieceBytes, this.#piece);
    const pathBytes = bytesOf(path).copy(block, this.#size + 2);
    block.writeUInt16LE(pathBytes, this.#size);
    this.#size += 2 + pathBytes;
    if (pathBytes > 0) {
      this.#size = putU64(block, this.#size, offset);
      this.#size = putU64(block, this.#size, length);
    }
    this.#beginPiece();
    if (this.#size > block.length - 2 * tailBytes) this.#flush();
  }

  /** Writes the pieces that are done; the one that was begun is empty. */
  #flush(): void {
    if (this.#piece === 0) return;
    const packed = zstdCompressSync(this.#block.subarray(0, this.#piece), compression);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(packed.length);
    writeSync(this.#fd, length);
    writeSync(this.#fd, packed);
    this.#size = 0;
    this.#beginPiece();
  }
}

/** The most that ends a piece: a path and its numbers, and the next one's length. */
const tailBytes = 2 + 4096 + 16 + 4;

export function encodeHead(head: RecordHead): Buffer {
  const line = `${JSON.stringify(head)}\n`;
  return Buffer.from(line.padEnd(headBytes));
}

/** The head of a record, or undefined of what isn't one. */
export function readHead(path: string): RecordHead | undefined {
  const fd = openSync(path, "r");
  try {
    const bytes = Buffer.alloc(headBytes);
    const text = bytes.toString("utf8", 0, readSync(fd, bytes, 0, headBytes, 0)).trimEnd();
    const head = JSON.parse(text) as RecordHead;
    return head.format === 1 ? head : undefined;
  } catch {
    return undefined;
  } finally {
    closeSync(fd);
  }
}

/**
 * Makes the tar again that a record tells of.
 *
 * @throws OnggiError `corrupt` when record or tree aren't what they were
 */
export async function* rebuildTar(path: string, tree: TreeFiles): AsyncGenerator<Buffer> {
  const record = await open(path, constants.O_RDONLY);
  try {
    for (let at = headBytes; ; ) {
      const length = await readExactly(record, at, 4);
      if (length.length === 0) return;
      const size = length.length === 4 ? length.readUInt32LE(0) : 0;
      const packed = await readExactly(record, at + 4, Math.min(size, maxBlockBytes));
      if (size === 0 || packed.length !== size) throw damaged(path);
      at += 4 + size;
      yield* rebuildBlock(unpacked(packed, path), tree, path);
      await breathe();
    }
  } finally {
    await record.close();
  }
}

async function* rebuildBlock(block: Buffer, tree: TreeFiles, record: string): AsyncGenerator<Buffer> {
  let given = 0;
  for (let at = 0; at < block.length; ) {
    const literal = block.readUInt32LE(at);
    if (at + 4 + literal + 2 > block.length) throw damaged(record);
    if (literal > 0) yield block.subarray(at + 4, at + 4 + literal);
    at += 4 + literal;
    const pathBytes = block.readUInt16LE(at);
    at += 2;
    if (pathBytes === 0) continue;
    const path = textOf(block.subarray(at, at + pathBytes));
    at += pathBytes;
    const [offset, length] = [getU64(block, at), getU64(block, at + 8)];
    at += 16;
    for await (const bytes of contentOf(tree, path, offset, length)) {
      yield bytes;
      given += bytes.length;
    }
    if (given > largeRead) {
      given = 0;
      await breathe();
    }
  }
}

async function* contentOf(tree: TreeFiles, path: string, offset: number, length: number): AsyncGenerator<Buffer> {
  const fd = tree.open(path);
  try {
    for (let done = 0; done < length; ) {
      const buffer = Buffer.allocUnsafe(Math.min(largeRead, length - done));
      const got = readSync(fd, buffer, 0, buffer.length, offset + done);
      if (got === 0) throw new OnggiError("corrupt", `the unpacked file ${path} is shorter than it was`);
      yield buffer.subarray(0, got);
      done += got;
      if (done < length) await breathe();
    }
  } finally {
    closeSync(fd);
  }
}

async function readExactly(file: FileHandle, at: number, size: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(size);
  const { bytesRead } = await file.read(buffer, 0, size, at);
  return buffer.subarray(0, bytesRead);
}

function unpacked(packed: Buffer, path: string): Buffer {
  try {
    return zstdDecompressSync(packed, { maxOutputLength: maxBlockBytes });
  } catch (cause) {
    throw damaged(path, cause);
  }
}

function damaged(path: string, cause?: unknown): OnggiError {
  return new OnggiError("corrupt", `the record ${path} of a layer's tar is damaged`, {
    hint: "Pull or load the image again.",
    cause,
  });
}

function putU64(block: Buffer, at: number, value: number): number {
  block.writeUInt32LE(value >>> 0, at);
  block.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4);
  return at + 8;
}

function getU64(block: Buffer, at: number): number {
  return block.readUInt32LE(at) + block.readUInt32LE(at + 4) * 0x1_0000_0000;
}
