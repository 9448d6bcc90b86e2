/** The messages between engine, spawner's children and monitors; `protocol.md` says what each carries. */
export const frameType = {
  launch: 1,
  work: 2,
  stdin: 3,
  stdinClose: 4,
  resize: 5,
  signal: 6,
  subscribe: 7,
  credit: 8,
  prepare: 9,
  batch: 16,
  started: 64,
  failed: 65,
  output: 66,
  eof: 67,
  exited: 68,
  tornDown: 69,
  oom: 70,
  stdinCredit: 71,
  hello: 72,
  logError: 73,
  result: 80,
} as const;

export interface Frame {
  readonly type: number;
  readonly arg: number;
  readonly payload: Buffer;
}

const headerBytes = 8;
/** `u32 length` counts what follows it: four bytes of the header, and the payload. */
const lengthCovers = 4;
const maxLength = 64 * 1024 * 1024;

export const maxPayloadBytes: number = maxLength - lengthCovers;

/** The header that goes before a payload of `payloadBytes`. */
export function frameHeader(type: number, payloadBytes: number, arg = 0): Buffer {
  const header = Buffer.allocUnsafe(headerBytes);
  header.writeUInt32LE(payloadBytes + lengthCovers, 0);
  header[4] = type;
  header[5] = arg;
  header.writeUInt16LE(0, 6);
  return header;
}

/** A whole frame with a small payload. */
export function smallFrame(type: number, payload: Uint8Array = new Uint8Array(0), arg = 0): Buffer {
  return Buffer.concat([frameHeader(type, payload.length, arg), payload]);
}

/**
 * Cuts what a socket delivers into frames.
 *
 * The payload of OUTPUT is a piece of a stream, so it is handed on as it comes, without being put together: one frame
 * may give several calls.
 */
export class FrameReader {
  readonly #onFrame: (frame: Frame) => void;
  readonly #header: Buffer = Buffer.alloc(headerBytes);
  #headerHave = 0;
  #pieces: Buffer[] = [];
  #left = 0;

  constructor(onFrame: (frame: Frame) => void) {
    this.#onFrame = onFrame;
  }

  /** @throws RangeError when the bytes are no frames */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#headerHave < headerBytes) {
        const taken = chunk.copy(this.#header, this.#headerHave, at, at + headerBytes - this.#headerHave);
        this.#headerHave += taken;
        at += taken;
        if (this.#headerHave < headerBytes) return;
        const length = this.#header.readUInt32LE(0);
        if (length < lengthCovers || length > maxLength) throw new RangeError(`a frame of ${length} bytes`);
        this.#left = length - lengthCovers;
        if (this.#left === 0) this.#finish(Buffer.alloc(0));
        continue;
      }
      const piece = chunk.subarray(at, at + this.#left);
      at += piece.length;
      this.#left -= piece.length;
      this.#add(piece);
    }
  }

  #add(piece: Buffer): void {
    const isStream = this.#header[4] === frameType.output;
    if (this.#left > 0) {
      if (isStream) this.#onFrame({ type: frameType.output, arg: this.#header[5] ?? 0, payload: piece });
      else this.#pieces.push(piece);
    } else if (this.#pieces.length === 0) {
      this.#finish(piece);
    } else {
      this.#finish(Buffer.concat([...this.#pieces, piece]));
    }
  }

  #finish(payload: Buffer): void {
    const frame = { type: this.#header[4] ?? 0, arg: this.#header[5] ?? 0, payload };
    this.#headerHave = 0;
    this.#pieces = [];
    this.#onFrame(frame);
  }
}
