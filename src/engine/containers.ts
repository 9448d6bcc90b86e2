import { join } from "node:path";
import { OnggiError } from "../base/error.ts";
import { withUndo } from "../base/undo.ts";
import type { HostFacts } from "../runtime/compile/host-facts.ts";
import { Container, infoOf } from "./container.ts";
import { checkDraft, type DraftParts, draftContainer } from "./container-draft.ts";
import { containerFilesIn } from "./container-files.ts";
import { ContainerLife, type LifeParts, lastRunOf } from "./container-life.ts";
import type { ContainerRecord, LastRun } from "./container-record.ts";
import type { ContainersFace } from "./engine.ts";
import { Execs } from "./execs.ts";
import type { LogPlace } from "./log-files.ts";
import { logFormat } from "./log-frames.ts";
import { queryLog } from "./log-query.ts";
import { logPlaceOf, logSettings } from "./log-settings.ts";
import type {
  ContainerConfig,
  ContainerInfo,
  ContainerSize,
  ContainerStats,
  ExecConfig,
  ExecInfo,
  LogQuery,
  OutputChunk,
  ProcessStreams,
} from "./model.ts";
import { processTable } from "./process-table.ts";
import type { Found } from "./recovery.ts";
import { wantsRestart, wantsStartAtBoot } from "./restart-policy.ts";
import type { Rootfs } from "./rootfs.ts";
import type { StorageUsage } from "./storage-usage.ts";
import type { Volumes } from "./volumes.ts";

/** Docker's for what failed before the program ran. */
const unstartedStatus = 128;
/** How long a forced removal lets attached clients read the last output. */
const lastOutputMs = 2000;

export interface ContainersParts extends Omit<LifeParts, "autoRemove">, DraftParts {
  readonly rootfs: Rootfs;
  readonly usage: StorageUsage;
  readonly facts: HostFacts;
  readonly volumes: Volumes;
  /** A container is gone: so may be what only it stood on. */
  afterRemove(record: ContainerRecord): void;
}

/** The containers of one data root. */
export class Containers implements ContainersFace {
  readonly #parts: ContainersParts;
  readonly #life: ContainerLife;
  readonly #execs: Execs;

  constructor(parts: ContainersParts) {
    this.#parts = parts;
    this.#life = new ContainerLife({ ...parts, autoRemove: (container) => this.#removeNow(container) });
    this.#execs = new Execs(parts.launcher, parts.events);
  }

  /**
   * Takes in what an earlier engine left: adopts what runs, records what ended, starts what a policy wants.
   *
   * @param spared - ids of those that have ended but don't go for it
   */
  async restore(records: readonly ContainerRecord[], spared: ReadonlySet<string> = new Set()): Promise<void> {
    const containers = records.map((record) => new Container(record));
    for (const container of containers) this.#parts.names.add(container);
    for (const container of containers) await this.#restoreOne(container, spared.has(container.id));
  }

