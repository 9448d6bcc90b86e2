import { existsSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";

/** How many clones of a layer are kept ready, and how few may be left before more are made. */
const fullStock = 8;
const lowStock = 2;

interface Shelf {
  /** Clones that were asked for, from the first on. */
  asked: number;
  readonly ready: string[];
  refill: Promise<void> | undefined;
}

export interface StockOptions {
  /** A folder of its own, with one for each layer in it. */
  readonly directory: string;
  readonly clone: (layer: string, path: string) => Promise<unknown>;
}

/**
 * Clones of layers, made before anybody asks for them.
 *
 * The kernel commits a transaction for each snapshot, so it waits for the disk; to rename one that is there doesn't. A layer is stocked once it
 * was cloned twice: most layers of an image never are.
 */
export class Stock {
  readonly #options: StockOptions;
  readonly #shelves = new Map<string, Shelf>();
  #serial = 0;

  constructor(options: StockOptions) {
    this.#options = options;
    mkdirSync(options.directory, { recursive: true, mode: 0o700 });
  }

  /** What an engine that was killed had ready: folders of clones. */
  leftovers(): readonly string[] {
    const { directory } = this.#options;
    return readdirSync(directory).map((name) => join(directory, name));
  }

  /** Moves a clone of a layer to `path`. @returns false: none is ready, make one */
  take(layer: string, path: string): boolean {
    const shelf = this.#shelves.get(layer) ?? { asked: 0, ready: [], refill: undefined };
    this.#shelves.set(layer, shelf);
    shelf.asked += 1;
    const clone = shelf.ready.shift();
    if (clone !== undefined) renameSync(clone, path);
    if (shelf.asked > 1 && shelf.ready.length <= lowStock) this.#refill(layer, shelf);
    return clone !== undefined;
  }

  /** The folder of a layer's clones, which nobody takes any more, for its caller to delete; undefined where there is none. */
  async give(layer: string): Promise<string | undefined> {
    const shelf = this.#shelves.get(layer);
    this.#shelves.delete(layer);
    await shelf?.refill;
    const folder = this.#folder(layer);
    return existsSync(folder) ? folder : undefined;
  }

  isStocked(layer: string): boolean {
    const shelf = this.#shelves.get(layer);
    return shelf !== undefined && (shelf.ready.length > 0 || shelf.refill !== undefined);
  }

  async close(): Promise<void> {
    const refills = [...this.#shelves.values()].map(({ refill }) => refill);
    this.#shelves.clear();
    await Promise.all(refills);
  }

  #refill(layer: string, shelf: Shelf): void {
    shelf.refill ??= this.#make(layer, shelf, fullStock - shelf.ready.length).finally(() => {
      shelf.refill = undefined;
    });
  }

  async #make(layer: string, shelf: Shelf, count: number): Promise<void> {
    mkdirSync(this.#folder(layer), { recursive: true, mode: 0o700 });
    // Side by side: the kernel makes all that wait at the same time in one transaction.
    const makes = Array.from({ length: count }, async () => {
      this.#serial += 1;
      const path = join(this.#folder(layer), String(this.#serial));
      await this.#options.clone(layer, path);
      shelf.ready.push(path);
    });
    // Without stock (the disk is full) a clone is made when it is asked for, and says what is wrong.
    await Promise.allSettled(makes);
  }

  #folder(layer: string): string {
    return join(this.#options.directory, layer);
  }
}
