import type { Worker } from "../executor/executor.ts";
import type { Mount } from "../program/mount.ts";
import type { Op } from "../program/op.ts";
import type { LayerArchive } from "./layer-archive.ts";
import type { SnapshotProblem } from "./snapshot-problems.ts";
import type { StorageLimit } from "./storage-limit.ts";

export type { StorageLimit };

/** Digest over a stack of layers, as `sha256:…`: names a committed snapshot. */
export type SnapshotName = string;

/**
 * Keeps container filesystems as a tree of snapshots.
 *
 * A snapshot is active (writable, under a key the caller invents) or committed (frozen, under its chainID, fit to be a
 * parent). Nothing here mounts: methods return the mounts that would show the filesystem. All state lies on disk; what was
 * acknowledged survives kill -9 and power cuts, what was not is swept by `open`.
 */
export interface Snapshotter {
  readonly driver: string;
  readonly traits: DriverTraits;
  /** What opening had to mend, a sentence each; empty after a clean end. */
  readonly repairs: readonly string[];
  /** Starts an active snapshot on `parent`, or on nothing. `conflict` when the key is in use, `not_found` for the parent. */
  prepare(key: string, parent?: SnapshotName, options?: PrepareOptions): Promise<readonly Mount[]>;
  /** The mounts of an active snapshot or view that is there. Ask anew before each mounting. */
  mounts(key: string, options?: MountsOptions): readonly Mount[];
  /** Like prepare, but read-only: a view is removed, never committed. */
  view(key: string, parent: SnapshotName, options?: PrepareOptions): Promise<readonly Mount[]>;
  /** Freezes `key` as `name`; the key is free afterwards. A name that is there already: the key is removed instead. */
  commit(key: string, name: SnapshotName, options?: CommitChoice): Promise<void>;
  /**
   * Freezes a copy of an active snapshot as `name`, beside it: `key` stays as it is. Nothing may write to it meanwhile (the caller
   * pauses the container) until `copied` is called: bringing the copy to the disk comes after that. A name that is there already is a
   * `conflict`.
   */
  capture(key: string, name: SnapshotName, options?: { readonly copied?: () => Promise<void> }): Promise<void>;
  /**
   * Makes the committed snapshot `name` straight from a layer's archive; undefined for a driver whose layers are trees, which are filled by
   * prepare, {@link writable} and commit.
   */
  readonly importLayer:
    | ((name: SnapshotName, parent: SnapshotName | undefined, layer: LayerArchive) => Promise<void>)
    | undefined;
  /** Whether a snapshot that was prepared on nothing may be committed onto a parent, so that layers are filled side by side. */
  readonly rebases: boolean;
  /** The folder with a committed snapshot's own files, for reading; undefined where they lie in no folder of the host. */
  layerTree(name: SnapshotName): string | undefined;
  /** The plain tar that a committed snapshot was imported from, where the driver keeps it. */
  layerTar(name: SnapshotName): string | undefined;
  /** Deletes a snapshot; `in_use` while another stands on it. Quick: the tree goes to a trash that is emptied later. */
  remove(id: string): Promise<void>;
  has(id: string): boolean;
  stat(id: string): SnapshotInfo;
  list(): IterableIterator<SnapshotInfo>;
  /** Bytes and inodes that belong to this snapshot alone. */
  usage(id: string): Promise<Usage>;
  /** Where a layer's entries are written to make an active snapshot, and how whiteouts are spelt there. */
  writable(key: string): WritableTree;
  /** What `inspect` shows as GraphDriver.Data. */
  describe(key: string): Readonly<Record<string, string>>;
  /** A clone of `parent` as commands, for a script that uses `directory`; undefined where a mount is all it takes. */
  cloneByHand(parent: SnapshotName, directory: string): TreeByHand | undefined;
  /** Compares what is known with what is on the disk; `deep` reads all layers, where the driver can tell whether they are good. */
  check(options?: { readonly deep?: boolean }): AsyncIterable<SnapshotProblem>;
  /** Resolves when the trash is empty, or after a while: the next open goes on with it. */
  close(): Promise<void>;
}

export interface PrepareOptions {
  /**
   * False for what a power cut may take (`--rm` containers, layers being unpacked): nothing waits for the disk. It still
   * survives the death of every process. Default: true.
   */
  readonly durable?: boolean;
  /**
   * True: the caller keeps key and parent itself and tells them at each opening ({@link SnapshotMemory}), so that no record is written
   * here and nothing waits for the disk. Default: false.
   */
  readonly remembered?: boolean;
  /** What may be written to it at most; `unsupported` where the driver can't hold it to that. */
  readonly limit?: StorageLimit;
}

/** What callers remember of their snapshots. */
export interface SnapshotMemory {
  readonly expected: readonly ExpectedSnapshot[];
  /** False: there may be more, of which the caller can't know; so no tree that nobody knows is removed. */
  readonly isWhole: boolean;
}

export interface CommitChoice {
  /** The parent to commit it onto, of a snapshot that was prepared on nothing; where {@link Snapshotter.rebases}. */
  readonly onto?: SnapshotName | undefined;
  /** Whether the snapshot says itself what owner and mode its root has; otherwise it takes the parent's. */
  readonly ownRoot?: boolean;
}

/** An active snapshot that a caller remembers: opening finds its tree, or makes it again. */
export interface ExpectedSnapshot {
  readonly key: string;
  readonly parent: SnapshotName | undefined;
  readonly durable: boolean;
  readonly limit?: StorageLimit;
}

