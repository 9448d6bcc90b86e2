import { createHash } from "node:crypto";
import { isOnggiError, OnggiError } from "../base/error.ts";
import type { DiffId, Digest } from "../oci/digest.ts";
import { decompress } from "./decompress.ts";
import { LayerOps } from "./layer-ops.ts";
import type { LayerWorker, WhiteoutStyle } from "./layer-sink.ts";
import { TarReader } from "./tar-reader.ts";

const batchBytes = 768 << 10;
const maxInFlight = 3;

export interface UnpackOptions {
  readonly diffId: DiffId;
  /** Of the stored bytes, checked when they were stored: where it is the diffID too, nothing is hashed again. */
  readonly storedDigest: Digest;
  readonly whiteouts: WhiteoutStyle;
  /** Called with how many bytes of the stored layer have been read. */
  readonly onProgress?: ((storedBytes: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Unpacks a stored layer through a worker that is jailed in the layer's folder.
 *
 * Reading, decompressing, hashing and parsing go on while the worker writes: a few batches are on their way at a time.
 *
 * @returns the bytes of all files in it
 * @throws OnggiError `corrupt` when the plain tar isn't the one that `diffId` names, or is damaged
 */
export async function unpackLayer(
  stored: AsyncIterable<Uint8Array>,
  worker: LayerWorker,
  options: UnpackOptions,
): Promise<number> {
  const { diffId, whiteouts, signal } = options;
  const ops = new LayerOps(whiteouts);
  const reader = new TarReader(ops);
  const batches = new Batches(worker);
  const hash = String(options.storedDigest) === String(diffId) ? undefined : createHash("sha256");
  try {
    for await (const chunk of decompress(counted(stored, options.onProgress), { signal })) {
      signal?.throwIfAborted();
      hash?.update(chunk);
      reader.write(chunk);
      if (ops.bytes >= batchBytes) await batches.send(ops);
    }
    reader.end();
    const found = hash === undefined ? diffId : `sha256:${hash.digest("hex")}`;
    if (found !== diffId) {
      throw new OnggiError("corrupt", `layer ${diffId} is damaged: its tar has the digest ${found}`, {
        hint: "Pull or load the image again.",
      });
    }
    ops.finish();
    await batches.send(ops);
    await batches.drain();
  } catch (error) {
    await batches.settle();
    throw isOnggiError(error, "corrupt") && !error.message.startsWith("layer ")
      ? new OnggiError("corrupt", `layer ${diffId}: ${error.message}`, { hint: error.hint, cause: error })
      : error;
  }
  return ops.contentBytes;
}

/** Keeps a few batches on their way, in order; the first failure is told at the next send. */
class Batches {
  readonly #worker: LayerWorker;
  #inFlight: Promise<unknown>[] = [];
  #failure: { readonly error: unknown } | undefined;

  constructor(worker: LayerWorker) {
    this.#worker = worker;
  }

  async send(ops: LayerOps): Promise<void> {
    for (const batch of ops.take()) {
      this.#throwIfFailed();
      const work = this.#worker.run(batch).catch((error: unknown) => {
        this.#failure ??= { error };
      });
      this.#inFlight.push(work);
      while (this.#inFlight.length >= maxInFlight) await this.#inFlight.shift();
    }
    this.#throwIfFailed();
  }

  async drain(): Promise<void> {
    await this.settle();
    this.#throwIfFailed();
  }

  async settle(): Promise<void> {
    await Promise.all(this.#inFlight);
    this.#inFlight = [];
  }

  #throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}

async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  onProgress: ((bytes: number) => void) | undefined,
): AsyncGenerator<Uint8Array> {
  let total = 0;
  for await (const chunk of chunks) {
    total += chunk.length;
    onProgress?.(total);
    yield chunk;
  }
}
