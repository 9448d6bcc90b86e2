import { closeSync, ftruncateSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "../base/error.ts";
import type { Executor, Worker } from "../executor/executor.ts";
import { CLONE_NEWNS } from "../program/kernel.ts";
import type { Mount } from "../program/mount.ts";
import type { Op } from "../program/op.ts";
import type { HostFacts } from "../runtime/compile/host-facts.ts";
import { rootfs } from "../runtime/compile/rootfs.ts";
import { openSnapshotter } from "../storage/open.ts";
import type { DriverCandidate, DriverTools, Snapshotter } from "../storage/snapshotter.ts";

export interface StorageBenchParts {
  readonly executor: Executor;
  readonly facts: HostFacts;
  readonly tools: DriverTools;
  readonly candidates: readonly DriverCandidate[];
  /** An empty directory to mount on. */
  readonly staging: string;
  /** Where the drivers' data is for the time of the measuring: on the file system that is asked about. */
  readonly directory: string;
}

export interface StorageBenchOptions {
  /** All that are usable unless named. */
  readonly drivers?: readonly string[];
  /** Size of the large file; 256 MiB unless told. */
  readonly largeBytes?: number;
  readonly signal?: AbortSignal;
}

/** One measured value of one driver, or why it has none. */
export interface StorageMeasure {
  readonly driver: string;
  readonly measure: StorageMeasureName;
  /** How many layers the clone stands on. */
  readonly layers: number;
  /** Medians; undefined where it couldn't be measured, which `reason` explains. */
  readonly value: number | undefined;
  readonly unit: "ms" | "µs" | "bytes";
  readonly reason?: string;
}

export const storageMeasures = {
  clone: "a clone is made",
  discard: "a clone is removed",
  create: "a file of 1 KiB is made",
  delete: "it is deleted",
  found: "a file of the lowest layer is looked up",
  missing: "a name that no layer has is looked up",
  firstWrite: "the first byte of a large file of a layer is written",
  secondWrite: "another byte of it is written",
  written: "what the first byte takes on the disk",
} as const;

export type StorageMeasureName = keyof typeof storageMeasures;

const layerCounts = [1, 10, 50, 200];
const files = 500;
const clones = 15;
/** Who makes a whole copy for each layer, or takes long for one, isn't asked for hundreds. */
const stackLimitMs = 20_000;

/**
 * Measures what copy-on-write and redirect-on-write cost here, driver by driver, as the clone of an image sees it.
 *
 * What is made for it lies in a folder of its own and goes again, also when it is aborted.
 */
export async function* benchStorage(
  parts: StorageBenchParts,
  { drivers, largeBytes = 256 * 2 ** 20, signal }: StorageBenchOptions = {},
): AsyncGenerator<StorageMeasure> {
  mkdirSync(parts.directory, { recursive: true, mode: 0o700 });
  for (const candidate of parts.candidates) {
    if (drivers !== undefined && !drivers.includes(candidate.name)) continue;
    signal?.throwIfAborted();
    const root = await mkdtemp(join(parts.directory, `${candidate.name}-`));
    let snapshots: Snapshotter | undefined;
    try {
      const { tools } = parts;
      snapshots = await openSnapshotter({ root, driver: candidate.name, candidates: [candidate], tools });
      yield* benchDriver(new Subject(parts, snapshots), largeBytes, signal);
    } catch (error) {
      signal?.throwIfAborted();
      yield failed(candidate.name, error);
    } finally {
      await clear(snapshots);
      rmSync(root, { recursive: true, force: true });
    }
  }
}

function failed(driver: string, error: unknown): StorageMeasure {
  return { driver, measure: "clone", layers: 1, value: undefined, unit: "ms", reason: messageOf(error) };
}

async function* benchDriver(
  subject: Subject,
  largeBytes: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<StorageMeasure> {
  yield* benchLargeFile(subject, largeBytes);
  const started = performance.now();
  let top: string | undefined;
  for (let layers = 1; layers <= Math.max(...layerCounts); layers++) {
    signal?.throwIfAborted();
    if (performance.now() - started > stackLimitMs) return;
    top = await subject.layer(top, (directory) => fillLayer(directory, layers));
    if (!layerCounts.includes(layers)) continue;
    if (layers === 1) yield* benchClones(subject, top);
    yield* benchFiles(subject, top, layers);
  }
}

/** All layers have the folder, so that a look-up in it asks them all. */
function fillLayer(directory: string, layer: number): void {
  const common = join(directory, "common");
  mkdirSync(common, { recursive: true });
  const names = layer > 1 ? [`layer-${layer}`] : Array.from({ length: files }, (_, file) => `file-${file}`);
  for (const name of names) writeFileSync(join(common, name), "x");
}

async function* benchClones(subject: Subject, top: string): AsyncGenerator<StorageMeasure> {
  const made: number[] = [];
  const removed: number[] = [];
  for (let clone = 0; clone < clones; clone++) {
    made.push(await timed(() => subject.snapshots.prepare(`clone-${clone}`, top, { durable: false })));
    removed.push(await timed(() => subject.snapshots.remove(`clone-${clone}`)));
  }
  yield subject.measure("clone", 1, median(made), "ms");
  yield subject.measure("discard", 1, median(removed), "ms");
}

async function* benchFiles(subject: Subject, top: string, layers: number): AsyncGenerator<StorageMeasure> {
  const each = <T>(make: (file: number) => T) => Array.from({ length: files }, (_, file) => make(file));
  const found = each((file): Op => ({ op: "readFile", path: `/common/file-${file}`, maxBytes: 16 }));
  const missing = each(
    (file): Op => ({ op: "readFile", path: `/common/none-${file}`, maxBytes: 16, ignore: ["ENOENT"] }),
  );
  const data = "x".repeat(1024);
  const create = each((file): Op => ({ op: "writeFile", path: `/common/new-${file}`, data, mode: 0o644 }));
  const remove = each((file): Op => ({ op: "remove", path: `/common/new-${file}` }));
  const times = await subject.inClone(top, [found, missing, create, remove]);
  const names = ["found", "missing", "create", "delete"] as const;
  for (const [index, name] of names.entries()) {
    yield subject.measure(name, layers, ((times[index] ?? Number.NaN) * 1000) / files, "µs");
  }
}

async function* benchLargeFile(subject: Subject, largeBytes: number): AsyncGenerator<StorageMeasure> {
  const top = await subject.layer(undefined, (directory) => writeLarge(join(directory, "large"), largeBytes));
  const write: readonly Op[] = [{ op: "writeControl", path: "/large", data: "!" }];
  let written = 0;
  const [first = Number.NaN, second = Number.NaN] = await subject.inClone(top, [write, write], async (key) => {
    written = (await subject.snapshots.usage(key)).bytes;
  });
  yield subject.measure("firstWrite", 1, first, "ms");
  yield subject.measure("secondWrite", 1, second, "ms");
  yield subject.measure("written", 1, written, "bytes");
}

/** Without holes, and not all the same: file systems know tricks for both. */
function writeLarge(path: string, bytes: number): void {
  const file = openSync(path, "wx", 0o644);
  const block = Buffer.alloc(2 ** 20);
  for (let word = 0; word < block.length; word += 4) block.writeUInt32LE((word * 2_654_435_761) >>> 0, word);
  for (let offset = 0; offset < bytes; offset += block.length) {
    block.writeUInt32LE(offset >>> 0, 0);
    writeSync(file, block);
  }
  ftruncateSync(file, bytes);
  closeSync(file);
}

/** A driver's snapshots, and how one gets into them. */
class Subject {
  readonly snapshots: Snapshotter;
  readonly #parts: StorageBenchParts;
  #serial = 0;

  constructor(parts: StorageBenchParts, snapshots: Snapshotter) {
    this.#parts = parts;
    this.snapshots = snapshots;
  }

  measure(measure: StorageMeasureName, layers: number, value: number, unit: StorageMeasure["unit"]): StorageMeasure {
    return { driver: this.snapshots.driver, measure, layers, value, unit };
  }

  async layer(parent: string | undefined, fill: (directory: string) => void): Promise<string> {
    this.#serial += 1;
    const [key, name] = [`key-${this.#serial}`, `layer-${this.#serial}`];
    await this.snapshots.prepare(key, parent, { durable: false });
    fill(this.snapshots.writable(key).directory);
    await this.snapshots.commit(key, name);
    return name;
  }

  /** Performs batches in a fresh clone. @returns the milliseconds of each */
  async inClone(
    top: string,
    batches: readonly (readonly Op[])[],
    look: (key: string) => Promise<void> = async () => {},
  ): Promise<readonly number[]> {
    const key = "measured";
    const mounts = await this.snapshots.prepare(key, top, { durable: false });
    try {
      const worker = await this.#enter(mounts);
      const times: number[] = [];
      try {
        // What a round trip to the worker takes is not the driver's.
        const idle = median(await timesOf(worker, 9));
        for (const batch of batches) times.push(Math.max(0, (await timed(() => worker.run(batch))) - idle));
      } finally {
        await worker.close();
      }
      await look(key);
      return times;
    } finally {
      await this.snapshots.remove(key);
    }
  }

  #enter(mounts: readonly Mount[]): Promise<Worker> {
    const { executor, facts, staging } = this.#parts;
    return executor.work([
      { op: "unshare", flags: CLONE_NEWNS },
      ...rootfs({ root: { path: staging } }, facts, mounts),
      { op: "chroot", path: staging },
      { op: "chdir", path: "/" },
    ]);
  }
}

async function timesOf(worker: Worker, count: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) times.push(await timed(() => worker.run([{ op: "chdir", path: "/" }])));
  return times;
}

async function timed(act: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await act();
  return performance.now() - start;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

/** Children first, so that nothing is in use. */
async function clear(snapshots: Snapshotter | undefined): Promise<void> {
  if (snapshots === undefined) return;
  for (const { id } of [...snapshots.list()].reverse()) await snapshots.remove(id).catch(() => {});
  await snapshots.close();
}
