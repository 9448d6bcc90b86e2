import { createHash, type Hash } from "node:crypto";
import { closeSync, createReadStream, openSync, readSync, rmSync, writeSync } from "node:fs";
import { isOnggiError, OnggiError } from "../base/error.ts";
import type { Op } from "../program/op.ts";
import { asBuffer, type Compression, decompress } from "./decompress.ts";
import { type IndexedEntry, Members } from "./layer-members.ts";
import { LayerOps } from "./layer-ops.ts";
import type { WhiteoutStyle } from "./layer-sink.ts";
import { TarReader } from "./tar-reader.ts";
import { TarRecorder } from "./tar-record.ts";
import { checkUnfolding, type UnpackLimits } from "./unpack-limits.ts";

/** A run of bytes in a file: a blob, or a member of an archive. */
export interface FileRange {
  readonly path: string;
  readonly offset: number;
  readonly bytes: number;
}

/** One layer to be read: what is asked for, as plain data, since it goes to another thread. */
export interface LayerJob {
  readonly source: FileRange;
  readonly compression: Compression;
  /** A file that is there, to which the plain tar is written; left out, the source is read where it lies and must be plain. */
  readonly plainPath?: string;
  readonly diffId: string;
  /** What the stored bytes must hash to, where that wasn't looked at yet. */
  readonly storedDigest?: string;
  /** What is wanted of it: ops that unpack it, its members, or nothing. */
  readonly want: "ops" | "entries" | "nothing";
  readonly whiteouts: WhiteoutStyle;
  /** Where a record of the tar goes. */
  readonly recordPath?: string;
  readonly limits: UnpackLimits;
}

export interface LayerBatch {
  readonly ops?: readonly Op[];
  readonly entries?: readonly IndexedEntry[];
  /** How much of the stored layer has been read. */
  readonly storedBytes: number;
}

export interface LayerFacts {
  readonly plainBytes: number;
  readonly contentBytes: number;
  /** Whether the layer says what owner and mode its root has. */
  readonly hasRoot: boolean;
}

const chunkBytes = 1 << 20;
const batchSize = 500;

/**
 * Reads a layer once: unfolds it, checks its digests, and tells what to do with its members.
 *
 * @param emit - takes what was found, and may stop this thread while there is enough on its way; throws to stop the job
 * @throws OnggiError `corrupt` when it isn't what its digests name or is damaged, `exhausted` beyond a limit
 */
export async function readLayer(job: LayerJob, emit: (batch: LayerBatch) => void): Promise<LayerFacts> {
  const work = new LayerWork(job, emit);
  try {
    if (job.compression === "none") work.readPlain();
    else await work.readPacked();
    return work.finish();
  } catch (error) {
    work.abandon();
    throw told(error, job.diffId);
  } finally {
    work.close();
  }
}

/** A layer that is being read. */
class LayerWork {
  readonly #job: LayerJob;
  readonly #emit: (batch: LayerBatch) => void;
  readonly #ops: LayerOps;
  readonly #visitor: Members;
  readonly #reader: TarReader;
  readonly #recorder: TarRecorder | undefined;
  readonly #plainHash = createHash("sha256");
  readonly #plainFd: number | undefined;
  #plainBytes = 0;
  #storedBytes = 0;

