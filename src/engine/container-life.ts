import { isOnggiError, messageOf, OnggiError } from "../base/error.ts";
import { parseSignal } from "../base/signal.ts";
import type { Cgroups } from "../cgroup/cgroups.ts";
import type { Monitor } from "../executor/executor.ts";
import type { ExitRecord } from "../program/op.ts";
import type { Container, Run } from "./container.ts";
import type { ContainerRecord, LastRun } from "./container-record.ts";
import type { ContainerStore, LaunchRecord } from "./container-store.ts";
import type { Events } from "./events.ts";
import type { Launcher } from "./launcher.ts";
import type { Observer } from "./observer.ts";
import type { Recovery } from "./recovery.ts";
import { nextDelayMs, wantsRestart } from "./restart-policy.ts";

const sigkill = 9;
const defaultStopTimeoutSeconds = 10;

export interface LifeParts {
  readonly store: ContainerStore;
  readonly events: Events;
  readonly launcher: Launcher;
  readonly cgroups: Cgroups;
  readonly observer: Observer;
  readonly recovery: Recovery;
  /** Removes a container that goes with its end; called with its changes locked. */
  autoRemove(container: Container): Promise<void>;
}

/** The rules of a container's life: start, exit, restart, stop. */
export class ContainerLife {
  readonly #parts: LifeParts;
  #closing = false;

  constructor(parts: LifeParts) {
    this.#parts = parts;
  }

  start(container: Container): Promise<"started" | "already_running"> {
    return container.changes.run(async () => {
      if (container.isPaused) {
        throw new OnggiError("conflict", "cannot start a paused container, try unpause instead");
      }
      if (container.isRunning) return "already_running";
      if (container.phase === "removing" || container.phase === "dead") {
        throw new OnggiError("conflict", `container ${container.id} is marked for removal and cannot be started`);
      }
      this.#stopRestarting(container);
      container.isStopping = false;
      container.restartDelayMs = 0;
      await this.#setRecord(container, { restartCount: 0, stoppedByUser: false });
      await this.#launch(container);
      return "started";
    });
  }

  /** Takes over a run that an engine before this one began. */
  async adopt(container: Container, monitor: Monitor, launch: LaunchRecord): Promise<void> {
    this.#follow(container, monitor, launch);
    if (launch.still === true && container.run !== undefined) await this.#goOn(container, container.run);
  }

  /**
   * Stops all its processes where they are, so that its tree doesn't change; one that is paused or doesn't run is still already.
   *
   * @returns what lets it go on; calling it again does nothing
   */
  async still(container: Container): Promise<() => Promise<void>> {
    const begun = Promise.withResolvers<void>();
    const over = Promise.withResolvers<void>();
    void container.freezing.run(() => {
      begun.resolve();
      return over.promise;
    });
    await begun.promise;
    const run = container.isRunning && !container.isPaused ? container.run : undefined;
    let isOver = false;
    const goOn = async () => {
      if (isOver) return;
      isOver = true;
      try {
        if (run !== undefined) await this.#goOn(container, run);
      } finally {
        over.resolve();
      }
    };
    if (run === undefined) return goOn;
    try {
      this.#setLaunch(container, run, { ...run.launch, still: true });
      await this.#parts.cgroups.freeze(container.id);
    } catch (error) {
      await goOn();
      if (!run.hasExited) throw error;
    }
    return goOn;
  }

  async stop(
    container: Container,
    options: { readonly signal?: string; readonly timeoutSeconds?: number } = {},
  ): Promise<"stopped" | "not_running"> {
    container.isStopping = true;
    const signal = parseSignal(options.signal ?? container.record.stopSignal);
    const wasRestarting = this.#stopRestarting(container);
    const run = container.run;
    if (run === undefined || run.hasExited) {
      if (wasRestarting) await this.#setRecord(container, { stoppedByUser: true, wasRunning: false });
      return wasRestarting ? "stopped" : "not_running";
    }
    const timeoutSeconds =
      options.timeoutSeconds ?? container.record.config.stopTimeoutSeconds ?? defaultStopTimeoutSeconds;
    await this.#setRecord(container, { stoppedByUser: true });
    run.monitor.kill(signal);
    await this.#thaw(container);
    if (!(await exitsWithin(run, timeoutSeconds))) {
      run.monitor.kill(sigkill);
      await run.exited;
    }
    this.#emit(container, "stop");
    return "stopped";
  }

