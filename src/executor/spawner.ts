import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { OnggiError } from "../base/error.ts";
import { CLONE_NEWNET } from "../program/kernel.ts";
import type { Op, Program } from "../program/op.ts";
import { shellOf } from "../program/shell.ts";
import { Connection } from "./connection.ts";
import type { Executor, LaunchOptions, Monitor, Worker } from "./executor.ts";
import type { Describe } from "./failed-step.ts";
import { frameType } from "./frames.ts";
import { launch, reconnect } from "./launch.ts";
import { openWorker } from "./worker.ts";

export interface ExecutorOptions {
  /** `build/onggi-exec`. */
  readonly binary: string;
  /** Where the spawner puts its socket. */
  readonly socketDirectory: string;
  /** The data root's lock file, opened by the caller: locked as long as caller or spawner lives. */
  readonly lockFd?: number;
  /** What becomes of the spawner's stderr; a descriptor, or ignored. */
  readonly stderr?: "inherit" | "ignore" | number;
  /** Says an op as a command, in messages of failed steps. */
  readonly describe?: Describe;
}

/**
 * Starts the spawner. Best done early, while the process is small.
 *
 * @throws OnggiError `in_use` when another engine holds the lock, `unavailable` when the binary doesn't start
 */
export async function openExecutor(options: ExecutorOptions): Promise<Executor> {
  const executor = new SpawnerExecutor(options);
  await executor.start();
  await executor.prepare();
  return executor;
}

const spareDelayMs = 4;
const minLifeMs = 1000;

class SpawnerExecutor implements Executor {
  readonly #options: ExecutorOptions;
  readonly #socketPath: string;
  readonly #describe: Describe;
  readonly #lostListeners = new Set<(reason: string) => void>();
  #spawner: Promise<Spawner> | undefined;
  /** Already accepted, with its process forked: the next start doesn't wait for either. */
  #spare: Connection | undefined;
  #spareTimer: NodeJS.Timeout | undefined;
  #startedAtMs = 0;
  #closed = false;

  constructor(options: ExecutorOptions) {
    this.#options = options;
    this.#socketPath = join(options.socketDirectory, "spawner.sock");
    this.#describe = options.describe ?? shellOf;
  }

  /** The running spawner; after a failed start the next call tries again. */
  async start(): Promise<Spawner> {
    if (this.#closed) throw new OnggiError("unavailable", "the executor is closed");
    if (this.#spawner === undefined) {
      this.#startedAtMs = performance.now();
      this.#spawner = startSpawner(this.#options, (reason) => this.#lost(reason));
    }
    try {
      return await this.#spawner;
    } catch (error) {
      this.#spawner = undefined;
      throw error;
    }
  }

  /** Has a process ready for the first start. */
  async prepare(): Promise<void> {
    await this.#openSpare({ network: false });
  }

  async launch(program: Program, options?: LaunchOptions): Promise<Monitor> {
    try {
      return await launch(() => this.#connect(), program, this.#describe, options);
    } finally {
      this.#prepareSpare({ network: makesNetwork(program) });
    }
  }

  reconnect(socketPath: string): Promise<Monitor | undefined> {
    return reconnect(socketPath);
  }

  async work(prelude: readonly Op[]): Promise<Worker> {
    try {
      return await openWorker(await this.#connect(), prelude, this.#describe);
    } finally {
      this.#prepareSpare({ network: false });
    }
  }

  onSpawnerLost(listener: (reason: string) => void): void {
    this.#lostListeners.add(listener);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#spareTimer);
    this.#spare?.close();
    await this.#spawner?.then(
      (spawner) => spawner.stop(),
      () => {},
    );
  }

  /** @throws OnggiError `unavailable` */
  async #connect(): Promise<Connection> {
    const spare = this.#spare;
    this.#spare = undefined;
    if (spare?.isOpen === true && !this.#closed) return spare;
    await this.start();
    try {
      return await Connection.open(this.#socketPath);
    } catch (cause) {
      throw new OnggiError("unavailable", "the executor's spawner doesn't answer", {
        cause,
        hint: "It is started again by itself: try again.",
      });
    }
  }

  /** A little later, so that it doesn't compete with the process that is just starting. The next start is taken to be like the last. */
  #prepareSpare(likely: { readonly network: boolean }): void {
    if (this.#spareTimer !== undefined || this.#closed) return;
    this.#spareTimer = setTimeout(() => {
      this.#spareTimer = undefined;
      // Only a spare: whoever needs a connection is told what hinders it.
      if (this.#spare?.isOpen !== true) this.#openSpare(likely).catch(() => {});
    }, spareDelayMs).unref();
  }

  async #openSpare({ network }: { readonly network: boolean }): Promise<void> {
    const spare = await Connection.open(this.#socketPath);
    if (this.#closed || this.#spare?.isOpen === true) {
      spare.close();
      return;
    }
    if (network) spare.send(frameType.prepare);
    spare.park();
    this.#spare = spare;
  }

  #lost(reason: string): void {
    this.#spawner = undefined;
    if (this.#closed) return;
    // Started at once, not when it is next needed; unless it dies as soon as it is started. What hinders it is told to
    // whoever needs it.
    if (performance.now() - this.#startedAtMs > minLifeMs) this.start().catch(() => {});
    for (const listener of this.#lostListeners) listener(reason);
  }
}

function makesNetwork(program: Program): boolean {
  return program.child.some((op) => op.op === "unshare" && (op.flags & CLONE_NEWNET) !== 0);
}

interface Spawner {
  /** Ends the spawner and waits for that; monitors go on. */
  stop(): Promise<void>;
}

async function startSpawner(options: ExecutorOptions, onLost: (reason: string) => void): Promise<Spawner> {
  const lock = options.lockFd === undefined ? [] : [options.lockFd];
  const child = spawn(options.binary, ["spawner", options.socketDirectory], {
    stdio: ["pipe", "pipe", options.stderr ?? "inherit", ...lock],
  });
  // A pipe that breaks with the spawner's end must not end the engine: the end itself is told by "exit".
  for (const pipe of [child.stdin, child.stdout]) pipe?.on("error", () => {});
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(signal === null ? `exit status ${code}` : `signal ${signal}`));
  });
  const line = await Promise.race([firstLine(child), ended.then((reason) => `error: ${reason}`)]);
  if (line !== "ready") {
    child.kill("SIGKILL");
    throw startFailure(line, options.binary);
  }
  // A spawner alone is no reason for the engine's process to stay.
  unreference(child);
  void ended.then((reason) => onLost(`the executor's spawner ended: ${reason}`));
  return {
    async stop() {
      child.ref();
      child.stdin?.destroy();
      await ended;
    },
  };
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    child.stdout?.setEncoding("utf8");
    child.stdout?.on("data", (chunk: string) => {
      text += chunk;
      if (text.includes("\n")) resolve(text.slice(0, text.indexOf("\n")));
    });
  });
}

function unreference(child: ChildProcess): void {
  child.unref();
  for (const pipe of [child.stdin, child.stdout as Readable | null])
    (pipe as unknown as { unref?(): void } | null)?.unref?.();
}

function startFailure(line: string, binary: string): OnggiError {
  if (line === "locked") {
    return new OnggiError("in_use", "the data root is in use by another engine", {
      hint: "Talk to that one, or give this one another --root.",
    });
  }
  return new OnggiError("unavailable", `the executor ${binary} doesn't start: ${line.replace(/^error: /, "")}`, {
    hint: "It needs root and CAP_SYS_ADMIN, and must have been built (npm run build).",
  });
}
