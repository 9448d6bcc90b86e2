import type { Monitor } from "../executor/executor.ts";
import type { OutputChunk, ProcessStreams } from "./model.ts";
import { OutputHub } from "./output-hub.ts";

/**
 * The streams of one container or exec over its runs: joins attached clients with the monitor that there is, or will be.
 *
 * The monitor is asked for output only while somebody reads it, so a detached container costs the engine nothing.
 */
export class ProcessSession {
  readonly #hub = new OutputHub();
  readonly #stdinOnce: boolean;
  #monitor: Monitor | undefined;
  #unsubscribe: (() => void) | undefined;
  #openEnds = 0;
  #started: { readonly promise: Promise<Monitor>; readonly resolve: (monitor: Monitor) => void } =
    Promise.withResolvers<Monitor>();

  constructor(options: { readonly stdinOnce: boolean }) {
    this.#stdinOnce = options.stdinOnce;
  }

  /** True when output is wanted from the first byte on. */
  get isWatched(): boolean {
    return this.#hub.readers > 0;
  }

  /** A run began. */
  begin(monitor: Monitor): void {
    this.#monitor = monitor;
    this.#hub.reopen();
    if (this.isWatched) this.#subscribe(monitor);
    this.#started.resolve(monitor);
  }

  /** The run ended: nothing more comes. Clients that attach from now on wait for the next run. */
  end(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    this.#monitor = undefined;
    this.#hub.end();
    this.#hub.reopen();
    this.#started = Promise.withResolvers<Monitor>();
  }

  /** No run will come for those who wait: start failed, or the container is gone. */
  abandon(): void {
    this.#hub.end();
    this.#hub.reopen();
  }

  attach(wanted: { readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean }): ProcessStreams {
    const reader = this.#hub.open(wanted, () => this.#onLeave());
    const started = this.#started.promise;
    if (this.#monitor !== undefined) this.#subscribe(this.#monitor);
    const closeStdin = () => {
      if (wanted.stdin && this.#stdinOnce) void started.then((monitor) => monitor.closeStdin());
    };
    return {
      output: reader,
      writeStdin: async (data) => (await started).writeStdin(data),
      closeStdin,
      detach: () => {
        reader.close();
        closeStdin();
      },
    };
  }

  #subscribe(monitor: Monitor): void {
    if (this.#unsubscribe !== undefined) return;
    this.#openEnds = 2;
    this.#unsubscribe = monitor.subscribe({
      onData: (stream, data) => {
        const chunk: OutputChunk = { stream: stream === 2 ? "stderr" : "stdout", data };
        return this.#hub.push(chunk) as Promise<void> | undefined;
      },
      onEnd: () => {
        this.#openEnds--;
        if (this.#openEnds === 0) this.#hub.end();
      },
    });
  }

  #onLeave(): void {
    if (this.isWatched) return;
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
  }
}