  async create(config: ContainerConfig): Promise<{ readonly id: string; readonly warnings: readonly string[] }> {
    const record = await draftContainer(config, this.#parts);
    const warnings = checkDraft(record, this.#parts.facts);
    await this.add(record);
    return { id: record.id, warnings };
  }

  /** Makes the container of a record that was drafted. */
  async add(record: ContainerRecord): Promise<void> {
    const { names, store, events, rootfs, volumes } = this.#parts;
    const { id } = record;
    const letGo = volumes.hold(record);
    await withUndo(async (undo) => {
      names.reserve(record.name, id);
      undo(() => names.release(record.name));
      undo(() => volumes.discardAnonymous(record));
      undo(() => store.remove(id));
      store.create(id);
      undo(() => rootfs.discard(id));
      // Side by side: both wait for the same disk. If one fails, the other must have ended before it can be undone.
      await allDone([rootfs.prepare(record), store.save(record)]);
      // After the record: volumes without one would belong to nobody after a crash.
      await volumes.prepare(record);
      const container = new Container(record);
      names.add(container);
      events.emit("container", "create", id, { ...record.labels, image: record.image.reference, name: record.name });
    }).finally(letGo);
  }

  /** Has a container stand still until the returned function is called. */
  still(container: Container): Promise<() => Promise<void>> {
    return this.#life.still(container);
  }

  get(key: string): ContainerInfo {
    return this.#info(this.#find(key));
  }

  list(): readonly ContainerInfo[] {
    return [...this.#parts.names.all]
      .map((container) => this.#info(container))
      .sort((a, b) => b.createdAtMs - a.createdAtMs);
  }

  start(key: string): Promise<"started" | "already_running"> {
    return this.#life.start(this.#find(key));
  }

  stop(
    key: string,
    options?: { readonly signal?: string; readonly timeoutSeconds?: number },
  ): Promise<"stopped" | "not_running"> {
    return this.#life.stop(this.#find(key), options);
  }

  kill(key: string, signal = "SIGKILL"): Promise<void> {
    return this.#life.kill(this.#find(key), signal);
  }

  async restart(key: string, options?: { readonly signal?: string; readonly timeoutSeconds?: number }): Promise<void> {
    const container = this.#find(key);
    // A container that goes with its end would be gone before it could start again.
    if (container.record.config.autoRemove === true && container.isRunning) {
      throw new OnggiError("conflict", `container ${container.id} is removed when it stops, so it can't be restarted`);
    }
    await this.#life.stop(container, options);
    await this.#life.start(container);
    this.#parts.events.emit("container", "restart", container.id, {
      name: container.record.name,
      image: container.record.image.reference,
    });
  }

  async remove(key: string, options: { readonly force?: boolean; readonly volumes?: boolean } = {}): Promise<void> {
    const container = this.#find(key);
    if (container.phase === "removing") {
      throw new OnggiError("conflict", `removal of container ${key} is already in progress`);
    }
    if (container.isRunning && options.force !== true) {
      const state = container.isPaused ? "paused" : "running";
      throw new OnggiError(
        "conflict",
        `cannot remove container "/${container.record.name}": container is ${state}: stop the container before removing or force remove`,
      );
    }
    if (container.isRunning) await this.#life.kill(container, "SIGKILL");
    else await this.#life.stop(container);
    await container.changes.run(() => this.#removeNow(container, options.volumes));
  }

  async prune(
    accept: (info: ContainerInfo) => boolean,
  ): Promise<{ readonly ids: readonly string[]; readonly bytes: number }> {
    const ids: string[] = [];
    let bytes = 0;
    for (const info of this.list()) {
      if (!["created", "exited", "dead"].includes(info.state.status) || !accept(info)) continue;
      const { writableBytes } = await this.size(info.id);
      await this.remove(info.id);
      ids.push(info.id);
      bytes += writableBytes;
    }
    return { ids, bytes };
  }

  pause(key: string): Promise<void> {
    return this.#life.pause(this.#find(key));
  }

  unpause(key: string): Promise<void> {
    return this.#life.unpause(this.#find(key));
  }

  async rename(key: string, name: string): Promise<void> {
    const { names, store, events } = this.#parts;
    const container = this.#find(key);
    const wanted = name.replace(/^\//, "");
    await container.changes.run(async () => {
      const old = container.record.name;
      if (wanted === old) {
        throw new OnggiError("invalid", "Renaming a container with the same name as its current name");
      }
      names.reserve(wanted, container.id);
      try {
        await store.save({ ...container.record, name: wanted });
      } catch (error) {
        names.release(wanted);
        throw error;
      }
      container.record = { ...container.record, name: wanted };
      names.release(old);
      events.emit("container", "rename", container.id, {
        name: wanted,
        oldName: `/${old}`,
        image: container.record.image.reference,
      });
    });
  }

  resize(key: string, rows: number, columns: number): void {
    this.#find(key).runningRun().monitor.resize(rows, columns);
  }

  async wait(
    key: string,
    condition: "not-running" | "next-exit" | "removed",
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<{ readonly exitCode: number; readonly error: string }> {
    const container = this.#find(key);
    if (condition === "removed") return container.removal(options.signal);
    const isOver = !container.isRunning && container.phase !== "restarting";
    if (condition === "not-running" && isOver) {
      const { exitCode, error } = container.record.last;
      return { exitCode, error };
    }
    return container.nextExit(options.signal);
  }

  async attach(
    key: string,
    options: { readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean; readonly logs?: boolean },
  ): Promise<ProcessStreams> {
    const container = this.#find(key);
    if (container.isPaused) {
      throw new OnggiError("conflict", `container ${key} is paused, unpause the container before attach`);
    }
    const streams = container.session.attach({
      ...options,
      stdin: options.stdin && container.record.config.openStdin === true,
    });
    if (options.logs !== true) return streams;
    const kept = this.logs(key, { stdout: options.stdout, stderr: options.stderr, follow: false, timestamps: false });
    return { ...streams, output: joined(kept, streams.output) };
  }

  async *logs(key: string, query: LogQuery): AsyncGenerator<OutputChunk> {
    const container = this.#find(key);
    const place = this.#logPlace(container.record);
    if (place.format === 0) {
      throw new OnggiError("unsupported", "configured logging driver does not support reading", {
        hint: `container ${container.record.name} was made with --log-driver none.`,
      });
    }
    yield* queryLog(place, query, {
      isAlive: () => container.run !== undefined,
      onEnd: (listener) => container.onEnd(listener),
    });
  }

  async top(key: string, psArguments: readonly string[]): ReturnType<ContainersFace["top"]> {
    const container = this.#find(key);
    container.runningRun();
    return processTable(this.#parts.observer.pids(container), psArguments);
  }

  async stats(key: string): Promise<ContainerStats> {
    const container = this.#find(key);
    const { observer, usage } = this.#parts;
    const storage = await usage.of({ id: container.id, limit: container.record.config.storage });
    return { ...observer.stats(container), storage };
  }

  async size(key: string): Promise<ContainerSize> {
    return this.#parts.rootfs.size(this.#find(key).record);
  }

  async explain(what: string | ContainerConfig): Promise<string> {
    if (typeof what === "string") return this.#parts.launcher.explain(this.#find(what).record);
    const record = await draftContainer(what, this.#parts);
    checkDraft(record, this.#parts.facts);
    return this.#parts.launcher.explain(record);
  }

  async createExec(key: string, config: ExecConfig): Promise<string> {
    const container = this.#find(key);
    container.runningRun();
    if (container.isPaused)
      throw new OnggiError("conflict", `container ${key} is paused, unpause the container before exec`);
    return this.#execs.create(container, config);
  }

  getExec(id: string): ExecInfo {
    return this.#execs.get(id);
  }

  startExec(id: string, options: { readonly terminalSize?: readonly [number, number] } = {}): Promise<ProcessStreams> {
    return this.#execs.start(id, options);
  }

  waitExec(id: string): Promise<number> {
    return this.#execs.wait(id);
  }

  resizeExec(id: string, rows: number, columns: number): void {
    this.#execs.resize(id, rows, columns);
  }

  /** Ids of the containers that stand on an image. */
  usersOf(imageId: string): readonly { readonly id: string; readonly running: boolean }[] {
    return [...this.#parts.names.all]
      .filter((container) => container.record.image.id === imageId)
      .map((container) => ({ id: container.id, running: container.isRunning }));
  }

  /** Lets go of all: containers go on. */
  async close(): Promise<void> {
    this.#life.close(this.#parts.names.all);
    await this.#parts.store.close();
  }

  async #restoreOne(container: Container, isSpared: boolean): Promise<void> {
    const { recovery, store } = this.#parts;
    const found = await recovery.find(container);
    if (found.kind === "running") {
      await this.#life.adopt(container, found.monitor, found.launch);
      return;
    }
    const hasEnded = found.kind !== "idle";
    if (hasEnded) {
      const last = this.#lastOf(container, found);
      const { config, restartCount, stoppedByUser } = container.record;
      const wasRunning = !stoppedByUser && wantsRestart(config.restart, last.exitCode, restartCount);
      container.record = { ...container.record, last, wasRunning };
      await store.save(container.record);
      store.clearLaunch(container.id);
    }
    const { config, last } = container.record;
    const isOver = hasEnded || last.finishedAtMs > 0;
    if (config.autoRemove === true && isOver && !isSpared) await this.#removeNow(container);
    else if (wantsStartAtBoot(config.restart, container.record)) void this.#life.start(container).catch(() => {});
  }

  /** How a run ended that no engine saw end. */
  #lastOf(container: Container, found: Exclude<Found, { readonly kind: "idle" | "running" }>): LastRun {
    if (found.kind === "lost") return found.last;
    if (found.kind === "ended") return lastRunOf(container, found.exit, found.launch, this.#parts.observer);
    return { ...container.record.last, exitCode: unstartedStatus, error: found.error };
  }

  async #removeNow(container: Container, withVolumes = false): Promise<void> {
    const { names, store, events, rootfs, volumes } = this.#parts;
    if (!names.has(container.id)) return;
    container.phase = "removing";
    try {
      const run = container.run;
      if (run !== undefined) {
        const timer = setTimeout(() => container.session.end(), lastOutputMs);
        await run.finished;
        clearTimeout(timer);
      }
      container.session.abandon();
      await rootfs.discard(container.id);
      this.#parts.usage.forget(container.id);
      await store.remove(container.id);
    } catch (error) {
      container.phase = "dead";
      throw error;
    }
    names.remove(container);
    this.#execs.forget(container);
    events.emit("container", "destroy", container.id, {
      ...container.record.labels,
      image: container.record.image.reference,
      name: container.record.name,
    });
    // Before anybody is told: who waits for the end of a container finds nothing of it left.
    if (withVolumes || container.record.config.autoRemove === true) await volumes.discardAnonymous(container.record);
    container.tellRemoval();
    this.#parts.afterRemove(container.record);
  }

  #find(key: string): Container {
    return this.#parts.names.find(key);
  }

  #info(container: Container): ContainerInfo {
    const { rootfs, store, usage, volumes } = this.#parts;
    const { id, record } = container;
    const place = this.#logPlace(record);
    const storage = usage.lastState({ id, limit: record.config.storage });
    return infoOf(container, {
      storageDriver: rootfs.driver,
      storageData: rootfs.describe(id),
      ...(storage === undefined ? {} : { storage }),
      logPath: place.format === logFormat.json ? join(place.directory, place.name) : "",
      paths: containerFilesIn(store.runDirectory(id)),
      mounts: volumes.mountsOf(record),
    });
  }

  #logPlace({ id, config }: ContainerRecord): LogPlace {
    return logPlaceOf(this.#parts.store.directory(id), id, logSettings(config.log));
  }
}

async function* joined(
  first: AsyncIterable<OutputChunk>,
  then: AsyncIterable<OutputChunk>,
): AsyncGenerator<OutputChunk> {
  yield* first;
  yield* then;
}

/** Like Promise.all, but nothing is under way any more when it rejects. */
async function allDone(promises: readonly Promise<unknown>[]): Promise<void> {
  const outcomes = await Promise.allSettled(promises);
  for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
}
