import { isOnggiError } from "../base/error.ts";
import type { ContainersFace } from "./engine.ts";
import type { ContainerConfig, ContainerInfo, ExecConfig, OutputChunk, ProcessStreams } from "./model.ts";

/** How a command in a container ended, with all it printed. */
export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

/** A container that was started for a program: its streams, its end, further commands in it. Disposing of it removes it. */
export class RunningContainer implements AsyncDisposable {
  readonly id: string;
  readonly #containers: ContainersFace;
  readonly #streams: ProcessStreams;
  readonly #ended: Promise<{ readonly exitCode: number; readonly error: string }>;

  private constructor(id: string, containers: ContainersFace, streams: ProcessStreams) {
    this.id = id;
    this.#containers = containers;
    this.#streams = streams;
    this.#ended = containers.wait(id, "next-exit");
    // Whoever awaits `wait` gets the error; a program that doesn't shall not fall over it.
    this.#ended.catch(() => {});
  }

  /**
   * Creates and starts a container. It goes with its end unless `autoRemove` is false.
   *
   * @param options.signal - aborts the start, and later kills the container
   */
  static async start(
    containers: ContainersFace,
    config: ContainerConfig,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<RunningContainer> {
    const { signal } = options;
    signal?.throwIfAborted();
    const { id } = await containers.create({ autoRemove: true, ...config });
    try {
      const streams = await containers.attach(id, { stdin: config.openStdin === true, stdout: true, stderr: true });
      const running = new RunningContainer(id, containers, streams);
      await containers.start(id);
      signal?.addEventListener("abort", () => void running.kill().catch(() => {}), { once: true });
      signal?.throwIfAborted();
      return running;
    } catch (error) {
      await removeIfThere(containers, id);
      throw error;
    }
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
    return this.#containers.get(this.id);
  }

  /** Runs another command in it and collects what it prints. `input` is its stdin. */
  async exec(
    command: readonly string[],
    options: Omit<ExecConfig, "command"> & { readonly input?: Uint8Array | string } = {},
  ): Promise<CommandResult> {
    const { input, ...config } = options;
    const id = await this.#containers.createExec(this.id, {
      ...config,
      command,
      openStdin: input !== undefined || config.openStdin === true,
    });
    const streams = await this.#containers.startExec(id);
    const [output, exitCode] = await Promise.all([
      collect(streams.output),
      this.#containers.waitExec(id),
      feed(streams, input),
    ]);
    return { exitCode, ...output };
  }

  kill(signal?: string): Promise<void> {
    return this.#containers.kill(this.id, signal);
  }

  /** Ends it if it runs, and removes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#streams.detach();
    await removeIfThere(this.#containers, this.id);
  }
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
