import { createHash } from "node:crypto";
import { closeSync, createReadStream, fstatSync, openSync, readSync, rmSync, writeFileSync } from "node:fs";
import { isErrno } from "../base/errno.ts";
import { isOnggiError, OnggiError } from "../base/error.ts";
import type { ChainId, DiffId, Digest } from "../oci/digest.ts";
import type { ContentStore } from "./content-store.ts";
import { decompress, detectCompression } from "./decompress.ts";
import type { LayerRecord, StoredImage } from "./image-store.ts";
import type { FileRange, IndexedEntry, LayerBatch, LayerFacts, LayerJob } from "./layer-job.ts";
import type { LayerRecords } from "./layer-records.ts";
import type { LayerSink, LayerTarEntry, LayerWorker } from "./layer-sink.ts";
import { LayerThreads } from "./layer-threads.ts";
import { rebuildTar } from "./tar-record.ts";
import { TreeFiles } from "./tree-files.ts";
import type { UnpackLimits } from "./unpack-limits.ts";

/** One layer of an image. */
export interface LayerToUnpack {
  readonly chainId: ChainId;
  readonly parent: ChainId | undefined;
  readonly diffId: DiffId;
  readonly blob: Pick<LayerRecord, "digest" | "size">;
}

/** Where a layer's stored bytes lie. */
export interface LayerSource extends FileRange {
  /** Whether the bytes were compared with the digest of the blob. */
  readonly isVerified: boolean;
}

export interface EnsureOptions {
  /** Asked for only if the layer isn't there. Default: the blob in the store. */
  readonly source?: () => Promise<LayerSource>;
  /** Resolves when the layer below is there. */
  readonly below?: Promise<unknown>;
  readonly onProgress?: (storedBytes: number) => void;
  readonly signal?: AbortSignal | undefined;
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

  /** How many layers of an image are best read at a time: while one waits for the disk another is read; archives' members take memory. */
  get parallel(): number {
    return this.#options.sink.importTar === undefined ? 3 : 2;
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
    const work = new LayerReading(this.#options, this.#threads, layer, { ...source, path: file.path }, options);
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

/** One layer on its way from its source to the storage. */
class LayerReading {
  readonly #options: LayersOptions;
  readonly #threads: LayerThreads;
  readonly #layer: LayerToUnpack;
  readonly #source: LayerSource;
  readonly #how: EnsureOptions;
  readonly #temporary: string[] = [];

  constructor(
    options: LayersOptions,
    threads: LayerThreads,
    layer: LayerToUnpack,
    source: LayerSource,
    how: EnsureOptions,
  ) {
    this.#options = options;
    this.#threads = threads;
    this.#layer = layer;
    this.#source = source;
    this.#how = how;
  }

  async unpack(): Promise<{ readonly facts: LayerFacts; readonly recordPath: string | undefined }> {
    try {
      return this.#options.sink.importTar === undefined ? await this.#unpackTree() : await this.#importTar();
    } finally {
      for (const path of this.#temporary) rmSync(path, { force: true });
    }
  }

  /** Of a layer that is there already: checks the source and records its tar. */
  async inspect(): Promise<{ readonly facts: LayerFacts; readonly recordPath: string | undefined }> {
    const recordPath = this.#recordPath();
    const job = this.#job({ want: "nothing", recordPath, plainPath: undefined });
    const plainPath = job.compression === "none" ? undefined : this.#temporaryFile();
    try {
      const facts = await this.#run({ ...job, ...(plainPath === undefined ? {} : { plainPath }) }, async () => {});
      return { facts, recordPath };
    } finally {
      for (const path of this.#temporary) rmSync(path, { force: true });
    }
  }

  async #unpackTree(): Promise<{ readonly facts: LayerFacts; readonly recordPath: string | undefined }> {
    const { sink } = this.#options;
    const { chainId, parent } = this.#layer;
    const recordPath = this.#options.sink.tree === undefined ? undefined : this.#options.records.temporaryPath(chainId);
    const plainPath = compressionOf(this.#source) === "none" ? undefined : this.#temporaryFile();
    const job = this.#job({ want: "ops", recordPath, plainPath });
    let facts: LayerFacts | undefined;
    const apply = async (worker: LayerWorker) => {
      facts = await this.#run(job, async ({ ops = [] }) => void (await worker.run(ops)));
      return facts;
    };
    const below = this.#how.below ?? Promise.resolve();
    try {
      const tarPath = plainPath ?? this.#source.path;
      await sink.layer(chainId, parent, apply, { tarPath, below });
    } catch (error) {
      if (recordPath !== undefined) rmSync(recordPath, { force: true });
      throw error;
    }
    if (facts === undefined) throw new OnggiError("internal", "the storage made a layer without its files");
    return { facts, recordPath };
  }

  async #importTar(): Promise<{ readonly facts: LayerFacts; readonly recordPath: undefined }> {
    const { chainId, parent, diffId } = this.#layer;
    // A blob in the store is such a file already.
    const isFile = this.#source.isVerified && compressionOf(this.#source) === "none";
    const plainPath = isFile ? undefined : this.#temporaryFile();
    const entries: IndexedEntry[] = [];
    const facts = await this.#run(this.#job({ want: "entries", recordPath: undefined, plainPath }), async (batch) => {
      for (const entry of batch.entries ?? []) entries.push(entry);
    });
    await this.#how.below;
    const path = plainPath ?? this.#options.content.path(this.#layer.blob.digest);
    await this.#options.sink.importTar?.(chainId, parent, {
      path,
      bytes: facts.plainBytes,
      digest: diffId,
      entries: () => membersOf(entries),
    });
    return { facts, recordPath: undefined };
  }

