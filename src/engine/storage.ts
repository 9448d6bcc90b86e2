import { isOnggiError } from "../base/error.ts";
import type { Snapshotter } from "../storage/snapshotter.ts";
import type { Amount } from "./model.ts";
import type { StorageBenchOptions, StorageMeasure } from "./storage-bench.ts";
import { type CheckParts, checkStorage } from "./storage-check.ts";
import type {
  CheckOptions,
  ImageSharing,
  LayerTree,
  LayerUse,
  StorageFace,
  StorageOverview,
  StorageProblem,
} from "./storage-face.ts";
import { imageSharing, type LayerWorld, layerUses, whyTree } from "./storage-layers.ts";
import type { StorageUsage } from "./storage-usage.ts";
import { hostFileSystem, type StorageWatch } from "./storage-watch.ts";

export interface StorageParts extends CheckParts {
  readonly usage: StorageUsage;
  readonly watch: StorageWatch;
  readonly warnPercent: number;
  bench(options?: StorageBenchOptions): AsyncIterable<StorageMeasure>;
  /** For people: of a tree that isn't a layer. */
  nameOfTree(tree: string): string;
}

/** What the disk holds, who holds it, and whether all is well with it. */
export class Storage implements StorageFace {
  readonly #parts: StorageParts;

  constructor(parts: StorageParts) {
    this.#parts = parts;
  }

  async overview(): Promise<StorageOverview> {
    const { root, snapshotter, names, usage, watch, warnPercent } = this.#parts;
    await watch.look();
    const committed = [...snapshotter.list()].filter(({ kind }) => kind === "committed");
    const sizes = await sizesOf(
      snapshotter,
      committed.map(({ id }) => id),
    );
    const layers = { bytes: 0, inodes: 0, count: committed.length };
    for (const { bytes, inodes } of sizes.values()) {
      layers.bytes += bytes;
      layers.inodes += inodes;
    }
    const containers = await Promise.all(
      [...names.all].map(async ({ id, record }) => ({
        id,
        name: record.name,
        ...(await usage.of({ id, limit: record.config.storage })),
      })),
    );
    return {
      driver: snapshotter.driver,
      root,
      fileSystem: hostFileSystem(root),
      layers,
      containers,
      warnPercent,
      warnings: watch.warnings,
    };
  }

  async layers(): Promise<readonly LayerUse[]> {
    return layerUses(await this.#world());
  }

  sharing(): ImageSharing {
    return imageSharing(this.#parts.images.layered());
  }

  async why(key: string): Promise<LayerTree> {
    const image = await this.#parts.images.get(key).catch((error: unknown) => {
      if (isOnggiError(error, "not_found") || isOnggiError(error, "invalid")) return undefined;
      throw error;
    });
    return whyTree(await this.#world(), image?.id ?? key);
  }

  async refresh(ids?: readonly string[]): Promise<void> {
    const { names, watch } = this.#parts;
    for (const container of names.all) {
      if (container.record.config.storage === undefined) continue;
      if (ids === undefined || ids.includes(container.id)) await watch.lookAt(container).catch(() => {});
    }
  }

  bench(options?: StorageBenchOptions): AsyncIterable<StorageMeasure> {
    return this.#parts.bench(options);
  }

  check(options?: CheckOptions): AsyncIterable<StorageProblem> {
    return checkStorage(this.#parts, options);
  }

  async #world(): Promise<LayerWorld> {
    const { snapshotter, images, names, nameOfTree: nameOf } = this.#parts;
    const snapshots = [...snapshotter.list()];
    const containers = new Map(
      [...names.all].map((container) => [
        container.id,
        { name: container.record.name, status: container.state().status },
      ]),
    );
    const sizes = await sizesOf(
      snapshotter,
      snapshots.map(({ id }) => id),
    );
    return { snapshots, images: images.layered(), containers, sizes, nameOf };
  }
}

/** One after the other, for each may walk a tree; what is removed meanwhile is left out. */
async function sizesOf(snapshotter: Snapshotter, ids: readonly string[]): Promise<ReadonlyMap<string, Amount>> {
  const sizes = new Map<string, Amount>();
  for (const id of ids) {
    const usage = snapshotter.has(id) ? await snapshotter.usage(id).catch(() => undefined) : undefined;
    if (usage !== undefined) sizes.set(id, usage);
  }
  return sizes;
}
