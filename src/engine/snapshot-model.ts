/** What the engine is asked and tells of snapshots, forks and rollbacks: plain data. */

/** The file system of a container at one moment, kept beside it. It outlives the container. */
export interface ContainerSnapshot {
  readonly id: string;
  /** Unique among the snapshots of its container. */
  readonly name: string;
  /** `CONTAINER@NAME` */
  readonly reference: string;
  /** Of which it was taken; the name is the one of today, or the last one of a container that is gone. */
  readonly container: { readonly id: string; readonly name: string; readonly exists: boolean };
  readonly image: { readonly id: string; readonly reference: string };
  readonly createdAtMs: number;
  /** Made with a rule what to keep: a later one of the same container may remove it. */
  readonly limited: boolean;
  /** Names of the containers that stand on it. */
  readonly usedBy: readonly string[];
}

export interface SnapshotOptions {
  /** Default: the time. */
  readonly name?: string;
  /** Of the container's snapshots that were made with such a rule, so many stay, this one included. */
  readonly keep?: number;
  /** Of those, the ones that are older go. */
  readonly keepForMs?: number;
}

export interface SnapshotCreation {
  readonly snapshot: ContainerSnapshot;
  /** References of those that the rule removed. */
  readonly removed: readonly string[];
}

/** Images, snapshots and containers as they stand on each other. */
export interface StorageTreeNode {
  readonly kind: "image" | "snapshot" | "base" | "container";
  /** Of a base, which only forks stand on, the name of its tree. */
  readonly id: string;
  /** Names of an image, `CONTAINER@NAME`, a container's name; empty for a base and an image without name. */
  readonly name: string;
  /** Of its own; what it stands on not counted. */
  readonly sizeBytes: number;
  /** A container's, else empty. */
  readonly status: string;
  readonly children: readonly StorageTreeNode[];
}

export interface ForkOptions {
  /** How many; 1 unless told, or as many as there are names. */
  readonly count?: number;
  /** The first ones'; the others are called `NAME-fork-N`. */
  readonly names?: readonly string[];
  /** A snapshot to fork from instead of what the container is now. */
  readonly from?: string;
  /** `KEY=value` on top of what the container has; `KEY` alone removes one. */
  readonly env?: readonly string[];
  /** False: they are only made. */
  readonly start?: boolean;
}

export interface Fork {
  readonly id: string;
  readonly name: string;
  /** Empty where it isn't on the bridge, or doesn't run. */
  readonly address: string;
  /** Host ports that the container has that was forked, and what this one has instead; 0 while it doesn't run. */
  readonly movedPorts: readonly {
    readonly containerPort: number;
    readonly protocol: "tcp" | "udp";
    readonly hostPort: number;
    readonly insteadOf: number;
  }[];
}

export interface RollbackOptions {
  /** True: what the container holds now isn't kept as a snapshot. */
  readonly discard?: boolean;
  /** How long it may take to stop; its own limit unless told. */
  readonly timeoutSeconds?: number;
  /** Called when its files are the snapshot's, before it is started again; not where it didn't run. */
  readonly beforeStart?: () => Promise<void>;
}

export interface Rollback {
  /** What it held before. */
  readonly before: ContainerSnapshot | undefined;
  /** It ran, and runs again. */
  readonly restarted: boolean;
}
