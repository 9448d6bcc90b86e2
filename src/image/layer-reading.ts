import { closeSync, openSync, readSync, rmSync, writeFileSync } from "node:fs";
import { OnggiError } from "../base/error.ts";
import type { ContentStore } from "./content-store.ts";
import { detectCompression } from "./decompress.ts";
import type { FileRange, LayerBatch, LayerFacts, LayerJob } from "./layer-job.ts";
import type { IndexedEntry } from "./layer-members.ts";
import type { LayerRecords } from "./layer-records.ts";
import type { LayerSink, LayerTarEntry, LayerWorker } from "./layer-sink.ts";
import type { LayerSource, LayerToUnpack } from "./layer-source.ts";
import type { LayerThreads } from "./layer-threads.ts";
import type { UnpackLimits } from "./unpack-limits.ts";

export interface ReadingParts {
  readonly sink: LayerSink;
  readonly content: ContentStore;
  readonly records: LayerRecords;
  readonly limits: UnpackLimits;
  readonly threads: LayerThreads;
}

export interface ReadingOptions {
  /** Resolves when the layer below is there. */
  readonly below?: Promise<unknown>;
  readonly onProgress?: (storedBytes: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** One layer on its way from its source to the storage. */
export class LayerReading {
  readonly #parts: ReadingParts;
  readonly #layer: LayerToUnpack;
  readonly #source: LayerSource;
  readonly #how: ReadingOptions;
  readonly #temporary: string[] = [];

  constructor(parts: ReadingParts, layer: LayerToUnpack, source: LayerSource, how: ReadingOptions) {
    this.#parts = parts;
    this.#layer = layer;
    this.#source = source;
    this.#how = how;
  }

  async unpack(): Promise<{ readonly facts: LayerFacts; readonly recordPath: string | undefined }> {
    try {
      return this.#parts.sink.importTar === undefined ? await this.#unpackTree() : await this.#importTar();
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
    const { sink } = this.#parts;
    const { chainId, parent } = this.#layer;
    const recordPath = this.#parts.sink.tree === undefined ? undefined : this.#parts.records.temporaryPath(chainId);
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
    const path = plainPath ?? this.#parts.content.path(this.#layer.blob.digest);
    await this.#parts.sink.importTar?.(chainId, parent, {
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
    const { sink, records } = this.#parts;
    return sink.tree?.(chainId) === undefined ? undefined : records.temporaryPath(chainId);
  }

  #job({ want, recordPath, plainPath }: Wanted): LayerJob {
    const { path, offset, bytes, isVerified } = this.#source;
    const { sink, limits } = this.#parts;
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
    return this.#parts.threads.run(job, told, signal);
  }

  #temporaryFile(): string {
    const path = this.#parts.content.temporaryPath();
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

function compressionOf({ path, offset, bytes }: FileRange): LayerJob["compression"] {
  const start = Buffer.alloc(6);
  const fd = openSync(path, "r");
  try {
    return detectCompression(start.subarray(0, readSync(fd, start, 0, Math.min(6, bytes), offset)));
  } finally {
    closeSync(fd);
  }
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