  constructor(job: LayerJob, emit: (batch: LayerBatch) => void) {
    this.#job = job;
    this.#emit = emit;
    this.#ops = new LayerOps(job.whiteouts, job.plainPath === undefined ? job.source.offset : 0);
    this.#plainFd = job.plainPath === undefined ? undefined : openSync(job.plainPath, "w", 0o600);
    try {
      this.#recorder = job.recordPath === undefined ? undefined : new TarRecorder(job.recordPath);
    } catch (error) {
      if (this.#plainFd !== undefined) closeSync(this.#plainFd);
      throw error;
    }
    this.#visitor = new Members(this.#ops, job.want === "entries", this.#recorder);
    this.#reader = new TarReader(this.#visitor);
  }

  readPlain(): void {
    const { path, offset, bytes } = this.#job.source;
    const fd = openSync(path, "r");
    try {
      const buffer = Buffer.allocUnsafeSlow(chunkBytes);
      for (let done = 0; done < bytes; ) {
        const got = readSync(fd, buffer, 0, Math.min(buffer.length, bytes - done), offset + done);
        if (got === 0) throw cutShort();
        done += got;
        this.#storedBytes = done;
        this.#take(buffer.subarray(0, got));
      }
    } finally {
      closeSync(fd);
    }
    const { storedDigest, diffId } = this.#job;
    if (storedDigest !== undefined && storedDigest !== diffId) throw wrongDigest(storedDigest, diffId);
  }

  async readPacked(): Promise<void> {
    const { source, storedDigest } = this.#job;
    const { path, offset, bytes } = source;
    const hash = storedDigest === undefined ? undefined : createHash("sha256");
    const stored = createReadStream(path, {
      start: offset,
      end: offset + bytes - 1,
      highWaterMark: chunkBytes / 4,
    }) as AsyncIterable<Buffer>;
    const counted = async function* (work: LayerWork) {
      for await (const chunk of stored) {
        work.#storedBytes += chunk.length;
        hash?.update(chunk);
        yield chunk;
      }
    };
    for await (const chunk of decompress(counted(this))) this.#take(asBuffer(chunk));
    if (this.#storedBytes !== bytes) throw cutShort();
    const found = hash === undefined ? storedDigest : digest(hash);
    if (found !== storedDigest) throw wrongDigest(storedDigest ?? "", found ?? "");
  }

  /** Checks what can only be told at the end, and hands out the rest. */
  finish(): LayerFacts {
    const { diffId, recordPath } = this.#job;
    this.#reader.end();
    const found = digest(this.#plainHash);
    if (found !== diffId) {
      throw new OnggiError("corrupt", `layer ${diffId} is damaged: its tar has the digest ${found}`, {
        hint: "Pull or load the image again.",
      });
    }
    this.#ops.finish();
    this.#hand(0);
    const facts = {
      plainBytes: this.#plainBytes,
      contentBytes: this.#ops.contentBytes,
      hasRoot: this.#ops.hasRoot,
    };
    if (recordPath !== undefined) this.#finishRecord(recordPath, facts);
    return facts;
  }

  abandon(): void {
    const { recordPath, plainPath } = this.#job;
    for (const path of [recordPath, plainPath]) if (path !== undefined) rmSync(path, { force: true });
  }

  close(): void {
    this.#recorder?.close();
    if (this.#plainFd !== undefined) closeSync(this.#plainFd);
  }

  #take(chunk: Buffer): void {
    const at = this.#plainBytes;
    this.#plainBytes += chunk.length;
    checkUnfolding(this.#plainBytes, this.#storedBytes, this.#job.limits);
    this.#plainHash.update(chunk);
    if (this.#plainFd !== undefined) writeAll(this.#plainFd, chunk);
    this.#recorder?.begin(chunk, at);
    this.#reader.write(chunk);
    this.#recorder?.end();
    this.#hand(batchSize);
  }

  /** Hands out what waits, if it is that much. */
  #hand(atLeast: number): void {
    const { want } = this.#job;
    const waiting = want === "entries" ? this.#visitor.waiting : this.#ops.waiting;
    if (waiting < atLeast) return;
    const ops = this.#ops.take();
    const storedBytes = this.#storedBytes;
    if (want === "entries") this.#emit({ entries: this.#visitor.take(), storedBytes });
    else if (want === "nothing") this.#emit({ storedBytes });
    else {
      for (let from = 0; from < ops.length; from += 2 * batchSize) {
        this.#emit({ ops: ops.slice(from, from + 2 * batchSize), storedBytes });
      }
    }
  }

  /** What a later member replaced isn't in the tree: then the tar is read again, and such content stays in the record. */
  #finishRecord(path: string, { plainBytes, contentBytes }: LayerFacts): void {
    const { diffId } = this.#job;
    const facts = { diffId, plainBytes, contentBytes };
    if (this.#ops.gone.size === 0) {
      this.#recorder?.finish(facts);
      return;
    }
    rmSync(path);
    const recorder = new TarRecorder(path);
    try {
      const ops = new LayerOps(this.#job.whiteouts);
      const reader = new TarReader(new Members(ops, false, recorder, this.#ops.gone));
      const { source, plainPath } = this.#job;
      const fd = openSync(plainPath ?? source.path, "r");
      const base = plainPath === undefined ? source.offset : 0;
      try {
        const buffer = Buffer.allocUnsafeSlow(chunkBytes);
        for (let at = 0; at < plainBytes; ) {
          const got = readSync(fd, buffer, 0, Math.min(buffer.length, plainBytes - at), base + at);
          if (got === 0) throw cutShort();
          recorder.begin(buffer.subarray(0, got), at);
          reader.write(buffer.subarray(0, got));
          recorder.end();
          ops.take();
          at += got;
        }
      } finally {
        closeSync(fd);
      }
      recorder.finish(facts);
    } finally {
      recorder.close();
    }
  }
}

function writeAll(fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}

function digest(hash: Hash): string {
  return `sha256:${hash.digest("hex")}`;
}

function cutShort(): OnggiError {
  return new OnggiError("corrupt", "it is shorter than it was said to be", {
    hint: "Make or fetch the archive again.",
  });
}

function wrongDigest(expected: string, found: string): OnggiError {
  return new OnggiError("corrupt", `blob ${expected} has the digest ${found}`, {
    hint: "What was received isn't what was promised; try again, and if it stays so, the source is damaged.",
  });
}

/** Says which layer it was. */
function told(error: unknown, diffId: string): unknown {
  if (!isOnggiError(error) || error.message.startsWith("layer ")) return error;
  return new OnggiError(error.code, `layer ${diffId}: ${error.message}`, { hint: error.hint, cause: error });
}
