import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { OnggiError } from "../base/error.ts";
import type { LayerBatch, LayerFacts, LayerJob } from "./layer-job.ts";
import { control, type LayerAnswer, type LayerOrder } from "./layer-orders.ts";

const maxThreads = 4;
/** An idle thread keeps some MiB. */
const idleMs = 2000;

interface Thread {
  readonly worker: Worker;
  timer: NodeJS.Timeout | undefined;
}

/** Threads that read layers beside the event loop: as many as there are processors, started when needed, ended when idle. */
export class LayerThreads {
  readonly #idle: Thread[] = [];
  readonly #waiting: (() => void)[] = [];
  #busy = 0;
  readonly #limit = Math.min(maxThreads, availableParallelism());

  /**
   * Reads a layer; `take` is given what is found, in order, and holds the thread back while it is busy.
   *
   * @throws OnggiError as `readLayer`; what `take` threw; the signal's reason
   */
  async run(
    job: LayerJob,
    take: (batch: LayerBatch) => Promise<void>,
    signal?: AbortSignal | undefined,
  ): Promise<LayerFacts> {
    signal?.throwIfAborted();
    while (this.#busy >= this.#limit) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#busy++;
    try {
      signal?.throwIfAborted();
      return await this.#perform(job, take, signal);
    } finally {
      this.#busy--;
      this.#waiting.shift()?.();
    }
  }

  async #perform(
    job: LayerJob,
    take: (batch: LayerBatch) => Promise<void>,
    signal: AbortSignal | undefined,
  ): Promise<LayerFacts> {
    const thread = this.#idle.pop() ?? startThread();
    clearTimeout(thread.timer);
    const { worker } = thread;
    worker.ref();
    const shared = new SharedArrayBuffer(4 * control.words);
    const words = new Int32Array(shared);
    let failure: { readonly error: unknown } | undefined;
    const stop = (error: unknown) => {
      failure ??= { error };
      Atomics.store(words, control.stop, 1);
      Atomics.notify(words, control.inFlight);
    };
    const abort = () => stop(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });

    const outcome = Promise.withResolvers<Exclude<LayerAnswer, { batch: LayerBatch }>>();
    let taken: Promise<void> = Promise.resolve();
    const onMessage = (answer: LayerAnswer) => {
      if (!("batch" in answer)) {
        outcome.resolve(answer);
        return;
      }
      taken = taken
        .then(() => (failure === undefined ? take(answer.batch) : undefined))
        .catch(stop)
        .finally(() => {
          Atomics.sub(words, control.inFlight, 1);
          Atomics.notify(words, control.inFlight);
        });
    };
    const onLost = (error?: unknown) => outcome.reject(threadLost(error));
    worker.on("message", onMessage).once("error", onLost).once("exit", onLost);
    try {
      worker.postMessage({ job, shared } satisfies LayerOrder);
      const answer = await outcome.promise;
      await taken;
      if (failure !== undefined) throw failure.error;
      if ("error" in answer) {
        const { code, message, hint } = answer.error;
        throw new OnggiError(code, message, { hint });
      }
      this.#rest(thread);
      return answer.done;
    } catch (error) {
      // It has answered, unless it was lost: then there is nothing to keep.
      if (worker.threadId >= 0) this.#rest(thread);
      throw error;
    } finally {
      worker.off("message", onMessage).off("error", onLost).off("exit", onLost);
      signal?.removeEventListener("abort", abort);
    }
  }

  #rest(thread: Thread): void {
    if (this.#idle.includes(thread)) return;
    this.#idle.push(thread);
    thread.worker.unref();
    thread.timer = setTimeout(() => {
      const at = this.#idle.indexOf(thread);
      if (at !== -1) this.#idle.splice(at, 1);
      void thread.worker.terminate();
    }, idleMs);
    thread.timer.unref();
  }
}

function startThread(): Thread {
  const worker = new Worker(threadFile(), {
    resourceLimits: { maxYoungGenerationSizeMb: 4 },
    stdin: false,
  });
  // Who waits for it is told; an idle one is missed by nobody.
  worker.on("error", () => {});
  return { worker, timer: undefined };
}

/** Beside the bundle, or the source as it is. */
function threadFile(): string {
  const candidates = ["layer-thread.js", "layer-thread.ts"].map((name) => join(import.meta.dirname, name));
  const found = candidates.find(existsSync);
  if (found !== undefined) return found;
  throw new OnggiError("unsupported", `${candidates[0]} is missing, which reads layers`, {
    hint: "Build it: npm run build",
  });
}

function threadLost(cause: unknown): OnggiError {
  return new OnggiError("internal", "the thread that reads layers ended", { cause });
}
