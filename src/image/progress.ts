import type { Progress } from "./image-info.ts";

export type Report = (progress: Progress) => void;

const minIntervalMs = 100;

/**
 * Runs work and hands out what it reports meanwhile; ends, or throws, when the work does.
 *
 * Whoever stops listening stops the work: its signal is aborted and its end awaited.
 */
export async function* reporting(
  work: (report: Report, signal: AbortSignal) => Promise<void>,
  signal?: AbortSignal,
): AsyncGenerator<Progress> {
  const stop = new AbortController();
  const combined = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal]);
  const queue: Progress[] = [];
  let wake = () => {};
  let isDone = false;
  const report = (progress: Progress) => {
    queue.push(progress);
    wake();
  };
  const outcome = work(report, combined)
    .then(
      () => undefined,
      (error: unknown) => ({ error }),
    )
    .finally(() => {
      isDone = true;
      wake();
    });
  try {
    while (!isDone || queue.length > 0) {
      yield* queue.splice(0);
      if (isDone || queue.length > 0) continue;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    const failed = await outcome;
    if (failed !== undefined) throw failed.error;
  } finally {
    stop.abort();
    await outcome;
  }
}

/** Reports how far something got, a few times a second, and at its end. */
export function steps(report: Report, id: string, status: string, total: number): (current: number) => void {
  let last = 0;
  return (current) => {
    const now = Date.now();
    if (now - last < minIntervalMs && current !== total) return;
    last = now;
    report({ id, status, progressDetail: { current, total } });
  };
}
