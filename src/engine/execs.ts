import { randomBytes } from "node:crypto";
import { messageOf, OnggiError } from "../base/error.ts";
import type { Monitor } from "../executor/executor.ts";
import type { Container } from "./container.ts";
import type { Events } from "./events.ts";
import type { Launcher } from "./launcher.ts";
import type { ExecConfig, ExecInfo, ProcessStreams } from "./model.ts";
import { ProcessSession } from "./process-session.ts";

/** As long as clients may ask how an exec ended. */
const keptAfterEndMs = 5 * 60_000;

interface Exec {
  readonly id: string;
  readonly container: Container;
  readonly config: ExecConfig;
  readonly session: ProcessSession;
  readonly ended: PromiseWithResolvers<number>;
  monitor: Monitor | undefined;
  hasStarted: boolean;
  exitCode: number | undefined;
}

/** Processes started in containers that run. An engine that starts anew knows none: they go on, but nobody can ask of them. */
export class Execs {
  readonly #byId = new Map<string, Exec>();
  readonly #launcher: Launcher;
  readonly #events: Events;

  constructor(launcher: Launcher, events: Events) {
    this.#launcher = launcher;
    this.#events = events;
  }

  create(container: Container, config: ExecConfig): string {
    if (config.command.length === 0) throw new OnggiError("invalid", "No exec command specified");
    const id = randomBytes(32).toString("hex");
    const session = new ProcessSession({ stdinOnce: config.terminal !== true });
    const ended = Promise.withResolvers<number>();
    // Whoever wants to know awaits it; nobody needs to.
    ended.promise.catch(() => {});
    this.#byId.set(id, {
      id,
      container,
      config,
      session,
      ended,
      monitor: undefined,
      hasStarted: false,
      exitCode: undefined,
    });
    container.execIds.add(id);
    this.#emit(container, `exec_create: ${config.command.join(" ")}`, id);
    return id;
  }

  get(id: string): ExecInfo {
    const exec = this.#find(id);
    return {
      id,
      containerId: exec.container.id,
      config: exec.config,
      running: exec.monitor !== undefined && exec.exitCode === undefined,
      exitCode: exec.exitCode,
      pid: exec.monitor?.pid ?? 0,
    };
  }

  async start(id: string, options: { readonly terminalSize?: readonly [number, number] }): Promise<ProcessStreams> {
    const exec = this.#find(id);
    if (exec.hasStarted)
      throw new OnggiError("conflict", `exec ${id} has already run`, { hint: "An exec runs once: create another." });
    exec.container.runningRun();
    if (exec.container.isPaused) {
      throw new OnggiError("conflict", `container ${exec.container.id} is paused, unpause the container before exec`);
    }
    exec.hasStarted = true;
    const streams = exec.session.attach({ stdin: exec.config.openStdin === true, stdout: true, stderr: true });
    const size = options.terminalSize ?? exec.config.terminalSize;
    try {
      const config = size === undefined ? exec.config : { ...exec.config, terminalSize: size };
      exec.monitor = await this.#launcher.launchExec(exec.container, config);
    } catch (error) {
      exec.session.abandon();
      this.#end(exec, error instanceof OnggiError && error.code === "command_not_found" ? 127 : 126);
      throw error;
    }
    exec.session.begin(exec.monitor);
    this.#emit(exec.container, `exec_start: ${exec.config.command.join(" ")}`, id);
    void this.#follow(exec, exec.monitor);
    return streams;
  }

  wait(id: string): Promise<number> {
    return this.#find(id).ended.promise;
  }

  resize(id: string, rows: number, columns: number): void {
    const exec = this.#find(id);
    if (exec.monitor === undefined || exec.exitCode !== undefined)
      throw new OnggiError("conflict", `exec ${id} is not running`);
    exec.monitor.resize(rows, columns);
  }

  forget(container: Container): void {
    for (const id of container.execIds) this.#byId.delete(id);
    container.execIds.clear();
  }

  async #follow(exec: Exec, monitor: Monitor): Promise<void> {
    const status = await monitor.exited.then(
      (exit) => exit.status,
      () => 137,
    );
    this.#end(exec, status);
    this.#emit(exec.container, "exec_die", exec.id, { exitCode: String(status) });
    await monitor.tornDown.catch((error: unknown) => messageOf(error));
    exec.session.end();
  }

  #end(exec: Exec, exitCode: number): void {
    exec.exitCode = exitCode;
    exec.ended.resolve(exitCode);
    exec.container.execIds.delete(exec.id);
    setTimeout(() => this.#byId.delete(exec.id), keptAfterEndMs).unref();
  }

  #emit(container: Container, action: string, execID: string, attributes: Readonly<Record<string, string>> = {}): void {
    this.#events.emit("container", action, container.id, {
      name: container.record.name,
      image: container.record.image.reference,
      execID,
      ...attributes,
    });
  }

  #find(id: string): Exec {
    const exec = this.#byId.get(id);
    if (exec === undefined) throw new OnggiError("not_found", `No such exec instance: ${id}`);
    return exec;
  }
}
