import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { isErrno } from "../base/errno.ts";
import { isOnggiError, OnggiError } from "../base/error.ts";
import type { ChainId, Digest } from "../oci/digest.ts";
import type { ContentStore } from "./content-store.ts";
import { decompress } from "./decompress.ts";
import type { LayerRecord } from "./image-store.ts";
import type { FileRange } from "./layer-job.ts";
import { LayerReading, type ReadingOptions } from "./layer-reading.ts";
import type { LayerRecords } from "./layer-records.ts";
import type { LayerSink } from "./layer-sink.ts";
import type { LayerSource, LayerToUnpack } from "./layer-source.ts";
import { LayerThreads } from "./layer-threads.ts";
import { OpenFile } from "./open-file.ts";
import { rebuildTar } from "./tar-record.ts";
import { TreeFiles } from "./tree-files.ts";
import type { UnpackLimits } from "./unpack-limits.ts";

export interface EnsureOptions extends ReadingOptions {
  /** Asked for only if the layer isn't there. Default: the blob in the store. */
  readonly source?: () => Promise<LayerSource>;
}

export interface LayersOptions {
  readonly sink: LayerSink;
  readonly content: ContentStore;
  readonly records: LayerRecords;
  readonly limits: UnpackLimits;
  /** Keeps each layer's blob beside what is unpacked of it. */
  readonly keepBlobs: boolean;
}

/**
 * Unpacks layers that aren't there yet, each once however many want it, makes their tars again, and removes those that nobody needs.
 *
 * A layer is kept once: as the storage has it. What its tar has beside its files' content is kept in a small record, or the storage keeps the
 * tar itself; only where neither can be, its blob stays.
 */
export class Layers {
  readonly #options: LayersOptions;
  readonly #threads = new LayerThreads();
  readonly #turns = new Map<ChainId, Promise<unknown>>();
  readonly #holds = new Map<ChainId, number>();

  constructor(options: LayersOptions) {
    this.#options = options;
  }

