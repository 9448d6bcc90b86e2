import { isOnggiError } from "../base/error.ts";
import { Mutex } from "../base/mutex.ts";
import type { Snapshotter } from "../storage/snapshotter.ts";

const prefixes = { snapshot: "snap-", fork: "fork-" } as const;

/** The name of a committed tree that isn't a layer of an image: of a snapshot that a user made, or of what forks stand on. */
export function treeName(kind: keyof typeof prefixes, id: string): string {
  return `${prefixes[kind]}${id}`;
}

/** Tells such trees from layers. */
export function isOwnTree(name: string): boolean {
  return Object.values(prefixes).some((prefix) => name.startsWith(prefix));
}

/**
 * The committed trees of snapshots and forks.
 *
 * Nobody counts references: a tree stays while a record names it, while another tree stands on it, or while somebody here holds it,
 * and `collect` removes the rest, after a crash as well as after a removal.
 */
export class SnapshotTrees {
  readonly #snapshotter: Snapshotter;
  /** How many hold a tree. */
  readonly #held = new Map<string, number>();
  readonly #collecting = new Mutex();

  constructor(snapshotter: Snapshotter) {
    this.#snapshotter = snapshotter;
  }

  /** Keeps a tree that nothing names yet, until the returned function is called. */
  hold(name: string): () => void {
    this.#held.set(name, (this.#held.get(name) ?? 0) + 1);
    return () => {
      const left = (this.#held.get(name) ?? 1) - 1;
      if (left > 0) this.#held.set(name, left);
      else this.#held.delete(name);
    };
  }

  /** Freezes a copy of a container's tree; `copied` is called when the container may go on, before the disk has it. */
  capture(containerId: string, name: string, copied: () => Promise<void>): Promise<void> {
    return this.#snapshotter.capture(containerId, name, { copied });
  }

  /** Freezes a container's tree itself: the container has none afterwards. */
  freeze(containerId: string, name: string): Promise<void> {
    return this.#snapshotter.commit(containerId, name);
  }

  has(name: string): boolean {
    return this.#snapshotter.has(name);
  }

  /** What a tree stands on. */
  parentOf(name: string): string | undefined {
    return this.#snapshotter.stat(name).parent;
  }

  /** Bytes that belong to it alone. */
  async bytes(name: string): Promise<number> {
    return this.#snapshotter.has(name) ? (await this.#snapshotter.usage(name)).bytes : 0;
  }

  /** Names of what stands on a tree: containers' ids, and other trees. */
  childrenOf(name: string): readonly string[] {
    return [...this.#snapshotter.list()].filter(({ parent }) => parent === name).map(({ id }) => id);
  }

  /** Removes the trees that nothing needs. @returns how many */
  collect(isNamed: (name: string) => boolean): Promise<number> {
    return this.#collecting.run(async () => {
      let removed = 0;
      // A tree goes only after those that stand on it: go round until nothing moves.
      for (let moved = true; moved; ) {
        moved = false;
        const idle = [...this.#snapshotter.list()]
          .filter(({ id, kind }) => kind === "committed" && isOwnTree(id) && !this.#held.has(id) && !isNamed(id))
          .map(({ id }) => id);
        for (const name of idle) {
          if (!(await this.#remove(name))) continue;
          moved = true;
          removed++;
        }
      }
      return removed;
    });
  }

  async #remove(name: string): Promise<boolean> {
    try {
      await this.#snapshotter.remove(name);
      return true;
    } catch (error) {
      if (isOnggiError(error, "in_use") || isOnggiError(error, "conflict")) return false;
      throw error;
    }
  }
}
