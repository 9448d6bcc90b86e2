import type { Mount } from "../program/mount.ts";

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
  /** Resolves when the record of a snapshot that was prepared in the background is on the disk; rejects when it can't be written. */
  settled(key: string): Promise<void>;
  /** The mounts of an active snapshot or view that is there. Ask anew before each mounting. */
  mounts(key: string): readonly Mount[];
  /** Like prepare, but read-only: a view is removed, never committed. */
  view(key: string, parent: SnapshotName, options?: PrepareOptions): Promise<readonly Mount[]>;
  /** Freezes `key` as `name`; the key is free afterwards. A name that is there already: the key is removed instead. */
  commit(key: string, name: SnapshotName): Promise<void>;
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
   * True: resolves before the record is on the disk, and removing waits for no disk either. For a caller that prepares the snapshot anew when a
   * power cut took it, and awaits {@link Snapshotter.settled} before anything is written to it. Default: false.
   */
  readonly background?: boolean;
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
}

export interface WritableTree {
  readonly directory: string;
  readonly whiteouts: "overlay" | "remove";
}

export interface DriverTraits {
  readonly write: "copy-on-write" | "redirect-on-write" | "copy";
  readonly unit: "file" | "block" | "extent";
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
  create(id: string, parents: readonly string[], how: { readonly durable: boolean }): Promise<void>;
  /** Called before a tree becomes a parent: resolves when all in it is on the disk. */
  freeze(id: string, parents: readonly string[]): Promise<void>;
  /** Makes the tree vanish from its place at once (rename to `trash`, a name to come); deleting may take its time. */
  discard(id: string, trash: string): void;
  /** `durable` false: what is written need never reach the disk. Asked anew before each mounting. */
  mounts(id: string, parents: readonly string[], how: MountChoice): readonly Mount[];
  writable(id: string): WritableTree;
  usage(id: string): Promise<Usage>;
  describe(id: string, parents: readonly string[]): Readonly<Record<string, string>>;
}

export interface MountChoice {
  readonly writable: boolean;
  readonly durable: boolean;
}

/** A driver before it is chosen. */
export interface DriverCandidate {
  readonly name: string;
  /** Undefined when it can work with its data in `directory`, else the reason why not. */
  probe(directory: string): Promise<string | undefined>;
  open(directory: string): Promise<SnapshotDriver>;
}
