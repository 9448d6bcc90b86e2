import type { ExitRecord, Op, Program } from "../program/op.ts";
import type { StepFailure } from "./step-failure.ts";

/** The door to the kernel: one spawner, which forks monitors and workers. Opened by `openExecutor` in `spawner.ts`. */
export interface Executor {
  /**
   * Sends a program to a new monitor and resolves once the process runs.
   *
   * @throws StepFailure when a step failed; all that the program had made is torn down by then
   * @throws OnggiError `unavailable` when spawner or monitor died meanwhile
   */
  launch(program: Program, options?: LaunchOptions): Promise<Monitor>;
  /** Connects to the monitor that listens in a directory; `undefined` when none does. */
  reconnect(socketPath: string): Promise<Monitor | undefined>;
  /** Starts a worker: the prelude is done when this resolves. */
  work(prelude: readonly Op[]): Promise<Worker>;
  /** Called when the spawner died and a new one was started; containers are not touched by it. */
  onSpawnerLost(listener: (reason: string) => void): void;
  close(): Promise<void>;
}

export interface LaunchOptions {
  /** Output is wanted from the first byte on: nothing is lost between start and the first `output` listener. */
  readonly subscribe?: boolean;
  readonly signal?: AbortSignal;
}

/** A monitor and its process, as seen from the engine. Events come in the order of the protocol. */
export interface Monitor {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: with the pid it names one process for ever. */
  readonly startTime: bigint;
  /** Resolves when the process ended; rejects with `unavailable` when the monitor died without saying. */
  readonly exited: Promise<ExitRecord>;
  /** Resolves when all output is kept and sent and the teardown part is done, with its failed steps. */
  readonly tornDown: Promise<readonly StepFailure[]>;
  /** Resolves when stdin was granted its first credit, so never where it isn't open. */
  writeStdin(data: Uint8Array): Promise<void>;
  closeStdin(): void;
  resize(rows: number, columns: number): void;
  kill(signal: number): void;
  /**
   * Receives output from now on. `onData` returning a promise holds back further output (credit) until it resolves.
   * @returns a function that ends the subscription
   */
  subscribe(listener: OutputListener): () => void;
  /** Kills by the memory limit while the container lives; the argument is how many so far. */
  onOom(listener: (kills: number) => void): void;
  /** Output that couldn't be written to the log (disk full): an errno name. */
  onLogError(listener: (errno: string) => void): void;
  /** Lets go of the connection; the container goes on. */
  disconnect(): void;
}

export interface OutputListener {
  onData(stream: 1 | 2, data: Uint8Array): void | Promise<void>;
  /** All of the stream was delivered. */
  onEnd?(stream: 1 | 2): void;
}

/** A process that performs ops one batch after the other, in a place its prelude chose (a jail, a container's namespaces). */
export interface Worker {
  /**
   * Performs ops in order.
   * @returns the data of each operation that carries some (`readFile`, `ioctl`, `scan` …)
   * @throws StepFailure at the first that fails; those before it are done
   */
  run(ops: readonly Op[]): Promise<readonly Uint8Array[]>;
  close(): Promise<void>;
}