  /** Where the record goes of a layer whose files can be read again. */
  #recordPath(): string | undefined {
    const { chainId } = this.#layer;
    const { sink, records } = this.#options;
    return sink.tree?.(chainId) === undefined ? undefined : records.temporaryPath(chainId);
  }

  #job({ want, recordPath, plainPath }: Wanted): LayerJob {
    const { path, offset, bytes, isVerified } = this.#source;
    const { sink, limits } = this.#options;
    return {
      source: { path, offset, bytes },
      compression: compressionOf(this.#source),
      diffId: this.#layer.diffId,
      want,
      whiteouts: sink.importTar === undefined ? sink.whiteouts : "overlay",
      limits,
      ...(plainPath === undefined ? {} : { plainPath }),
      ...(isVerified ? {} : { storedDigest: this.#layer.blob.digest }),
      ...(recordPath === undefined ? {} : { recordPath }),
    };
  }

  #run(job: LayerJob, take: (batch: LayerBatch) => Promise<void>): Promise<LayerFacts> {
    const { onProgress, signal } = this.#how;
    const told = async (batch: LayerBatch) => {
      onProgress?.(batch.storedBytes);
      await take(batch);
    };
    return this.#threads.run(job, told, signal);
  }

  #temporaryFile(): string {
    const path = this.#options.content.temporaryPath();
    writeFileSync(path, "", { flag: "wx", mode: 0o600 });
    this.#temporary.push(path);
    return path;
  }
}

interface Wanted {
  readonly want: LayerJob["want"];
  readonly recordPath: string | undefined;
  readonly plainPath: string | undefined;
}

/** A file that is held open, under a name by which every process of the host opens this very file. */
class OpenFile implements Disposable {
  readonly path: string;
  readonly #fd: number;
  readonly #changedNs: bigint;

  constructor(path: string) {
    this.#fd = openSync(path, "r");
    this.path = `/proc/${process.pid}/fd/${this.#fd}`;
    this.#changedNs = fstatSync(this.#fd, { bigint: true }).ctimeNs;
  }

  /** What was hashed is what was unpacked only if nobody wrote to it meanwhile. */
  checkUnchanged(): void {
    if (fstatSync(this.#fd, { bigint: true }).ctimeNs === this.#changedNs) return;
    throw new OnggiError("corrupt", "the archive was changed while it was read", { hint: "Load it again." });
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
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

function compressionOf({ path, offset, bytes }: FileRange): LayerJob["compression"] {
  const start = Buffer.alloc(6);
  const fd = openSync(path, "r");
  try {
    return detectCompression(start.subarray(0, readSync(fd, start, 0, Math.min(6, bytes), offset)));
  } finally {
    closeSync(fd);
  }
}

function rangeOf({ offset, bytes }: FileRange): {
  readonly start: number;
  readonly end: number;
  readonly highWaterMark: number;
} {
  return { start: offset, end: offset + bytes - 1, highWaterMark: 1 << 20 };
}

function* membersOf(entries: readonly IndexedEntry[]): Iterable<LayerTarEntry> {
  for (const entry of entries) {
    const { extents } = entry;
    const places: { offset: number; archiveOffset: number; length: number }[] = [];
    for (let at = 0; at < extents.length; at += 3) {
      places.push({ offset: extents[at] ?? 0, archiveOffset: extents[at + 1] ?? 0, length: extents[at + 2] ?? 0 });
    }
    yield { ...entry, xattrs: entry.xattrs ?? noXattrs, extents: places };
  }
}

const noXattrs: ReadonlyMap<string, Uint8Array> = new Map();

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
