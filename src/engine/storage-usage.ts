import type { Snapshotter, Usage } from "../storage/snapshotter.ts";
import type { ContainerStorage, StorageLimit } from "./model.ts";
import { limitState } from "./storage-limit.ts";

/** Counting a tree may be asked for over and over: it takes this part of the time at most. */
const effort = 1 / 50;

interface Known {
  readonly usage: Usage;
  readonly readAtMs: number;
  readonly tookMs: number;
}

/** What is asked for of a container. */
export interface StorageUser {
  readonly id: string;
  readonly limit: StorageLimit | undefined;
}

/** What containers' own trees take, remembered for a while where counting means walking a tree. */
export class StorageUsage {
  readonly #snapshotter: Pick<Snapshotter, "has" | "usage">;
  readonly #known = new Map<string, Known>();
  readonly #asking = new Map<string, Promise<Usage>>();

  constructor(snapshotter: Pick<Snapshotter, "has" | "usage">) {
    this.#snapshotter = snapshotter;
  }

  /** As old as fifty times what counting took, at most: where a file system counts, it is fresh. */
  async of({ id, limit }: StorageUser): Promise<ContainerStorage> {
    return stateOf(await this.#usage(id), limit);
  }

  /** What was known at the last look; undefined before the first, or where there is no limit. */
  lastState({ id, limit }: StorageUser): ContainerStorage | undefined {
    const known = this.#known.get(id);
    return known === undefined || limit === undefined ? undefined : stateOf(known.usage, limit);
  }

  forget(id: string): void {
    this.#known.delete(id);
  }

  async #usage(id: string): Promise<Usage> {
    const known = this.#known.get(id);
    const age = known === undefined ? Number.POSITIVE_INFINITY : performance.now() - known.readAtMs;
    if (known !== undefined && age < known.tookMs / effort) return known.usage;
    const asked = this.#asking.get(id) ?? this.#read(id).finally(() => this.#asking.delete(id));
    this.#asking.set(id, asked);
    return asked;
  }

  async #read(id: string): Promise<Usage> {
    if (!this.#snapshotter.has(id)) return { bytes: 0, inodes: 0 };
    const startedAtMs = performance.now();
    const usage = await this.#snapshotter.usage(id);
    const readAtMs = performance.now();
    this.#known.set(id, { usage, readAtMs, tookMs: readAtMs - startedAtMs });
    return usage;
  }
}

function stateOf(usage: Usage, limit: StorageLimit | undefined): ContainerStorage {
  if (limit === undefined) return { bytes: usage.bytes, inodes: usage.inodes };
  return limitState(usage, limit, usage.free);
}