  async kill(container: Container, signalText: string): Promise<void> {
    const signal = parseSignal(signalText);
    const run = container.runningRun();
    if (signal === sigkill || signal === parseSignal(container.record.stopSignal)) container.isStopping = true;
    run.monitor.kill(signal);
    this.#emit(container, "kill", { signal: String(signal) });
    if (signal !== sigkill) return;
    await this.#thaw(container);
    await run.exited;
  }

  async pause(container: Container): Promise<void> {
    await container.freezing.run(async () => {
      const run = container.runningRun();
      if (container.isPaused) throw new OnggiError("conflict", `container ${container.id} is already paused`);
      await this.#parts.cgroups.freeze(container.id);
      this.#setLaunch(container, run, { ...run.launch, paused: true });
    });
    this.#emit(container, "pause");
  }

  async unpause(container: Container): Promise<void> {
    container.runningRun();
    if (!container.isPaused) throw new OnggiError("conflict", `container ${container.id} is not paused`);
    await this.#thaw(container);
    this.#emit(container, "unpause");
  }

  /** Restart policies do nothing more; containers go on. */
  close(containers: Iterable<Container>): void {
    this.#closing = true;
    for (const container of containers) {
      clearTimeout(container.restartTimer);
      container.run?.monitor.disconnect();
    }
  }

