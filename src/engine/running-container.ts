import { isOnggiError } from "../base/error.ts";
import type { ContainersFace, EngineFace } from "./engine.ts";
import type { ContainerConfig, ContainerInfo, ExecConfig, OutputChunk, ProcessStreams } from "./model.ts";
import type { ContainerSnapshot, ForkOptions, RollbackOptions, SnapshotOptions } from "./snapshot-model.ts";

/** What it asks the engine for. */
type RunningParts = Pick<EngineFace, "containers" | "snapshots" | "fork" | "rollback">;

/** How a command in a container ended, with all it printed. */
export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

/** A container that was started for a program: its streams, its end, further commands in it. Disposing of it removes it. */
export class RunningContainer implements AsyncDisposable {
  readonly id: string;
  readonly #engine: RunningParts;
  #streams: ProcessStreams;
  #ended: Promise<{ readonly exitCode: number; readonly error: string }>;

  private constructor(id: string, engine: RunningParts, streams: ProcessStreams) {
    this.id = id;
    this.#engine = engine;
    this.#streams = streams;
    this.#ended = nextEnd(engine.containers, id);
  }

  /**
   * Creates and starts a container. It goes with its end unless `autoRemove` is false.
   *
   * @param options.signal - aborts the start, and later kills the container
   */
  static async start(
    engine: RunningParts,
    config: ContainerConfig,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<RunningContainer> {
    const { containers } = engine;
    const { signal } = options;
    signal?.throwIfAborted();
    const { id } = await containers.create({ autoRemove: true, ...config });
    try {
      const running = await RunningContainer.#startOne(id, engine);
      signal?.addEventListener("abort", () => void running.kill().catch(() => {}), { once: true });
      signal?.throwIfAborted();
      return running;
    } catch (error) {
      await removeIfThere(containers, id);
      throw error;
    }
  }

  /** Attached before it starts, so that nothing of its output is missed. */
  static async #startOne(id: string, engine: RunningParts): Promise<RunningContainer> {
    const running = new RunningContainer(id, engine, await attach(engine.containers, id));
    await engine.containers.start(id);
    return running;
  }

  /** What it prints, as it comes. While nobody reads, the container is held back once a quarter of a MiB waits. */
  get output(): AsyncIterable<OutputChunk> {
    return this.#streams.output;
  }

  /** Resolves when the process took it; needs `openStdin`. */
  writeStdin(data: Uint8Array | string): Promise<void> {
    return this.#streams.writeStdin(typeof data === "string" ? Buffer.from(data) : data);
  }

  closeStdin(): void {
    this.#streams.closeStdin();
  }

  /** Its end. `error` is a sentence where there is more to say than a status, such as a memory limit. */
  wait(): Promise<{ readonly exitCode: number; readonly error: string }> {
    return this.#ended;
  }

  /** Reads all output and waits for the end. */
  async result(): Promise<CommandResult> {
    const [output, { exitCode }] = await Promise.all([collect(this.output), this.#ended]);
    return { exitCode, ...output };
  }

  /** @throws OnggiError `not_found` once it is removed */
  inspect(): ContainerInfo {
    return this.#engine.containers.get(this.id);
  }

  /** Runs another command in it and collects what it prints. `input` is its stdin. */
  async exec(
    command: readonly string[],
    options: Omit<ExecConfig, "command"> & { readonly input?: Uint8Array | string } = {},
  ): Promise<CommandResult> {
    const { input, ...config } = options;
    const id = await this.#engine.containers.createExec(this.id, {
      ...config,
      command,
      openStdin: input !== undefined || config.openStdin === true,
    });
    const streams = await this.#engine.containers.startExec(id);
    const [output, exitCode] = await Promise.all([
      collect(streams.output),
      this.#engine.containers.waitExec(id),
      feed(streams, input),
    ]);
    return { exitCode, ...output };
  }

  /** Keeps what its files are now. It stands still only while they are copied. */
  async snapshot(options?: SnapshotOptions): Promise<ContainerSnapshot> {
    return (await this.#engine.snapshots.create(this.id, options)).snapshot;
  }

  /** Containers that begin with its files as they are now, or were at a snapshot, and run its command anew. */
  async fork(options: Omit<ForkOptions, "start"> = {}): Promise<readonly RunningContainer[]> {
    const { containers } = this.#engine;
    const forks = await this.#engine.fork(this.id, { ...options, start: false });
    const outcomes = await Promise.allSettled(forks.map(({ id }) => RunningContainer.#startOne(id, this.#engine)));
    const running = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    if (failed === undefined) return running;
    await Promise.all(forks.map(({ id }) => removeIfThere(containers, id)));
    throw failed.reason;
  }

  /**
   * Puts it back to what a snapshot holds: same id, same address, its command run anew. `output` and `wait` are those of the new run from
   * then on.
   */
  async rollback(snapshot: string, options: Omit<RollbackOptions, "beforeStart"> = {}): Promise<void> {
    const { containers } = this.#engine;
    await this.#engine.rollback(this.id, snapshot, {
      ...options,
      beforeStart: async () => {
        this.#streams.detach();
        this.#streams = await attach(containers, this.id);
        this.#ended = nextEnd(containers, this.id);
      },
    });
  }

  kill(signal?: string): Promise<void> {
    return this.#engine.containers.kill(this.id, signal);
  }

  /** Ends it if it runs, and removes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#streams.detach();
    await removeIfThere(this.#engine.containers, this.id);
  }
}

function attach(containers: ContainersFace, id: string): Promise<ProcessStreams> {
  const { openStdin } = containers.get(id).config;
  return containers.attach(id, { stdin: openStdin === true, stdout: true, stderr: true });
}

function nextEnd(containers: ContainersFace, id: string): ReturnType<ContainersFace["wait"]> {
  const ended = containers.wait(id, "next-exit");
  // Whoever awaits `wait` gets the error; a program that doesn't shall not fall over it.
  ended.catch(() => {});
  return ended;
}

async function removeIfThere(containers: ContainersFace, id: string): Promise<void> {
  try {
    const removed = containers.wait(id, "removed").catch(() => {});
    await containers.remove(id, { force: true }).catch((error: unknown) => {
      // Its own end removes it just now.
      if (!isOnggiError(error, "conflict")) throw error;
    });
    await removed;
  } catch (error) {
    if (!isOnggiError(error, "not_found")) throw error;
  }
}

async function collect(
  output: AsyncIterable<OutputChunk>,
): Promise<{ readonly stdout: Buffer; readonly stderr: Buffer }> {
  const parts: Record<OutputChunk["stream"], Uint8Array[]> = { stdout: [], stderr: [] };
  for await (const chunk of output) parts[chunk.stream].push(chunk.data);
  return { stdout: Buffer.concat(parts.stdout), stderr: Buffer.concat(parts.stderr) };
}

async function feed(streams: ProcessStreams, input: Uint8Array | string | undefined): Promise<void> {
  if (input === undefined) return;
  await streams.writeStdin(typeof input === "string" ? Buffer.from(input) : input);
  streams.closeStdin();
}
