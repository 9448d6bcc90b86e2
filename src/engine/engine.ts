import type { ArchiveFile } from "../image/archive-files.ts";
import type { CommitOptions } from "../image/commit.ts";
import type { FilesFace } from "./files-face.ts";
import type { InitStorageRequest, InitStorageResult } from "./init-storage.ts";
import type {
  ContainerConfig,
  ContainerInfo,
  ContainerSize,
  ContainerStats,
  EngineEvent,
  ExecConfig,
  ExecInfo,
  HostInfo,
  ImageInfo,
  LogQuery,
  OutputChunk,
  ProcessStreams,
  Progress,
  VolumeInfo,
  VolumeRequest,
  VolumeSnapshotInfo,
} from "./model.ts";
import type {
  ContainerSnapshot,
  Fork,
  ForkOptions,
  Rollback,
  RollbackOptions,
  SnapshotCreation,
  SnapshotOptions,
  StorageTreeNode,
} from "./snapshot-model.ts";
import type { StorageFace } from "./storage-face.ts";

/** What the doors hold. The class `Engine` (the library's face) implements it; `src/api` speaks only to this. */
export interface EngineFace {
  readonly containers: ContainersFace;
  readonly images: ImagesFace;
  readonly networks: NetworksFace;
  readonly volumes: VolumesFace;
  readonly snapshots: SnapshotsFace;
  readonly files: FilesFace;
  readonly storage: StorageFace;
  readonly events: EventsFace;
  /**
   * Containers that go on from where one is now, or was at a snapshot (`from`; then `container` may be undefined): all or none. What is forked
   * stands still only while its files are copied.
   */
  fork(container: string | undefined, options?: ForkOptions): Promise<readonly Fork[]>;
  /** Puts a container back to what a snapshot holds: same id, same address; what it holds now is kept as a snapshot. */
  rollback(container: string, snapshot: string, options?: RollbackOptions): Promise<Rollback>;
  /** Makes what a storage driver needs, so that the engine can be opened with that driver; `conflict` when something of it is there. */
  initStorage(request: InitStorageRequest): Promise<InitStorageResult>;
  info(): Promise<HostInfo>;
}

/**
 * File systems of containers at a moment, without volumes and binds. A snapshot's `key` is its id, an unambiguous prefix of that, or
 * `CONTAINER@NAME`; unknown: `not_found`.
 */
export interface SnapshotsFace {
  /** A container that runs stands still while the copy is taken. */
  create(container: string, options?: SnapshotOptions): Promise<SnapshotCreation>;
  get(key: string): ContainerSnapshot;
  /** The newest first; all, or those of a container that is or was there. */
  list(container?: string): readonly ContainerSnapshot[];
  /** Bytes that belong to it alone. */
  size(key: string): Promise<number>;
  /** `in_use` while a container stands on it; forced, its files go with the last of those. */
  remove(key: string, options?: { readonly force?: boolean }): Promise<void>;
  /** Images, snapshots and containers as they stand on each other. */
  tree(): Promise<readonly StorageTreeNode[]>;
}

/** Every `key` is an id, an unambiguous prefix of one, or a name (with or without a leading slash); unknown: `not_found`. */
export interface ContainersFace {
  create(config: ContainerConfig): Promise<{ readonly id: string; readonly warnings: readonly string[] }>;
  get(key: string): ContainerInfo;
  list(): readonly ContainerInfo[];
  /** Attach before `start` and nothing of the output is missed. */
  start(key: string): Promise<"started" | "already_running">;
  /** `timeoutSeconds` undefined: the container's own; -1 waits for ever. */
  stop(
    key: string,
    options?: { readonly signal?: string; readonly timeoutSeconds?: number },
  ): Promise<"stopped" | "not_running">;
  kill(key: string, signal?: string): Promise<void>;
  restart(key: string, options?: { readonly signal?: string; readonly timeoutSeconds?: number }): Promise<void>;
  remove(key: string, options?: { readonly force?: boolean; readonly volumes?: boolean }): Promise<void>;
  prune(accept: (info: ContainerInfo) => boolean): Promise<{ readonly ids: readonly string[]; readonly bytes: number }>;
  pause(key: string): Promise<void>;
  unpause(key: string): Promise<void>;
  rename(key: string, name: string): Promise<void>;
  resize(key: string, rows: number, columns: number): void;
  /** `removed` rejects with `not_found` only when it doesn't exist at the call. */
  wait(
    key: string,
    condition: "not-running" | "next-exit" | "removed",
    options?: { readonly signal?: AbortSignal },
  ): Promise<{ readonly exitCode: number; readonly error: string }>;
  /** `logs`: what was kept so far comes first. */
  attach(
    key: string,
    options: { readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean; readonly logs?: boolean },
  ): Promise<ProcessStreams>;
  logs(key: string, query: LogQuery): AsyncIterable<OutputChunk>;
  /** Columns and rows as `ps` gives them. */
  top(
    key: string,
    psArguments: readonly string[],
  ): Promise<{ readonly titles: readonly string[]; readonly processes: readonly (readonly string[])[] }>;
  stats(key: string): Promise<ContainerStats>;
  size(key: string): Promise<ContainerSize>;
  /** The bash script that makes the same container; of one that exists, or of a request (nothing is made). */
  explain(what: string | ContainerConfig): Promise<string>;