  async #launch(container: Container): Promise<void> {
    await container.run?.finished;
    await this.#parts.store.flushEnd(container.id);
    // Before it runs: it may have ended before anything could be written afterwards.
    if (container.record.config.restart !== undefined) await this.#setRecord(container, { wasRunning: true });
    try {
      const { monitor, launch } = await this.#parts.launcher.launch(container);
      this.#follow(container, monitor, launch);
    } catch (error) {
      container.session.abandon();
      const last = { ...container.record.last, exitCode: startFailureStatus(error), error: messageOf(error) };
      await this.#setRecord(container, { last, wasRunning: false });
      if (container.record.config.autoRemove === true) await this.#parts.autoRemove(container);
      throw error;
    }
    this.#emit(container, "start");
  }

  #follow(container: Container, monitor: Monitor, launch: LaunchRecord): void {
    const exited = Promise.withResolvers<void>();
    const finished = Promise.withResolvers<void>();
    const run: Run = { monitor, launch, hasExited: false, exited: exited.promise, finished: finished.promise };
    container.run = run;
    container.phase = undefined;
    container.session.begin(monitor);
    monitor.onOom(() => this.#emit(container, "oom"));
    monitor.onLogError((errno) => this.#emit(container, "log-error", { error: logErrorSentence(errno) }));
    void this.#untilEnd(container, run, exited.resolve).finally(finished.resolve);
  }

  /** From the exit to the end of the teardown, then what a policy wants. */
  async #untilEnd(container: Container, run: Run, resolveExited: () => void): Promise<void> {
    const exit = await run.monitor.exited.catch(() => undefined);
    if (this.#closing && exit === undefined) return;
    const last =
      exit === undefined
        ? await this.#parts.recovery.endLost(container.id, run.launch)
        : this.#lastOf(container, run, exit);
    run.hasExited = true;
    container.phase = undefined;
    const restarts =
      !container.isStopping &&
      !this.#closing &&
      wantsRestart(container.record.config.restart, last.exitCode, container.record.restartCount);
    container.record = { ...container.record, last, wasRunning: restarts };
    if (restarts) container.phase = "restarting";
    this.#emit(container, "die", {
      exitCode: String(last.exitCode),
      execDuration: String(Math.round((last.finishedAtMs - last.startedAtMs) / 1000)),
      ...(last.error === "" ? {} : { error: last.error }),
    });
    container.tellExit();
    resolveExited();

    const failures = await run.monitor.tornDown.catch(() => []);
    // Cgroups that the container made inside its own, for one, must go first.
    if (failures.length > 0) await this.#parts.recovery.cleanUp(container.id, run.launch.teardown);
    container.session.end();
    if (container.record.config.autoRemove !== true) this.#parts.store.saveEnd(container.record);
    this.#parts.launcher.release(container);
    container.run = undefined;
    // Last, since whoever follows the log looks at the run.
    container.tellEnd();
    // Not awaited: whoever removes or restarts waits for this run to be finished first.
    if (restarts) this.#restartLater(container, last);
    else if (container.record.config.autoRemove === true && !container.isRollingBack)
      void container.changes.run(() => this.#parts.autoRemove(container)).catch(() => {});
  }

  #lastOf(container: Container, run: Run, exit: ExitRecord): LastRun {
    return lastRunOf(container, exit, run.launch, this.#parts.observer);
  }

  #restartLater(container: Container, last: LastRun): void {
    container.restartDelayMs = nextDelayMs(container.restartDelayMs, last.finishedAtMs - last.startedAtMs);
    container.restartTimer = setTimeout(() => void this.#restart(container), container.restartDelayMs);
  }

  async #restart(container: Container): Promise<void> {
    await container.changes.run(async () => {
      if (container.phase !== "restarting" || container.isStopping || this.#closing) return;
      await this.#setRecord(container, { restartCount: container.record.restartCount + 1 });
      try {
        await this.#launch(container);
      } catch (error) {
        const { last, restartCount, config } = container.record;
        if (wantsRestart(config.restart, startFailureStatus(error), restartCount))
          this.#restartLater(container, { ...last, finishedAtMs: last.startedAtMs });
        else container.phase = undefined;
      }
    });
  }

  #stopRestarting(container: Container): boolean {
    clearTimeout(container.restartTimer);
    if (container.phase !== "restarting") return false;
    container.phase = undefined;
    return true;
  }

  async #thaw(container: Container): Promise<void> {
    await container.freezing.run(async () => {
      const run = container.run;
      if (run === undefined || !run.launch.paused) return;
      await this.#parts.cgroups.thaw(container.id);
      this.#setLaunch(container, run, { ...run.launch, paused: false });
    });
  }

  /** Ends what {@link still} began. */
  async #goOn(container: Container, run: Run): Promise<void> {
    if (container.run !== run || run.hasExited) return;
    await this.#parts.cgroups.thaw(container.id);
    const { still: _, ...launch } = run.launch;
    if (container.run === run && !run.hasExited) this.#setLaunch(container, run, launch);
  }

  #setLaunch(container: Container, run: Run, launch: LaunchRecord): void {
    run.launch = launch;
    this.#parts.store.changeLaunch(container.id, launch);
  }

  async #setRecord(container: Container, change: Partial<ContainerRecord>): Promise<void> {
    const changes = Object.entries(change) as [keyof ContainerRecord, unknown][];
    if (changes.every(([key, value]) => container.record[key] === value)) return;
    container.record = { ...container.record, ...change };
    await this.#parts.store.save(container.record);
  }

  #emit(container: Container, action: string, attributes: Readonly<Record<string, string>> = {}): void {
    const { name, image, labels } = container.record;
    this.#parts.events.emit("container", action, container.id, {
      ...labels,
      image: image.reference,
      name,
      ...attributes,
    });
  }
}

/** How a run ended, from what its monitor recorded. */
export function lastRunOf(container: Container, exit: ExitRecord, launch: LaunchRecord, observer: Observer): LastRun {
  const oomKilled = exit.oomKills > 0;
  return {
    exitCode: exit.status,
    error: oomKilled ? observer.explainOom(container, exit, launch.startedAtMs) : "",
    oomKilled,
    startedAtMs: launch.startedAtMs,
    finishedAtMs: Number(exit.finishedAtNs / 1_000_000n),
  };
}

function logErrorSentence(errno: string): string {
  const why = errno === "ENOSPC" || errno === "EDQUOT" ? `the disk is full (${errno})` : errno;
  return `its output can't be written to the log: ${why}; it goes on, what it prints meanwhile is lost`;
}

/** Docker's: 127 and 126 as a shell has them, 128 for what failed before. */
function startFailureStatus(error: unknown): number {
  if (isOnggiError(error, "command_not_found")) return 127;
  if (isOnggiError(error, "command_not_executable")) return 126;
  return 128;
}

async function exitsWithin(run: Run, seconds: number): Promise<boolean> {
  if (seconds < 0) {
    await run.exited;
    return true;
  }
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), seconds * 1000);
  });
  const exited = run.exited.then(() => true as const);
  return Promise.race([exited, timeout]).finally(() => clearTimeout(timer));
}
