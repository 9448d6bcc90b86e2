import type { Amount, ContainerStorage } from "./model.ts";
import type { StorageBenchOptions, StorageMeasure } from "./storage-bench.ts";

/** Disk use and what keeps it in use: what `system df`, `system check` and the dashboard show. */
export interface StorageFace {
  /** Use of the host's file system, of the driver and of each container. */
  overview(): Promise<StorageOverview>;
  /** Every committed tree with its size and the names of all that stand on it. */
  layers(): Promise<readonly LayerUse[]>;
  /** What images share: each layer counted once, by the bytes of its files. */
  sharing(): ImageSharing;
  /**
   * Why an image's layers, or one layer, can't go: the trees that stand on them, down to containers.
   *
   * @param key - an image, or the chainID or diffID of a layer, or an unambiguous prefix of one
   * @throws OnggiError `not_found`, `invalid` for a prefix that fits several
   */
  why(key: string): Promise<LayerTree>;
  /** Looks anew at how near containers are to their limits; all of them unless some are named. */
  refresh(ids?: readonly string[]): Promise<void>;
  /** Measures what each driver's way of writing costs on this host; what is made for it goes again. */
  bench(options?: StorageBenchOptions): AsyncIterable<StorageMeasure>;
  /** Looks for what is broken or belongs to nobody, and mends it where asked. */
  check(options?: CheckOptions): AsyncIterable<StorageProblem>;
}

export interface FileSystemUse {
  /** `ext4`, `xfs`, …, or its magic number. */
  readonly type: string;
  readonly total: Amount;
  readonly used: Amount;
  /** For the engine; a file system without a fixed number of inodes has 0 in all and none used. */
  readonly free: Amount;
  /** Of what can be used, 0 to 100. */
  readonly percent: Amount;
}

export interface StorageOverview {
  readonly driver: string;
  readonly root: string;
  readonly fileSystem: FileSystemUse;
  /** Of the driver: committed trees and those of containers. */
  readonly layers: Amount & { readonly count: number };
  readonly containers: readonly (ContainerStorage & { readonly id: string; readonly name: string })[];
  /** At how many percent a warning is given. */
  readonly warnPercent: number;
  readonly warnings: readonly string[];
}

export interface LayerUse extends Amount {
  /** ChainID, or the name of another committed tree. */
  readonly id: string;
  readonly kind: "layer" | "snapshot";
  readonly parent: string | undefined;
  /** References of the images that hold it, or their ids where they have none. */
  readonly images: readonly string[];
  /** Names of the containers that stand on it. */
  readonly containers: readonly string[];
  /** Snapshots that stand on it. */
  readonly snapshots: readonly string[];
}

export interface ImageSharing {
  /** Of all layers, each once. */
  readonly layersBytes: number;
  /** By the image's id: bytes of those of its layers that another image has, too. */
  readonly sharedBytes: ReadonlyMap<string, number>;
}

/** A committed tree, and what stands on it. */
export interface LayerTree extends Amount {
  readonly id: string;
  readonly kind: "layer" | "snapshot" | "container" | "other";
  /** For people. */
  readonly name: string;
  /** Images whose topmost layer it is. */
  readonly images: readonly string[];
  readonly children: readonly LayerTree[];
}

export interface CheckOptions {
  readonly repair?: boolean;
  /** Reads all data and compares it with its digests. */
  readonly deep?: boolean;
  readonly signal?: AbortSignal;
}

export interface StorageProblem {
  /** What kind of thing it is about. */
  readonly subject: "blob" | "cgroup" | "container" | "folder" | "image" | "layer" | "lease" | "snapshot";
  readonly id: string;
  /** What is wrong, a sentence. */
  readonly problem: string;
  /** What mends it, a sentence. */
  readonly remedy: string;
  readonly state: "found" | "repaired" | "not repaired";
  /** Why a repair didn't succeed. */
  readonly error?: string;
}
