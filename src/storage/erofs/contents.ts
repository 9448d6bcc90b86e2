import { OnggiError } from "../../base/error.ts";
import type { LayerEntry, LayerExtent } from "../layer-archive.ts";
import { alignUp, maxChunkBits } from "./format.ts";
import { type Content, holeBlock } from "./tree.ts";

/** A piece of the archive that has to be copied to the layer's second file, since it can't be pointed to where it lies. */
export interface SpilledPiece {
  readonly archiveOffset: number;
  readonly offset: number;
  readonly length: number;
}

/** The archive is an image's first device and what had to be copied its second. */
export const archiveDevice = 1;
export const spillDevice = 2;
/** A tar's own unit. */
export const blockBytes = 512;

/** A file with holes is cut into so many chunks, or 16 for each of its pieces where that is more: each takes 8 bytes of the image. */
const fewChunks = 1024;
const chunksPerPiece = 16;

/**
 * Says for the files of an archive where their content lies in it.
 *
 * Chunks of one file all have one size, and begin in the archive at a block. What of a file with holes doesn't fit that, and
 * what a cut archive lacks the padding of, is copied: a list of pieces for a second file, which has the holes again.
 */
export class ContentMap {
  readonly #archiveBytes: number;
  #spilled: SpilledPiece[] = [];
  #spillBytes = 0;

  constructor(archiveBytes: number) {
    this.#archiveBytes = archiveBytes;
  }

  /** Bytes of the second file. */
  get spillBytes(): number {
    return this.#spillBytes;
  }

  /** The pieces to copy since it was asked last. */
  takeSpilled(): readonly SpilledPiece[] {
    const pieces = this.#spilled;
    this.#spilled = [];
    return pieces;
  }

  contentOf({ path, size, extents }: Pick<LayerEntry, "path" | "size" | "extents">): Content | undefined {
    if (size === 0) return undefined;
    const pieces = extents.filter(({ length }) => length > 0);
    check(path, size, pieces);
    const [first] = pieces;
    if (first === undefined) return this.#inChunks(size, chunkBitsFor(size), pieces);
    const isWhole = pieces.length === 1 && first.offset === 0 && first.length === size;
    if (isWhole) return this.#inChunks(size, chunkBitsFor(size), pieces);
    const most = Math.max(fewChunks, chunksPerPiece * pieces.length);
    const bits = Math.max(commonBits(size, pieces), chunkBitsFor(Math.ceil(size / most)));
    return this.#inChunks(size, Math.min(bits, chunkBitsFor(size)), pieces);
  }

  #inChunks(size: number, chunkBits: number, pieces: readonly LayerExtent[]): Content {
    const chunkBytes = blockBytes * 2 ** chunkBits;
    const chunks: number[] = [];
    let next = 0;
    for (let start = 0; start < size; start += chunkBytes) {
      const end = Math.min(start + chunkBytes, size);
      while (next < pieces.length && endOf(pieces[next]) <= start) next += 1;
      const piece = pieces[next];
      if (piece === undefined || piece.offset >= end) chunks.push(0, holeBlock);
      else if (this.#isInPlace(piece, start, end)) {
        chunks.push(archiveDevice, blockNumber(piece.archiveOffset + start - piece.offset));
      } else chunks.push(spillDevice, this.#spill(pieces, next, start, end));
    }
    return { chunkBits, chunks };
  }

  #isInPlace(piece: LayerExtent, start: number, end: number): boolean {
    if (piece.offset > start || endOf(piece) < end) return false;
    const at = piece.archiveOffset + start - piece.offset;
    return at % blockBytes === 0 && at + alignUp(end - start, blockBytes) <= this.#archiveBytes;
  }

  /** @returns the block of the second file that the chunk starts at */
  #spill(pieces: readonly LayerExtent[], first: number, start: number, end: number): number {
    const base = this.#spillBytes;
    for (let index = first; index < pieces.length; index++) {
      const piece = pieces[index];
      if (piece === undefined || piece.offset >= end) break;
      const from = Math.max(start, piece.offset);
      const length = Math.min(end, endOf(piece)) - from;
      const archiveOffset = piece.archiveOffset + from - piece.offset;
      if (length > 0) this.#spilled.push({ archiveOffset, offset: base + from - start, length });
    }
    this.#spillBytes += alignUp(end - start, blockBytes);
    return blockNumber(base);
  }
}

function endOf(piece: LayerExtent | undefined): number {
  return piece === undefined ? Number.POSITIVE_INFINITY : piece.offset + piece.length;
}

/** The size of chunks, as a power of two of blocks, of which one holds so many bytes. */
export function chunkBitsFor(bytes: number): number {
  return Math.min(maxChunkBits, Math.max(0, Math.ceil(Math.log2(bytes / blockBytes))));
}

/** The largest chunks at whose borders all pieces begin and end; the file's end may lie within the last. */
function commonBits(size: number, pieces: readonly LayerExtent[]): number {
  let bits: number = maxChunkBits;
  for (const piece of pieces) {
    const ends = endOf(piece) === size ? [piece.offset] : [piece.offset, endOf(piece)];
    for (const end of ends) while (bits > 0 && end % (blockBytes * 2 ** bits) !== 0) bits -= 1;
  }
  return bits;
}

function blockNumber(offset: number): number {
  const block = offset / blockBytes;
  if (block < holeBlock) return block;
  throw new OnggiError("unsupported", "the layer is larger than 2 TiB, which an EROFS image can't point into", {
    hint: "Choose --storage-driver overlay.",
  });
}

function check(path: string, size: number, pieces: readonly LayerExtent[]): void {
  let position = 0;
  for (const { offset, length, archiveOffset } of pieces) {
    if (offset < position || archiveOffset < 0 || offset + length > size) {
      throw new OnggiError("corrupt", `the pieces of ${JSON.stringify(path)} don't fit its size`);
    }
    position = offset + length;
  }
}
