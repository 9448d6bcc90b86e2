import type { Output } from "./io.ts";
import { write } from "./io.ts";

const headerLength = 8;
/** The daemon's own word on a stream that broke. */
const systemError = 3;

/**
 * Parts Docker's multiplexed stream: frames of a header (stream, three zeros, length in four bytes) and their data.
 *
 * Frames of one stream that came together are written together.
 */
export class Demultiplexer {
  readonly #outputs: readonly [stdout: () => Output, stderr: () => Output];
  #header = Buffer.alloc(headerLength);
  #headerFilled = 0;
  #left = 0;
  #stream = 1;
  #error = "";

  constructor(stdout: () => Output, stderr: () => Output) {
    this.#outputs = [stdout, stderr];
  }

  /** What the daemon reported within the stream; empty for nothing. */
  get error(): string {
    return this.#error;
  }

  async push(chunk: Buffer): Promise<void> {
    let pending: Buffer[] = [];
    let pendingStream = this.#stream;
    const flush = async () => {
      if (pending.length === 0) return;
      const data = pending.length === 1 && pending[0] !== undefined ? pending[0] : Buffer.concat(pending);
      pending = [];
      await this.#deliver(pendingStream, data);
    };

    for (let at = 0; at < chunk.length; ) {
      if (this.#left === 0) {
        at += this.#fillHeader(chunk, at);
        continue;
      }
      if (this.#stream !== pendingStream) {
        await flush();
        pendingStream = this.#stream;
      }
      const data = chunk.subarray(at, at + this.#left);
      pending.push(data);
      this.#left -= data.length;
      at += data.length;
    }
    await flush();
  }

  #fillHeader(chunk: Buffer, at: number): number {
    const taken = chunk.copy(this.#header, this.#headerFilled, at, at + headerLength - this.#headerFilled);
    this.#headerFilled += taken;
    if (this.#headerFilled === headerLength) {
      this.#headerFilled = 0;
      this.#stream = this.#header.readUInt8(0);
      this.#left = this.#header.readUInt32BE(4);
    }
    return taken;
  }

  async #deliver(stream: number, data: Buffer): Promise<void> {
    if (stream === systemError) this.#error += data.toString();
    else await write(this.#outputs[stream === 2 ? 1 : 0](), data);
  }
}
