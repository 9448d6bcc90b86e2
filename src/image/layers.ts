import type { ChainId, DiffId } from "../oci/digest.ts";
import type { ContentStore } from "./content-store.ts";
import { decompress } from "./decompress.ts";
import type { LayerRecord, StoredImage } from "./image-store.ts";
import type { LayerSink } from "./layer-sink.ts";
import { TarReader } from "./tar-reader.ts";
import { unpackLayer } from "./unpack.ts";

/** One layer of an image to be unpacked. */
export interface LayerToUnpack {
  readonly chainId: ChainId;
  readonly parent: ChainId | undefined;
  readonly diffId: DiffId;
  readonly blob: Pick<LayerRecord, "digest" | "size">;
}

/** Unpacks layers that aren't there yet, each once however many want it, and removes those that nobody needs. */
export class Layers {
  readonly #sink: LayerSink;
  readonly #content: ContentStore;
  readonly #turns = new Map<ChainId, Promise<unknown>>();
  readonly #holds = new Map<ChainId, number>();

  constructor(sink: LayerSink, content: ContentStore) {
    this.#sink = sink;
    this.#content = content;
  }

  /**
   * Makes sure that a layer is there.
   *
   * @param known - bytes of its files where an image told them already
   * @returns bytes of its files
   */
  async ensure(
    layer: LayerToUnpack,
    known: number | undefined,
    options: { readonly onProgress?: (storedBytes: number) => void; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<number> {
    const { chainId, parent, diffId, blob } = layer;
    return await this.#inTurn(chainId, async () => {
      if (await this.#sink.has(chainId)) return known ?? (await this.#measure(blob));
      let bytes = 0;
      await this.#sink.layer(chainId, parent, async (worker) => {
        const stored = this.#content.stream(blob.digest);
        bytes = await unpackLayer(stored, worker, {
          ...options,
          diffId,
          storedDigest: blob.digest,
          whiteouts: this.#sink.whiteouts,
        });
      });
      return bytes;
    });
  }

  /** Keeps layers from being removed until the returned function is called. */
  hold(chainIds: readonly ChainId[]): () => void {
    for (const chainId of chainIds) this.#holds.set(chainId, (this.#holds.get(chainId) ?? 0) + 1);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      for (const chainId of chainIds) {
        const left = (this.#holds.get(chainId) ?? 1) - 1;
        if (left === 0) this.#holds.delete(chainId);
        else this.#holds.set(chainId, left);
      }
    };
  }

  /** Held, or just being unpacked. */
  isHeld(chainId: ChainId): boolean {
    return this.#holds.has(chainId) || this.#turns.has(chainId);
  }

  /** Removes those of the layers that nothing needs, the topmost first. @returns the removed ones, in that order */
  async remove(chainIds: readonly ChainId[], isUsed: (chainId: ChainId) => boolean): Promise<readonly ChainId[]> {
    const removed: ChainId[] = [];
    for (const chainId of chainIds.toReversed()) {
      const isGone = await this.#inTurn(chainId, async () => {
        if (isUsed(chainId) || this.#holds.has(chainId)) return false;
        return await this.#sink.remove(chainId);
      });
      if (!isGone) break;
      removed.push(chainId);
    }
    return removed;
  }

  /** Removes all layers that no image needs: what a crash, or a container of a removed image, left. */
  async sweep(isUsed: (chainId: ChainId) => boolean): Promise<number> {
    let removed = 0;
    // A layer goes only after those that stand on it, in an order that only the storage knows: go round until nothing moves.
    for (let moved = true; moved; ) {
      moved = false;
      for (const chainId of await this.#sink.list()) {
        if ((await this.remove([chainId], isUsed)).length === 0) continue;
        moved = true;
        removed++;
      }
    }
    return removed;
  }

  async #measure({ digest }: Pick<LayerRecord, "digest">): Promise<number> {
    let bytes = 0;
    const reader = new TarReader({ entry: ({ size }) => (bytes += size), data: () => {}, end: () => {} });
    for await (const chunk of decompress(this.#content.stream(digest))) reader.write(chunk);
    reader.end();
    return bytes;
  }

  async #inTurn<T>(chainId: ChainId, work: () => Promise<T>): Promise<T> {
    const turn = (this.#turns.get(chainId) ?? Promise.resolve()).then(work, work);
    this.#turns.set(chainId, turn);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(chainId) === turn) this.#turns.delete(chainId);
    }
  }
}

/** An image's layers, the lowest first. */
export function layersOf({
  chainIds,
  config,
  layers,
}: Pick<StoredImage, "chainIds" | "config" | "layers">): LayerToUnpack[] {
  return config.rootfs.diff_ids.flatMap((diffId, index) => {
    const [chainId, blob] = [chainIds[index], layers[index]];
    return chainId === undefined || blob === undefined ? [] : [{ chainId, parent: chainIds[index - 1], diffId, blob }];
  });
}
