import type { Worker } from "../executor/executor.ts";
import type { ChainId } from "../oci/digest.ts";
import type { TarEntry } from "./tar-entry.ts";

/** How a layer's deletions are kept: as overlayfs has them, or carried out on a copy of the layers below. */
export type WhiteoutStyle = "overlay" | "remove";

/** Performs file operations in a layer's folder, which it can't leave: `/` is the layer's own root. */
export type LayerWorker = Pick<Worker, "run">;

/** Fills a layer's folder; tells whether the layer says what owner and mode its root has. */
export type ApplyLayer = (worker: LayerWorker) => Promise<{ readonly hasRoot: boolean }>;

/** What a layer is made of and stands on. */
export interface LayerMaterial {
  /** The file with the plain tar: the worker has it open as the slot `tar`. */
  readonly tarPath: string;
  /** Resolves when the parent is there; filling a folder needn't wait for it where the storage can do without. */
  readonly below: Promise<unknown>;
}

/** A layer as a plain tar in a file of the data root's file system, and what is in it. */
export interface LayerTar {
  readonly path: string;
  readonly bytes: number;
  /** Its diffID, checked. */
  readonly digest: string;
  entries(): Iterable<LayerTarEntry>;
}

/** A member of the archive, and where its content lies: what is between the extents is a hole. */
export interface LayerTarEntry extends TarEntry {
  readonly extents: readonly { readonly offset: number; readonly archiveOffset: number; readonly length: number }[];
}

/** Where layers go; storage implements it, the engine hands it in. */
export interface LayerSink {
  readonly whiteouts: WhiteoutStyle;
  has(chainId: ChainId): Promise<boolean>;
  /**
   * Makes the layer `chainId` on its parent: an empty folder (`overlay`) or a copy of the parent's (`remove`), which `apply`
   * fills. The layer exists only once `apply` has resolved and all is on disk; when it rejects, nothing is left.
   */
  layer(chainId: ChainId, parent: ChainId | undefined, apply: ApplyLayer, material: LayerMaterial): Promise<void>;
  /** Where layers are archives: makes the layer of one; its parent is there. It is called instead of {@link layer}. */
  readonly importTar?: ((chainId: ChainId, parent: ChainId | undefined, layer: LayerTar) => Promise<void>) | undefined;
  /** The folder with a layer's files, to read them again; undefined where there is none. */
  tree?(chainId: ChainId): string | undefined;
  /** The plain tar that a layer was made of, where it is kept. */
  tar?(chainId: ChainId): string | undefined;
  /** Removes a layer; `false` while something stands on it. One that isn't there is removed already. */
  remove(chainId: ChainId): Promise<boolean>;
  /** All layers there are, so that those that no image needs can be found after a crash. */
  list(): Promise<readonly ChainId[]>;
}
