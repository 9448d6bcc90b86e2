import type { Worker } from "../executor/executor.ts";
import type { ChainId } from "../oci/digest.ts";

/** How a layer's deletions are kept: as overlayfs has them, or carried out on a copy of the layers below. */
export type WhiteoutStyle = "overlay" | "remove";

/** Performs file operations in a layer's folder, which it can't leave: `/` is the layer's own root. */
export type LayerWorker = Pick<Worker, "run">;

/** Fills a layer's folder. */
export type ApplyLayer = (worker: LayerWorker) => Promise<void>;

/** Where unpacked layers go; storage implements it, the engine hands it in. */
export interface LayerSink {
  readonly whiteouts: WhiteoutStyle;
  has(chainId: ChainId): Promise<boolean>;
  /**
   * Makes the layer `chainId` on its parent: an empty folder (`overlay`) or a copy of the parent's (`remove`), which `apply`
   * fills. The layer exists only once `apply` has resolved and all is on disk; when it rejects, nothing is left.
   */
  layer(chainId: ChainId, parent: ChainId | undefined, apply: ApplyLayer): Promise<void>;
  /** Removes a layer; `false` while something stands on it. One that isn't there is removed already. */
  remove(chainId: ChainId): Promise<boolean>;
  /** All layers there are, so that those that no image needs can be found after a crash. */
  list(): Promise<readonly ChainId[]>;
}
