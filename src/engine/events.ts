import type { EventsFace } from "./engine.ts";
import type { EngineEvent } from "./model.ts";

/** As many as Docker keeps for `--since`. */
const keptEvents = 256;

/** What happened: kept for a while, told to whoever listens. */
export class Events implements EventsFace {
  readonly #past: EngineEvent[] = [];
  readonly #listeners = new Set<(event: EngineEvent) => void>();

  emit(type: EngineEvent["type"], action: string, id: string, attributes: Readonly<Record<string, string>> = {}): void {
    const event = { type, action, id, attributes, timeNs: nowNs() };
    this.#past.push(event);
    if (this.#past.length > keptEvents) this.#past.shift();
    for (const listener of this.#listeners) listener(event);
  }

  async *subscribe(options: {
    readonly sinceMs?: number;
    readonly untilMs?: number;
    readonly signal?: AbortSignal;
  }): AsyncGenerator<EngineEvent> {
    const untilMs = options.untilMs ?? Number.POSITIVE_INFINITY;
    const queue =
      options.sinceMs === undefined
        ? []
        : this.#past.filter((event) => isBetween(event, options.sinceMs ?? 0, untilMs));
    let wake = () => {};
    const listener = (event: EngineEvent) => {
      queue.push(event);
      wake();
    };
    const stop = () => wake();
    this.#listeners.add(listener);
    options.signal?.addEventListener("abort", stop);
    try {
      for (;;) {
        while (queue.length > 0) {
          const event = queue.shift();
          if (event !== undefined) yield event;
        }
        const leftMs = untilMs - Date.now();
        if (options.signal?.aborted || leftMs <= 0) return;
        await new Promise<void>((resolve) => {
          const timer = leftMs < 2 ** 31 ? setTimeout(resolve, leftMs) : undefined;
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
    } finally {
      this.#listeners.delete(listener);
      options.signal?.removeEventListener("abort", stop);
    }
  }
}

function isBetween(event: EngineEvent, sinceMs: number, untilMs: number): boolean {
  const timeMs = Number(event.timeNs / 1_000_000n);
  return timeMs >= sinceMs && timeMs <= untilMs;
}

/** Wall-clock time in nanoseconds; the part below a millisecond keeps events of one process in order. */
function nowNs(): bigint {
  return BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n;
}