  /**
   * Makes sure that a layer is there.
   *
   * @returns bytes of its files
   */
  async ensure(layer: LayerToUnpack, options: EnsureOptions = {}): Promise<number> {
    const { chainId } = layer;
    return await this.#inTurn(chainId, async () => {
      const { sink, records } = this.#options;
      const isThere = await sink.has(chainId);
      const known = records.get(chainId);
      if (isThere && known !== undefined && (this.isRemade(chainId) || this.#options.content.has(layer.blob.digest))) {
        return known.contentBytes;
      }
      try {
        return await this.#read(layer, isThere ? "nothing" : "all", options);
      } catch (error) {
        throw noRoom(error);
      }
    });
  }

  /** Makes sure that a layer is there, of its blob should the storage have lost it. */
  async restore(layer: LayerToUnpack): Promise<void> {
    if (!(await this.#options.sink.has(layer.chainId))) await this.ensure(layer);
  }

  /** Whether a layer's tar can be had without its blob. */
  isRemade(chainId: ChainId): boolean {
    const { sink, records } = this.#options;
    const record = records.get(chainId);
    if (record === undefined) return false;
    if (record.hasBlocks) return sink.tree?.(chainId) !== undefined;
    return sink.tar?.(chainId) !== undefined;
  }

  /**
   * How many layers of an image are best under way at a time. Threads limit how many are read; the others wait for the disk or for those below
   * them. Archives wait with their members in memory.
   */
  get parallel(): number {
    return this.#options.sink.importTar === undefined ? 8 : 3;
  }

  get keepsBlobs(): boolean {
    return this.#options.keepBlobs;
  }

  /** Whether the blob of a layer stays: it is all there is of its tar, or it is there and blobs are to be kept. */
  needsBlob(chainId: ChainId, digest: Digest): boolean {
    return !this.isRemade(chainId) || (this.#options.keepBlobs && this.#options.content.has(digest));
  }

  /** Bytes of a layer's plain tar, where that is known. */
  plainBytes(chainId: ChainId): number | undefined {
    return this.#options.records.get(chainId)?.plainBytes;
  }

  /**
   * A layer's plain tar, byte for byte: from the storage, made again, or from its blob.
   *
   * @throws OnggiError `corrupt` at its end when it isn't what its diffID names; `not_found` when nothing is left of it
   */
  async *tar({ chainId, diffId, blob }: LayerToUnpack): AsyncGenerator<Buffer> {
    const hash = createHash("sha256");
    for await (const chunk of this.#tar(chainId, blob)) {
      hash.update(chunk);
      yield chunk;
    }
    const found = `sha256:${hash.digest("hex")}`;
    if (found === diffId) return;
    throw new OnggiError("corrupt", `layer ${diffId} is damaged: its tar made again has the digest ${found}`, {
      hint: "Something changed the files in the data root: pull or load the image again.",
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
        if (!(await this.#options.sink.remove(chainId))) return false;
        this.#options.records.remove(chainId);
        return true;
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
      for (const chainId of await this.#options.sink.list()) {
        if ((await this.remove([chainId], isUsed)).length === 0) continue;
        moved = true;
        removed++;
      }
    }
    return removed;
  }

  async *#tar(chainId: ChainId, blob: Pick<LayerRecord, "digest">): AsyncGenerator<Buffer> {
    const { sink, records, content } = this.#options;
    const record = records.get(chainId);
    const [tree, tar] = [sink.tree?.(chainId), sink.tar?.(chainId)];
    if (tar !== undefined) yield* createReadStream(tar, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>;
    else if (record?.hasBlocks && tree !== undefined) yield* rebuildTar(records.path(chainId), new TreeFiles(tree));
    else yield* decompress(content.stream(blob.digest));
  }

  /** Reads a layer from its source: unpacks it, or learns only what is to be known of it. */
  async #read(layer: LayerToUnpack, what: "all" | "nothing", options: EnsureOptions): Promise<number> {
    const { content, keepBlobs, records } = this.#options;
    const { chainId, blob } = layer;
    const source = await (options.source ?? (() => this.#blobSource(layer)))();
    // By its descriptor it stays the same file whatever happens to the name, and the worker sees it whatever it has mounted.
    using file = new OpenFile(source.path);
    const work = new LayerReading(
      { ...this.#options, threads: this.#threads },
      layer,
      { ...source, path: file.path },
      options,
    );
    const made = what === "all" ? await work.unpack() : await work.inspect();
    // The store's own files nobody else writes to; a driver that keeps one makes another name for it, which changes its ctime.
    if (!source.isVerified) file.checkUnchanged();
    await records.put(chainId, made.facts, layer.diffId, made.recordPath);
    const isStored = content.has(blob.digest);
    if (!isStored && (keepBlobs || !this.isRemade(chainId))) {
      await content.ingest(createReadStream(file.path, rangeOf(source)), blob);
    }
    return made.facts.contentBytes;
  }

  async #blobSource({ diffId, blob }: LayerToUnpack): Promise<LayerSource> {
    const { content } = this.#options;
    if (content.has(blob.digest)) {
      return { path: content.path(blob.digest), offset: 0, bytes: content.size(blob.digest), isVerified: true };
    }
    throw new OnggiError("not_found", `layer ${diffId} is lost: neither its files nor its blob are there`, {
      hint: "Pull or load the image again.",
    });
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

function rangeOf({ offset, bytes }: FileRange): {
  readonly start: number;
  readonly end: number;
  readonly highWaterMark: number;
} {
  return { start: offset, end: offset + bytes - 1, highWaterMark: 1 << 20 };
}

/** A step that found no room is told as what a user can do something about. */
function noRoom(error: unknown): unknown {
  const errno = (error as { errno?: unknown } | undefined)?.errno;
  const isFull = errno === "ENOSPC" || errno === "EDQUOT" || isErrno(error, "ENOSPC", "EDQUOT");
  if (!isFull || isOnggiError(error, "exhausted")) return error;
  return new OnggiError("exhausted", "no space left on device: the layer can't be unpacked", {
    hint: "Free space or inodes on the file system of the data root: df -h and df -i show them, onggi system prune helps.",
    cause: error,
  });
}
