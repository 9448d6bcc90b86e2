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
  /** Starts an active snapshot on `parent`, or on nothing. `conflict` when the key is in use, `not_found` for the parent. */
  prepare(key: string, parent?: SnapshotName): Promise<readonly Mount[]>;
  /** The mounts of an active snapshot or view that is there. */
  mounts(key: string): readonly Mount[];
  /** Like prepare, but read-only: a view is removed, never committed. */
  view(key: string, parent: SnapshotName): Promise<readonly Mount[]>;
  /** Freezes `key` as `name`; the key is free afterwards. A name that is there already: the key is removed instead. */
  commit(key: string, name: SnapshotName): Promise<void>;
  /** Deletes a snapshot; `in_use` while another stands on it. Quick: the tree goes to a trash that is emptied later. */
  remove(id: string): Promise<void>;
  has(id: string): boolean;
  stat(id: string): SnapshotInfo;
  list(): IterableIterator<SnapshotInfo>;
  /** Bytes and inodes that belong to this snapshot alone. */
  usage(id: string): Promise<{ readonly bytes: number; readonly inodes: number }>;
  /** Where a layer's entries are written to make an active snapshot, and how whiteouts are spelt there. */
  writable(key: string): { readonly directory: string; readonly whiteouts: "overlay" | "remove" };
  /** What `inspect` shows as GraphDriver.Data. */
  describe(key: string): Readonly<Record<string, string>>;
  /** Resolves when the trash is empty. */
  close(): Promise<void>;
}

export interface SnapshotInfo {
  /** Key or chainID. */
  readonly id: string;
  readonly kind: "active" | "view" | "committed";
  readonly parent: SnapshotName | undefined;
}

export interface DriverTraits {
  readonly write: "copy-on-write" | "redirect-on-write" | "copy";
  readonly unit: "file" | "block" | "extent";
}

/** The few methods one filesystem must supply; `openSnapshotter` completes them with keys, parents and states. */
export interface SnapshotDriver {
  readonly name: string;
  readonly traits: DriverTraits;
  /** Makes the writable tree `id` on `parents` (nearest first). Several calls for different ids may run at once. */
  create(id: string, parents: readonly string[]): Promise<void>;
  /** Called before a tree is frozen. */
  freeze?(id: string): Promise<void>;
  /** Makes the tree vanish from its place at once (rename to `trash`); deleting may take its time. */
  discard(id: string, trash: string): Promise<void>;
  mounts(id: string, parents: readonly string[], writable: boolean): readonly Mount[];
  writable(id: string): { readonly directory: string; readonly whiteouts: "overlay" | "remove" };
  usage(id: string): Promise<{ readonly bytes: number; readonly inodes: number }>;
  describe(id: string, parents: readonly string[]): Readonly<Record<string, string>>;
}

/** A driver before it is chosen. */
export interface DriverCandidate {
  readonly name: string;
  /** Undefined when it can work with its data in `directory`, else the reason why not. */
  probe(directory: string): Promise<string | undefined>;
  open(directory: string): Promise<SnapshotDriver>;
}