export interface SnapshotInfo {
  /** Key or chainID. */
  readonly id: string;
  readonly kind: "active" | "view" | "committed";
  readonly parent: SnapshotName | undefined;
}

export interface Usage {
  readonly bytes: number;
  readonly inodes: number;
  /** What may still be written, where a limit is kept by a file system that says so. */
  readonly free?: { readonly bytes: number; readonly inodes: number };
}

/** A writable tree that a person makes with commands. */
export interface TreeByHand {
  readonly make: readonly string[];
  readonly drop: readonly string[];
  readonly mount: Mount;
}

export interface WritableTree {
  readonly directory: string;
  readonly whiteouts: "overlay" | "remove";
}

export interface DriverTraits {
  readonly write: "copy-on-write" | "redirect-on-write" | "copy";
  readonly unit: "file" | "block" | "extent";
  readonly limits: { readonly bytes: LimitMeans; readonly inodes: LimitMeans };
}

/** How a limit is kept: by the file system itself, by a file system of that size in a file of its own, or not at all. */
export type LimitMeans = "native" | "image" | "none";

/** What a driver may need of the rest, handed in by whoever opens it. */
export interface DriverTools {
  /** What the engine was told about drivers, such as `zfs.fsname`. */
  readonly options?: Readonly<Record<string, string>>;
  /** Performs operations as root in the host's view of the file system; the answers of those that have one. */
  perform(ops: readonly Op[]): Promise<readonly Uint8Array[]>;
  /** Starts a process that performs operations in a place of its choice, one batch after the other. */
  work?(prelude: readonly Op[]): Promise<Worker>;
  /** Another number for each executor: with one ends what was mounted in its namespace. */
  generation?(): number;
}

/**
 * The few methods one filesystem must supply; `openSnapshotter` completes them with keys, parents and states.
 *
 * An `id` is a short hexadecimal name that the bookkeeping chose. Views have no tree: they show their parents.
 */
export interface SnapshotDriver {
  readonly name: string;
  readonly traits: DriverTraits;
  /** The ids that have a tree, whole or half made: start-up discards those that nobody knows. */
  list(): readonly string[];
  /** False for a tree that a power cut left half made. */
  isWhole(id: string): boolean;
  /**
   * Makes the writable tree `id` on `parents` (nearest first), or completes it. Several calls for different ids may run at
   * once. An empty tree needn't reach the disk, since start-up makes it again; a copied one must, when `durable`.
   */
  create(id: string, parents: readonly string[], how: CreateChoice): Promise<void>;
  /** Makes `to` a whole copy of the writable tree `from`, on the same parents; {@link freeze} follows. Nothing writes to `from` meanwhile. */
  copy(from: string, to: string, parents: readonly string[]): Promise<void>;
  /** Where layers aren't trees: makes the frozen tree `id` of a layer's archive. Resolves when it is on the disk. */
  importLayer?(id: string, parents: readonly string[], layer: LayerArchive): Promise<void>;
  /** Where a tree holds only what it changes: puts one that was made on nothing onto parents; its root becomes like theirs unless it has one of its own. */
  rebase?(id: string, parents: readonly string[], ownRoot: boolean): void;
  /** The folder with a frozen tree's own files, where it is one of the host's. */
  layerTree?(id: string): string;
  /** The plain tar that {@link importLayer} was given, where it is kept. */
  layerTar?(id: string): string | undefined;
  /** Called before a tree becomes a parent: resolves when all in it is on the disk. */
  freeze(id: string, parents: readonly string[]): Promise<void>;
  /**
   * Makes the tree vanish from its place at once (rename to `trash`, a name to come); deleting may take its time. A promise where that
   * can't be done at once: the record is gone by then, so what a crash leaves is swept by the next start.
   */
  discard(id: string, trash: string): void | Promise<void>;
  /** Deletes an entry of the trash where `rm` can't. @returns false: it is an ordinary tree */
  empty?(trashed: string): Promise<boolean>;
  /** `durable` false: what is written need never reach the disk. Asked anew before each mounting. */
  mounts(id: string, parents: readonly string[], how: MountChoice): readonly Mount[];
  writable(id: string): WritableTree;
  usage(id: string): Promise<Usage>;
  describe(id: string, parents: readonly string[]): Readonly<Record<string, string>>;
  /** As {@link Snapshotter.cloneByHand}; `directory` is a new one for each script, its last part unique. */
  cloneByHand?(parents: readonly string[], directory: string): TreeByHand;
  /** Reads a frozen tree whole. @returns what is wrong with it, a sentence each */
  verify?(id: string): Promise<readonly string[]>;
  /** Lets go of what opening took (a mounted image, an activated pool); trees stay usable by containers that run. */
  close?(): Promise<void>;
}

export interface CreateChoice {
  readonly durable: boolean;
  readonly limit?: StorageLimit | undefined;
}

export interface MountsOptions {
  /** True: for a process of the executor that is started at once, so that what is mounted in its namespace already can be used. Default: false. */
  readonly atOnce?: boolean;
}

export interface MountChoice extends MountsOptions {
  readonly writable: boolean;
  readonly durable: boolean;
}

/** A driver before it is chosen. */
export interface DriverCandidate {
  readonly name: string;
  /** Undefined when it can work with its data in `directory`, else the reason why not. */
  probe(directory: string, tools: DriverTools): Promise<string | undefined>;
  open(directory: string, tools: DriverTools): Promise<SnapshotDriver>;
}