  createExec(key: string, config: ExecConfig): Promise<string>;
  getExec(id: string): ExecInfo;
  /** Resolves once it runs; the streams end when it ended. */
  startExec(id: string, options?: { readonly terminalSize?: readonly [number, number] }): Promise<ProcessStreams>;
  /** Resolves with the exit code. */
  waitExec(id: string): Promise<number>;
  resizeExec(id: string, rows: number, columns: number): void;
}

export interface RegistryLogin {
  readonly username: string;
  readonly password: string;
}

/** What an image is made of by `commit` and `import`. */
export type ImageCommit = CommitOptions;

export interface ImagesFace {
  /** By reference, id, or unambiguous prefix of an id. */
  get(key: string): Promise<ImageInfo>;
  list(): Promise<readonly ImageInfo[]>;
  pull(
    reference: string,
    options: { readonly platform?: string; readonly login?: RegistryLogin; readonly signal?: AbortSignal },
  ): AsyncIterable<Progress>;
  push(
    reference: string,
    options: { readonly login?: RegistryLogin; readonly signal?: AbortSignal },
  ): AsyncIterable<Progress>;
  /** Asks a registry ("" is Docker Hub) whether it takes a login; `denied` when it doesn't. */
  checkLogin(server: string, login: RegistryLogin, signal: AbortSignal): Promise<void>;
  /** A docker archive or an OCI layout, plain, gzip or zstd; one in a file of this host is read where it lies. */
  load(
    archive: AsyncIterable<Uint8Array> | ArchiveFile,
    options?: { readonly signal?: AbortSignal },
  ): AsyncIterable<Progress>;
  /** An archive that is docker's and OCI's at once. */
  save(keys: readonly string[], options?: { readonly signal?: AbortSignal }): AsyncIterable<Uint8Array>;
  tag(key: string, reference: string): Promise<void>;
  /** What was untagged and deleted, in Docker's order. */
  remove(
    key: string,
    options?: { readonly force?: boolean; readonly prune?: boolean },
  ): Promise<readonly ({ readonly untagged: string } | { readonly deleted: string })[]>;
  prune(options: {
    readonly all: boolean;
    readonly accept?: (info: ImageInfo) => boolean;
  }): Promise<{ readonly deleted: readonly string[]; readonly bytes: number }>;
  /**
   * Makes an image of a parent's layers and a new one, for `commit` and `import`. Its layer comes as a tar with whiteouts.
   *
   * @returns its id
   */
  commit(options: ImageCommit): Promise<string>;
  /** Makes an image of the host's own programs. Missing ones are named in the progress. */
  fromHost(options: { readonly reference: string; readonly programs?: readonly string[] }): AsyncIterable<Progress>;
}

export interface NetworkInfo {
  readonly id: string;
  readonly name: string;
  readonly driver: "bridge" | "host" | "null";
  readonly subnet: string;
  readonly gateway: string;
  readonly bridge: string;
  readonly createdAtMs: number;
  readonly containers: readonly {
    readonly id: string;
    readonly name: string;
    readonly endpointId: string;
    readonly mac: string;
    readonly address: string;
  }[];
}

export interface NetworksFace {
  get(key: string): NetworkInfo;
  list(): readonly NetworkInfo[];
}

/** Named directories that outlive containers. An unknown name: `not_found`. */
export interface VolumesFace {
  /** Makes it, or finds the one of that name; `conflict` when that has other options. */
  create(request: VolumeRequest): Promise<VolumeInfo>;
  get(name: string): VolumeInfo;
  list(): readonly VolumeInfo[];
  /** `in_use` while a container has it. `force`: one that isn't there is no error. */
  remove(name: string, options?: { readonly force?: boolean }): Promise<void>;
  /** Removes those that no container has and `accept` names. */
  prune(accept: (info: VolumeInfo) => boolean): Promise<{ readonly names: readonly string[]; readonly bytes: number }>;
  /** Bytes on the disk. */
  size(name: string): Promise<number>;
  /** Keeps a copy of what it holds now; containers that write to it are paused meanwhile. */
  snapshot(name: string, snapshot?: string): Promise<VolumeSnapshotInfo>;
  snapshots(name: string): readonly VolumeSnapshotInfo[];
  removeSnapshot(name: string, snapshot: string): Promise<void>;
  /** Puts back what it held then; `in_use` while a container that has it runs. */
  rollback(name: string, snapshot: string): Promise<void>;
  /** Makes the volume `clone` with what `name` holds now, or held in one of its snapshots. */
  clone(name: string, clone: string, options?: { readonly from?: string }): Promise<VolumeInfo>;
}

export interface EventsFace {
  /** Past events from `sinceMs`, then what happens, until `untilMs` or the signal. */
  subscribe(options: {
    readonly sinceMs?: number;
    readonly untilMs?: number;
    readonly signal?: AbortSignal;
  }): AsyncIterable<EngineEvent>;
}
