import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { OnggiError } from "../base/error.ts";
import type { Executor, Worker } from "../executor/executor.ts";
import { scanTree, type TreeEntry } from "../executor/tree-reader.ts";
import type { Images } from "../image/images.ts";
import { tarSlot } from "../image/layer-ops.ts";
import type { ApplyLayer, LayerMaterial, LayerSink } from "../image/layer-sink.ts";
import { shortId } from "../oci/digest.ts";
import { O_RDONLY } from "../program/kernel.ts";
import type { Mount } from "../program/mount.ts";
import { syncFileSystem } from "../storage/file-system.ts";
import { openSnapshotter } from "../storage/open.ts";
import type { DriverCandidate, DriverTools, SnapshotInfo, Snapshotter } from "../storage/snapshotter.ts";
import { writeArchive } from "./archive-write.ts";
import type { ContainerNames } from "./container-names.ts";
import { layerItems } from "./files.ts";
import { Layers } from "./layers.ts";
import { expectedSnapshot } from "./rootfs.ts";
import {
  dropSnapshots,
  type Migration,
  migratedRecords,
  saveMigration,
  switchOver,
  takeBack,
} from "./storage-migration.ts";
import { compareTrees, differsByMetadata } from "./tree-compare.ts";
import { enterTree, type PlaceParts } from "./tree-place.ts";

export interface MigrateParts extends PlaceParts {
  readonly root: string;
  readonly snapshotter: Snapshotter;
  readonly images: Images;
  readonly names: ContainerNames;
  readonly executor: Executor;
  readonly candidates: readonly DriverCandidate[];
  readonly tools: DriverTools;
  /** Closes the snapshots that the engine has open. */
  closeStorage(): Promise<void>;
}

/**
 * Moves all snapshots of a root over to another storage driver. The engine is to be closed afterwards: what it had open is gone.
 *
 * The other driver's folder is complete and on the disk before anything of the old one goes; what is cut off before that is rolled back by the
 * next start, what is cut off afterwards is finished by it.
 *
 * @throws OnggiError `conflict` while containers run, or when it is that driver already; `unsupported` for a driver that can't work here
 */
export async function migrateStorage(parts: MigrateParts, to: string, report: (line: string) => void): Promise<void> {
  const { root, snapshotter: old, candidates, tools } = parts;
  const snapshotsRoot = join(root, "snapshots");
  checkIdle(parts, to);
  const migration: Migration = { format: 1, from: old.driver, to, phase: "copying" };
  const candidate = candidates.filter(({ name }) => name === to);
  await saveMigration(root, migration);
  const target = await openSnapshotter({ root: snapshotsRoot, driver: to, candidates: candidate, tools }).catch(
    async (error: unknown) => {
      await dropSnapshots(snapshotsRoot, to, { candidates, tools, isOpen: false });
      await saveMigration(root, undefined);
      throw error;
    },
  );
  try {
    await copyAll(parts, target, report);
  } catch (error) {
    await target.close();
    await takeBack(root, migration, { candidates, tools });
    throw error;
  }
  await target.close();
  await parts.closeStorage();
  await saveMigration(root, { ...migration, phase: "switching" });
  report(`removing what ${old.driver} held`);
  await switchOver(root, { ...migration, phase: "switching" }, { candidates, tools });
}

function checkIdle({ names, snapshotter, candidates }: MigrateParts, to: string): void {
  if (!candidates.some(({ name }) => name === to)) {
    throw new OnggiError("invalid", `there is no storage driver "${to}"`, {
      hint: `Choose one of ${candidates.map(({ name }) => name).join(", ")}.`,
    });
  }
  if (snapshotter.driver === to) throw new OnggiError("conflict", `the storage driver is "${to}" already`);
  const running = [...names.all].filter(({ isRunning }) => isRunning).map(({ record }) => record.name);
  if (running.length === 0) return;
  throw new OnggiError("conflict", `storage can't be moved while containers run: ${running.join(", ")}`, {
    hint: "Stop them first: onggi stop, before the daemon is ended.",
  });
}

