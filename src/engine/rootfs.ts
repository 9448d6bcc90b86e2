import type { Mount } from "../program/mount.ts";
import type { ExpectedSnapshot, MountsOptions, Snapshotter, TreeByHand } from "../storage/snapshotter.ts";
import { baseOf, type ContainerRecord } from "./container-record.ts";
import type { ContainerSize } from "./model.ts";

/** Containers' root file systems: each is a snapshot on its image's topmost layer or on another snapshot, its key the container's id. */
export class Rootfs {
  readonly #snapshotter: Snapshotter;

  constructor(snapshotter: Snapshotter) {
    this.#snapshotter = snapshotter;
  }

  get driver(): string {
    return this.#snapshotter.driver;
  }

  /** The container's own record is what must survive a power cut: by {@link expectedSnapshot} the tree is found again, or made anew. */
  async prepare(record: ContainerRecord): Promise<void> {
    const { key, parent, durable, limit } = expectedSnapshot(record);
    await this.#snapshotter.prepare(key, parent, {
      durable,
      remembered: true,
      ...(limit === undefined ? {} : { limit }),
    });
  }

  /** Nothing where there is none. */
  async discard(id: string): Promise<void> {
    if (this.#snapshotter.has(id)) await this.#snapshotter.remove(id);
  }

  mounts(id: string, options?: MountsOptions): readonly Mount[] {
    return this.#snapshotter.mounts(id, options);
  }

  /** Shows an image's tree for the time of `use`. */
  async view<T>(key: string, chainId: string, use: (mounts: readonly Mount[]) => Promise<T>): Promise<T> {
    const mounts = await this.#snapshotter.view(key, chainId, { durable: false });
    try {
      return await use(mounts);
    } finally {
      await this.#snapshotter.remove(key);
    }
  }

  /** A container's tree as commands; undefined for a driver whose mounts are all it takes. */
  byHand(record: ContainerRecord, directory: string): TreeByHand | undefined {
    const base = baseOf(record);
    return base === undefined ? undefined : this.#snapshotter.cloneByHand(base, directory);
  }

  describe(id: string): Readonly<Record<string, string>> {
    return this.#snapshotter.has(id) ? this.#snapshotter.describe(id) : {};
  }

  async size(record: ContainerRecord): Promise<ContainerSize> {
    const { bytes: writableBytes, inodes: writableInodes } = await this.#snapshotter.usage(record.id);
    let rootfsBytes = writableBytes;
    for (let layer = baseOf(record); layer !== undefined; layer = this.#snapshotter.stat(layer).parent) {
      rootfsBytes += (await this.#snapshotter.usage(layer)).bytes;
    }
    return { writableBytes, writableInodes, rootfsBytes };
  }

  /** Removes the snapshots that belong to no container: what a create or remove that was cut off left. */
  async sweep(known: ReadonlySet<string>): Promise<number> {
    const orphans = [...this.#snapshotter.list()].filter(({ kind, id }) => kind !== "committed" && !known.has(id));
    for (const { id } of orphans) await this.#snapshotter.remove(id);
    return orphans.length;
  }
}

/** The snapshot that a container's record implies. */
export function expectedSnapshot(record: ContainerRecord): ExpectedSnapshot {
  const { id, config } = record;
  const { storage: limit } = config;
  return {
    key: id,
    parent: baseOf(record),
    durable: config.autoRemove !== true,
    ...(limit === undefined ? {} : { limit }),
  };
}
