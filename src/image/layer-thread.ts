/** A thread that reads layers, one after the other: what {@link LayerThreads} starts. */
import { parentPort } from "node:worker_threads";
import { diskError } from "../base/atomic-file.ts";
import { isOnggiError, messageOf } from "../base/error.ts";
import { type LayerBatch, readLayer } from "./layer-job.ts";
import { control, type LayerAnswer, type LayerOrder } from "./layer-orders.ts";

/** More would only fill memory: who performs them is slower. */
const maxInFlight = 4;

class Stopped extends Error {}

parentPort?.on("message", ({ job, shared }: LayerOrder) => {
  const words = new Int32Array(shared);
  const answer = (message: LayerAnswer) => parentPort?.postMessage(message);
  const emit = (batch: LayerBatch) => {
    for (let waiting = Atomics.load(words, control.inFlight); waiting >= maxInFlight; ) {
      if (Atomics.load(words, control.stop) === 1) break;
      Atomics.wait(words, control.inFlight, waiting);
      waiting = Atomics.load(words, control.inFlight);
    }
    if (Atomics.load(words, control.stop) === 1) throw new Stopped("the job was stopped");
    Atomics.add(words, control.inFlight, 1);
    answer({ batch });
  };
  readLayer(job, emit).then(
    (done) => answer({ done }),
    (thrown: unknown) => {
      const error = diskError(thrown, job.plainPath ?? job.recordPath ?? job.source.path);
      const known = isOnggiError(error)
        ? error
        : { code: "internal" as const, message: messageOf(error), hint: undefined };
      answer({ error: { code: known.code, message: known.message, hint: known.hint } });
    },
  );
});