async function copyAll(parts: MigrateParts, target: Snapshotter, report: (line: string) => void): Promise<void> {
  const { root, snapshotter: old, images, executor, names } = parts;
  const sink = new Layers(target, executor);
  await images.copyLayers({ sink, recordsDirectory: migratedRecords(root) }, ({ diffId }) =>
    report(`layer ${shortId(diffId)}`),
  );
  const expected = new Map([...names.all].map(({ record }) => [record.id, expectedSnapshot(record)]));
  const byId = new Map([...old.list()].map((snapshot) => [snapshot.id, snapshot]));
  const copy = async (snapshot: SnapshotInfo): Promise<void> => {
    if (target.has(snapshot.id)) return;
    const parent = snapshot.parent === undefined ? undefined : byId.get(snapshot.parent);
    if (parent !== undefined) await copy(parent);
    report(`${snapshot.kind === "committed" ? "snapshot" : "container"} ${shortId(snapshot.id)}`);
    const tar = differenceTar(parts, snapshot);
    const recordsDirectory = join(root, "snapshots", `.tree-${randomBytes(6).toString("hex")}`);
    if (snapshot.kind === "committed") {
      await images.unpackTree({ sink: committedSink(sink, snapshot), recordsDirectory }, tar);
      return;
    }
    const { durable = true, limit } = expected.get(snapshot.id) ?? {};
    const options = { durable, remembered: expected.has(snapshot.id), ...(limit === undefined ? {} : { limit }) };
    await target.prepare(snapshot.id, snapshot.parent, options);
    await images.unpackTree({ sink: writableSink(target, executor, snapshot.id), recordsDirectory }, tar);
    await syncFileSystem(target.writable(snapshot.id).directory);
  };
  for (const snapshot of byId.values()) if (snapshot.kind !== "view") await copy(snapshot);
}

/** What a snapshot changes of its parent, as a layer. */
async function* differenceTar(parts: MigrateParts, { id, kind, parent }: SnapshotInfo): AsyncGenerator<Uint8Array> {
  const { snapshotter } = parts;
  const asView = async (name: string) => {
    const key = `migrate-${randomBytes(8).toString("hex")}`;
    const mounts = await snapshotter.view(key, name, { durable: false });
    return { mounts, close: () => snapshotter.remove(key) };
  };
  const own =
    kind === "committed" ? await asView(id) : { mounts: readonly(snapshotter.mounts(id)), close: async () => {} };
  const below = parent === undefined ? undefined : await asView(parent);
  const workers: Worker[] = [];
  const enter = async (mounts: readonly Mount[]) => {
    const worker = await enterTree(parts, mounts);
    workers.push(worker);
    return worker;
  };
  try {
    const now = await enter(own.mounts);
    const before = below === undefined ? nothing() : scanTree(await enter(below.mounts), "/", { xattrs: true });
    const changes = compareTrees(before, scanTree(now, "/", { xattrs: true }), differsByMetadata);
    yield* writeArchive(now, layerItems(changes));
  } finally {
    for (const worker of workers) await worker.close();
    await below?.close();
    await own.close();
  }
}

/** Makes one committed tree, under its name. */
function committedSink(sink: LayerSink, { id, parent }: SnapshotInfo): LayerSink {
  // Names of trees are opaque to the storage: chainIDs are only those that images have.
  const [name, below] = [id, parent] as unknown as [
    Parameters<LayerSink["layer"]>[0],
    Parameters<LayerSink["layer"]>[1],
  ];
  const { importTar } = sink;
  return {
    ...asKept(sink.whiteouts),
    layer: (_chainId, _parent, apply, material) => sink.layer(name, below, apply, material),
    importTar: importTar === undefined ? undefined : (_chainId, _parent, layer) => importTar(name, below, layer),
  };
}

/** Fills a writable tree that was made. */
function writableSink(target: Snapshotter, executor: Executor, key: string): LayerSink {
  const { directory, whiteouts } = target.writable(key);
  return {
    ...asKept(whiteouts),
    async layer(_chainId, _parent, apply: ApplyLayer, { tarPath }: LayerMaterial) {
      const worker = await executor.work([
        { op: "open", slot: tarSlot, path: tarPath, flags: O_RDONLY },
        { op: "chroot", path: directory },
        { op: "chdir", path: "/" },
      ]);
      try {
        await apply(worker);
      } finally {
        await worker.close();
      }
    },
  };
}

/** Nobody will ask for its tar again, so nothing but the tree is to be kept. */
function asKept(whiteouts: LayerSink["whiteouts"]): Omit<LayerSink, "layer"> {
  return {
    whiteouts,
    has: async () => false,
    tree: () => "/",
    tar: () => "/",
    remove: async () => true,
    list: async () => [],
  };
}

function readonly(mounts: readonly Mount[]): readonly Mount[] {
  return mounts.map((mount) => ({ ...mount, readonly: true }));
}

async function* nothing(): AsyncGenerator<TreeEntry> {}
