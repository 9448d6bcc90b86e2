import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isErrno } from "../base/errno.ts";
import { isOnggiError } from "../base/error.ts";
import type { Cgroups } from "../cgroup/cgroups.ts";
import type { Executor, Monitor } from "../executor/executor.ts";
import { parseExitRecord } from "../executor/exit-record.ts";
import { StepFailure } from "../executor/step-failure.ts";
import type { ExitRecord, Op } from "../program/op.ts";
import type { Container } from "./container.ts";
import type { LastRun } from "./container-record.ts";
import type { ContainerStore, LaunchRecord } from "./container-store.ts";

/** What became of a container while no engine looked. */
export type Found =
  | { readonly kind: "idle" }
  | { readonly kind: "running"; readonly monitor: Monitor; readonly launch: LaunchRecord }
  | { readonly kind: "ended"; readonly exit: ExitRecord; readonly launch: LaunchRecord }
  | { readonly kind: "lost"; readonly last: LastRun }
  | { readonly kind: "unstarted"; readonly error: string };

const lostStatus = 137;
const maxAttempts = 10;
const attemptDelayMs = 20;
/** No launch takes as long. */
const launchMs = 1000;

/** Finds runs of an engine before this one, and cleans up after monitors that were killed. */
export class Recovery {
  readonly #executor: Executor;
  readonly #cgroups: Cgroups;
  readonly #store: ContainerStore;

  constructor(parts: { readonly executor: Executor; readonly cgroups: Cgroups; readonly store: ContainerStore }) {
    this.#executor = parts.executor;
    this.#cgroups = parts.cgroups;
    this.#store = parts.store;
  }

  async find(container: Container): Promise<Found> {
    const { id } = container;
    const launch = this.#store.loadLaunch(id);
    if (launch === undefined) return { kind: "idle" };
    const directory = this.#store.runDirectory(id);
    const socket = join(directory, "monitor.sock");
    const record = join(directory, "exit.json");
    await untilLaunched(launch, [socket, record]);
    const monitor = await this.#executor.reconnect(socket);
    if (monitor !== undefined) return { kind: "running", monitor, launch };
    const exit = readExit(record);
    if (exit === undefined && existsSync(socket)) return { kind: "lost", last: await this.endLost(id, launch) };
    if (exit === undefined) {
      // A monitor that ends by itself, as where a step failed, takes its socket away.
      await this.cleanUp(id, launch.teardown);
      return {
        kind: "unstarted",
        error: "the engine was ended while it started this container, which didn't come to run",
      };
    }
    // A monitor that was killed after it had recorded the exit may have left its teardown undone.
    await this.cleanUp(id, launch.teardown);
    return { kind: "ended", exit, launch };
  }

  /** Ends a container whose monitor is gone: nobody keeps its output or sees its exit. */
  async endLost(id: string, launch: LaunchRecord): Promise<LastRun> {
    const wasAlive = this.#cgroups.pids(id).length > 0;
    await this.cleanUp(id, launch.teardown);
    const error = wasAlive
      ? "its monitor process was killed, so it was ended: nobody would have kept its output or seen its exit"
      : "its monitor process was killed, so nobody knows how it ended";
    return { exitCode: lostStatus, error, oomKilled: false, startedAtMs: launch.startedAtMs, finishedAtMs: Date.now() };
  }

  /**
   * Kills what is left of a run and does its teardown, each step whatever became of the others. Where the executor's own processes
   * are killed meanwhile, all of it is done again: what is gone already is no hindrance.
   */
  async cleanUp(id: string, teardown: readonly Op[]): Promise<void> {
    const steps = [...this.#cgroups.killSteps(id), ...teardown];
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#performAll(steps);
      } catch (error) {
        if (attempt === maxAttempts || !isOnggiError(error, "unavailable")) throw error;
        await sleep(attempt * attemptDelayMs);
      }
    }
  }

  async #performAll(steps: readonly Op[]): Promise<void> {
    const worker = await this.#executor.work([]);
    try {
      for (const step of steps) {
        await worker.run([step]).catch((error: unknown) => {
          if (!(error instanceof StepFailure)) throw error;
        });
      }
    } finally {
      await worker.close();
    }
  }
}

/** A launch that was sent by an engine that was killed right then may still be under way. */
async function untilLaunched({ startedAtMs }: LaunchRecord, signs: readonly string[]): Promise<void> {
  while (Date.now() - startedAtMs < launchMs && Date.now() >= startedAtMs && !signs.some(existsSync)) await sleep(10);
}

/** Undefined where the monitor had recorded nothing; it renames a whole file into place. */
function readExit(path: string): ExitRecord | undefined {
  try {
    return parseExitRecord(readFileSync(path, "utf8"));
  } catch (error) {
    if (isErrno(error, "ENOENT") || isOnggiError(error, "corrupt")) return undefined;
    throw error;
  }
}
