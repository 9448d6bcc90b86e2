import type { OutputChunk } from "./model.ts";

/** How much a reader may have waiting before the process is held back. */
const highWaterBytes = 256 * 1024;

/**
 * Hands the output of one process to any number of readers.
 *
 * A reader that falls behind holds the process back (its `push` stays unresolved): what was asked for is never dropped.
 * Readers that came before the process started miss nothing.
 */
export class OutputHub {
  readonly #readers = new Set<OutputReader>();
  #ended = false;

  get readers(): number {
    return this.#readers.size;
  }

  /** Adds a reader; `onLeave` is called once, when it lets go before the end. */
  open(wanted: { readonly stdout: boolean; readonly stderr: boolean }, onLeave: () => void = () => {}): OutputReader {
    const reader = new OutputReader(wanted, () => {
      if (this.#readers.delete(reader)) onLeave();
    });
    if (this.#ended) reader.end();
    else this.#readers.add(reader);
    return reader;
  }

  /** Gives a chunk to all; the promise, where there is one, resolves when the slowest has room again. */
  push(chunk: OutputChunk): Promise<unknown> | undefined {
    const waits: Promise<void>[] = [];
    for (const reader of this.#readers) {
      const wait = reader.push(chunk);
      if (wait !== undefined) waits.push(wait);
    }
    return waits.length === 0 ? undefined : Promise.all(waits);
  }

  /** Ends all readers, those to come as well. */
  end(): void {
    this.#ended = true;
    for (const reader of this.#readers) reader.end();
    this.#readers.clear();
  }

  /** Makes the hub ready for the next run of the same container; readers that wait already stay. */
  reopen(): void {
    this.#ended = false;
  }
}

/** One reader's queue. */
export class OutputReader implements AsyncIterable<OutputChunk> {
  readonly #wanted: { readonly stdout: boolean; readonly stderr: boolean };
  readonly #leave: () => void;
  #queue: OutputChunk[] = [];
  #queuedBytes = 0;
  #ended = false;
  #wakeReader: (() => void) | undefined;
  #roomWaiters: (() => void)[] = [];

  constructor(wanted: { readonly stdout: boolean; readonly stderr: boolean }, leave: () => void) {
    this.#wanted = wanted;
    this.#leave = leave;
  }

  push(chunk: OutputChunk): Promise<void> | undefined {
    if (this.#ended || !this.#wanted[chunk.stream]) return undefined;
    this.#queue.push(chunk);
    this.#queuedBytes += chunk.data.length;
    this.#wakeReader?.();
    if (this.#queuedBytes < highWaterBytes) return undefined;
    return new Promise((resolve) => this.#roomWaiters.push(resolve));
  }

  end(): void {
    this.#ended = true;
    this.#wakeReader?.();
    this.#release();
  }

  /** Lets go: nothing more is delivered, nobody waits for it. */
  close(): void {
    this.#queue = [];
    this.#queuedBytes = 0;
    this.end();
    this.#leave();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<OutputChunk> {
    try {
      for (;;) {
        const chunks = this.#queue;
        if (chunks.length > 0) {
          this.#queue = [];
          this.#queuedBytes = 0;
          yield* chunks;
          this.#release();
        } else if (this.#ended) {
          return;
        } else {
          await new Promise<void>((resolve) => {
            this.#wakeReader = resolve;
          });
          this.#wakeReader = undefined;
        }
      }
    } finally {
      this.close();
    }
  }

  #release(): void {
    const waiters = this.#roomWaiters;
    this.#roomWaiters = [];
    for (const resolve of waiters) resolve();
  }
}
