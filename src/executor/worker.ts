import { OnggiError } from "../base/error.ts";
import { encodeOps, SlotNumbers } from "../program/encode.ts";
import type { Op } from "../program/op.ts";
import type { Connection } from "./connection.ts";
import type { Worker } from "./executor.ts";
import { type Describe, stepFailure } from "./failed-step.ts";
import { type Frame, frameType, maxPayloadBytes } from "./frames.ts";

/** Batches are cut so that neither side holds much more than this at a time. */
const batchBytes = 4 * 1024 * 1024;
const batchOps = 20_000;
/** The most an op takes besides its data: its path and numbers. */
const opBytes = 256;

/** Makes a worker of a fresh connection's other side; its prelude is done when this resolves. */
export async function openWorker(connection: Connection, prelude: readonly Op[], describe: Describe): Promise<Worker> {
  const worker = new ConnectedWorker(connection, describe);
  try {
    await worker.begin(prelude);
  } catch (error) {
    await worker.close();
    throw error;
  }
  return worker;
}

interface Waiting {
  readonly ops: readonly Op[];
  readonly answer: PromiseWithResolvers<readonly Uint8Array[]>;
}

class ConnectedWorker implements Worker {
  readonly #connection: Connection;
  readonly #describe: Describe;
  readonly #slots = new SlotNumbers();
  readonly #waiting: Waiting[] = [];
  readonly #closed = Promise.withResolvers<void>();
  #gone = false;

  constructor(connection: Connection, describe: Describe) {
    this.#connection = connection;
    this.#describe = describe;
    connection.listen(
      (frame) => this.#receive(frame),
      () => this.#lost(),
    );
  }

  async begin(prelude: readonly Op[]): Promise<void> {
    await this.#send(frameType.work, prelude);
  }

  async run(ops: readonly Op[]): Promise<readonly Uint8Array[]> {
    const data: Uint8Array[] = [];
    // One after the other: what follows a step that failed must not be done.
    for (const batch of batches(ops)) data.push(...(await this.#send(frameType.batch, batch)));
    return data;
  }

  close(): Promise<void> {
    this.#connection.close();
    return this.#closed.promise;
  }

  async #send(type: number, ops: readonly Op[]): Promise<readonly Uint8Array[]> {
    if (this.#gone) throw workerGone();
    const payload = encodeOps(ops, this.#slots);
    if (payload.length > maxPayloadBytes) throw new OnggiError("invalid", "one op is larger than 64 MiB");
    const answer = Promise.withResolvers<readonly Uint8Array[]>();
    this.#waiting.push({ ops, answer });
    this.#connection.send(type, payload);
    return answer.promise;
  }

  #receive({ type, payload }: Frame): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined || type !== frameType.result) {
      this.#connection.close();
      return;
    }
    const index = payload.readUInt32LE(0);
    const errno = payload.readInt32LE(4);
    if (errno === 0) waiting.answer.resolve(readData(payload));
    else waiting.answer.reject(stepFailure("batch", { ops: waiting.ops, index, errno }, this.#describe));
  }

  #lost(): void {
    this.#gone = true;
    for (const { answer } of this.#waiting.splice(0)) answer.reject(workerGone());
    this.#closed.resolve();
  }
}

/** Cuts a long list into batches that the executor takes. */
function* batches(ops: readonly Op[]): Iterable<readonly Op[]> {
  let from = 0;
  let bytes = 0;
  for (const [i, op] of ops.entries()) {
    bytes += opBytes + dataBytes(op);
    if (bytes < batchBytes && i - from + 1 < batchOps) continue;
    yield ops.slice(from, i + 1);
    from = i + 1;
    bytes = 0;
  }
  if (from < ops.length || ops.length === 0) yield from === 0 ? ops : ops.slice(from);
}

function dataBytes(op: Op): number {
  if (op.op === "append" || op.op === "writeFile") return op.data.length;
  if (op.op === "ioctl" || op.op === "quotactl") return op.argument.length;
  if (op.op === "dataExtents") return op.maxCount * 16;
  return "maxBytes" in op ? Number(op.maxBytes) : 0;
}

/** What each operation that carries data answered: `u32 length`, bytes. */
function readData(payload: Buffer): Uint8Array[] {
  const data: Uint8Array[] = [];
  for (let at = 8; at < payload.length; ) {
    const length = payload.readUInt32LE(at);
    data.push(payload.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return data;
}

function workerGone(): OnggiError {
  return new OnggiError("unavailable", "the executor's worker is gone", {
    hint: "It was closed or killed: try again.",
  });
}
