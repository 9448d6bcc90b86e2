import type { ErrorCode } from "../base/error.ts";
import type { LayerBatch, LayerFacts, LayerJob } from "./layer-job.ts";

/** What the thread shares with who gave it a job: how many batches are on their way, and whether to stop. */
export const control = { inFlight: 0, stop: 1, words: 2 } as const;

export interface LayerOrder {
  readonly job: LayerJob;
  readonly shared: SharedArrayBuffer;
}

export type LayerAnswer =
  | { readonly batch: LayerBatch }
  | { readonly done: LayerFacts }
  | { readonly error: { readonly code: ErrorCode; readonly message: string; readonly hint: string | undefined } };
