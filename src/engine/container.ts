import { OnggiError } from "../base/error.ts";
import { Mutex } from "../base/mutex.ts";
import type { Monitor } from "../executor/executor.ts";
import type { ContainerRecord } from "./container-record.ts";
import type { LaunchRecord } from "./container-store.ts";
import type { ContainerInfo, ContainerState, ContainerStatus } from "./model.ts";
import { ProcessSession } from "./process-session.ts";

/** A run in progress: from the launch to the end of its teardown. */
export interface Run {
  readonly monitor: Monitor;
  launch: LaunchRecord;
  /** The process has ended; output and teardown may still go on. */
  hasExited: boolean;
  /** Resolves when the exit is recorded and told. */
  readonly exited: Promise<void>;
  /** Resolves when nothing of the run is left. */
  readonly finished: Promise<void>;
}

export interface ExitOutcome {
  readonly exitCode: number;
  readonly error: string;
}

/** One container: its record, its present run, its clients. The rules of its life are in `container-life.ts`. */
export class Container {
  record: ContainerRecord;
  run: Run | undefined;
  /** Set while a restart policy waits, while it is being removed, or when its removal failed. */
  phase: "restarting" | "removing" | "dead" | undefined;
  /** A stop or kill by a user is under way or was the last thing: restart policies keep off. */
  isStopping = false;
  restartTimer: NodeJS.Timeout | undefined;
  restartDelayMs = 0;
  readonly session: ProcessSession;
  /** Start, remove and the like: one after the other. */
  readonly changes = new Mutex();
  /** Pause, unpause and standing still for a snapshot. */
  readonly freezing = new Mutex();
  /** Its tree is being exchanged: an end is no reason to remove it. */
  isRollingBack = false;
  readonly execIds = new Set<string>();
  readonly #exitWaiters = new Set<(outcome: ExitOutcome) => void>();
  readonly #removeWaiters = new Set<(outcome: ExitOutcome) => void>();
  readonly #endListeners = new Set<() => void>();

  constructor(record: ContainerRecord) {
    this.record = record;
    const { config } = record;
    this.session = new ProcessSession({ stdinOnce: config.stdinOnce === true && config.terminal !== true });
  }

  get id(): string {
    return this.record.id;
  }

  get isRunning(): boolean {
    return this.run !== undefined && !this.run.hasExited;
  }

  get isPaused(): boolean {
    return this.isRunning && this.run?.launch.paused === true;
  }

  get status(): ContainerStatus {
    if (this.phase === "removing" || this.phase === "dead") return this.phase;
    if (this.isPaused) return "paused";
    if (this.isRunning) return "running";
    if (this.phase === "restarting") return "restarting";
    return this.record.last.finishedAtMs === 0 ? "created" : "exited";
  }

  /**
   * The run that goes on.
   * @throws OnggiError `conflict` when it isn't running
   */
  runningRun(): Run {
    if (this.run === undefined || this.run.hasExited) {
      throw new OnggiError("conflict", `container ${this.id} is not running`, {
        hint: `Start it: onggi start ${this.record.name}`,
      });
    }
    return this.run;
  }

  state(): ContainerState {
    const { last } = this.record;
    const running = this.isRunning ? this.run : undefined;
    return {
      status: this.status,
      pid: running?.monitor.pid ?? 0,
      exitCode: running === undefined ? last.exitCode : 0,
      error: running === undefined ? last.error : "",
      oomKilled: running === undefined && last.oomKilled,
      startedAtMs: running?.launch.startedAtMs ?? last.startedAtMs,
      finishedAtMs: last.finishedAtMs,
      restartCount: this.record.restartCount,
    };
  }

  /** Resolves at the next exit. */
  nextExit(signal?: AbortSignal): Promise<ExitOutcome> {
    return waitIn(this.#exitWaiters, signal);
  }

  /** Resolves at the removal. */
  removal(signal?: AbortSignal): Promise<ExitOutcome> {
    return waitIn(this.#removeWaiters, signal);
  }

  tellExit(): void {
    const { exitCode, error } = this.record.last;
    for (const resolve of drain(this.#exitWaiters)) resolve({ exitCode, error });
  }

  tellRemoval(): void {
    const { exitCode, error } = this.record.last;
    for (const waiters of [this.#exitWaiters, this.#removeWaiters]) {
      for (const resolve of drain(waiters)) resolve({ exitCode, error });
    }
    this.tellEnd();
  }

  /** Calls back once when no more output will come of the present run. */
  onEnd(listener: () => void): () => void {
    this.#endListeners.add(listener);
    return () => this.#endListeners.delete(listener);
  }

  tellEnd(): void {
    for (const listener of drain(this.#endListeners)) listener();
  }
}

/** What of a container's info doesn't come from the container itself. */
export type InfoExtras = Pick<
  ContainerInfo,
  "storageDriver" | "storageData" | "storage" | "logPath" | "paths" | "mounts"
>;

export function infoOf(container: Container, extras: InfoExtras): ContainerInfo {
  const { record, run } = container;
  return {
    id: record.id,
    name: record.name,
    config: record.config,
    argv: record.argv,
    env: record.env,
    workingDirectory: record.workingDirectory,
    user: record.user,
    labels: record.labels,
    exposedPorts: record.exposedPorts,
    volumes: record.volumes ?? [],
    stopSignal: record.stopSignal,
    imageId: record.image.id,
    imageReference: record.image.reference,
    createdAtMs: record.createdAtMs,
    state: container.state(),
    address: container.isRunning ? run?.launch.address : undefined,
    ports: container.isRunning ? (run?.launch.ports ?? []) : [],
    hostname: record.hostname,
    execIds: [...container.execIds],
    ...extras,
  };
}

function waitIn(waiters: Set<(outcome: ExitOutcome) => void>, signal: AbortSignal | undefined): Promise<ExitOutcome> {
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<ExitOutcome>();
  const onAbort = () => {
    waiters.delete(onExit);
    reject(signal?.reason);
  };
  const onExit = (outcome: ExitOutcome) => {
    signal?.removeEventListener("abort", onAbort);
    resolve(outcome);
  };
  waiters.add(onExit);
  signal?.addEventListener("abort", onAbort, { once: true });
  return promise;
}

function drain<T>(set: Set<T>): T[] {
  const all = [...set];
  set.clear();
  return all;
}
