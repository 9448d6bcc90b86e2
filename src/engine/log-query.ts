import type { LogPlace } from "./log-files.ts";
import { readLog, watchLog } from "./log-files.ts";
import type { LogRecord } from "./log-frames.ts";
import { LineJoiner } from "./log-lines.ts";
import type { LogQuery, OutputChunk } from "./model.ts";

/** What tells a follower that no more will come. */
export interface LogLife {
  /** The container runs, or its last output isn't written yet. */
  isAlive(): boolean;
  /** Calls back once when that changes. */
  onEnd(listener: () => void): () => void;
}

/**
 * Answers `logs`: kept output, filtered by stream, time and count, then what is written, while the container lives.
 *
 * Without times and counts the frames go out as they lie on disk, unparsed; that is the fast way.
 */
export async function* queryLog(place: LogPlace, query: LogQuery, life: LogLife): AsyncGenerator<OutputChunk> {
  const wanted = (record: LogRecord) => (record.stream === "stdout" ? query.stdout : query.stderr);
  const skipLines = query.tail === undefined ? 0 : await linesToSkip(place, query, wanted);
  const byLine = query.timestamps || query.sinceMs !== undefined || query.untilMs !== undefined || skipLines > 0;
  const records = followedRecords(place, query, life);

  if (!byLine) {
    for await (const batch of records) {
      for (const record of batch) if (wanted(record)) yield { stream: record.stream, data: record.data };
    }
    return;
  }
  const joiner = new LineJoiner();
  let left = skipLines;
  for await (const batch of records) {
    for (const record of batch) {
      if (!wanted(record)) continue;
      const out: Record<OutputChunk["stream"], Buffer[]> = { stdout: [], stderr: [] };
      for (const line of joiner.lines(record)) {
        if (isBetween(line, query) && left-- <= 0) out[line.stream].push(...printed(line, query));
      }
      if (out.stdout.length > 0) yield { stream: "stdout", data: Buffer.concat(out.stdout) };
      if (out.stderr.length > 0) yield { stream: "stderr", data: Buffer.concat(out.stderr) };
    }
  }
  for (const line of joiner.rest()) {
    if (isBetween(line, query) && left-- <= 0) yield { stream: line.stream, data: Buffer.concat(printed(line, query)) };
  }
}

function isBetween(line: LogRecord, { sinceMs, untilMs }: LogQuery): boolean {
  const timeMs = Number(line.timeNs) / 1e6;
  return (sinceMs === undefined || timeMs >= sinceMs) && (untilMs === undefined || timeMs <= untilMs);
}

function printed(line: LogRecord, query: LogQuery): Buffer[] {
  return query.timestamps ? [Buffer.from(`${formatTimeNs(line.timeNs)} `), line.data] : [line.data];
}

/** RFC 3339 with nine digits, as Docker prints it. */
export function formatTimeNs(timeNs: bigint): string {
  const seconds = timeNs / 1_000_000_000n;
  const nanos = String(timeNs % 1_000_000_000n).padStart(9, "0");
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${nanos}Z`;
}

/** Counts all lines that the query would show, less those it wants. */
async function linesToSkip(place: LogPlace, query: LogQuery, wanted: (record: LogRecord) => boolean): Promise<number> {
  const joiner = new LineJoiner();
  const inTime = query.sinceMs !== undefined || query.untilMs !== undefined;
  let lines = 0;
  let unfinished = new Set<string>();
  for await (const batch of readLog(place, async () => "end")) {
    for (const record of batch) {
      if (!wanted(record)) continue;
      if (inTime) {
        for (const line of joiner.lines(record)) if (isBetween(line, query)) lines++;
        continue;
      }
      for (let at = record.data.indexOf(10); at >= 0; at = record.data.indexOf(10, at + 1)) lines++;
      if (record.data.at(-1) === 10) unfinished.delete(record.stream);
      else unfinished.add(record.stream);
    }
  }
  if (inTime)
    unfinished = new Set([...joiner.rest()].filter((line) => isBetween(line, query)).map((line) => line.stream));
  return Math.max(0, lines + unfinished.size - (query.tail ?? 0));
}

async function* followedRecords(place: LogPlace, query: LogQuery, life: LogLife): AsyncGenerator<readonly LogRecord[]> {
  if (!query.follow) {
    yield* readLog(place, async () => "end");
    return;
  }
  let changed = false;
  let wake = () => {};
  const onChange = () => {
    changed = true;
    wake();
  };
  const stopWatching = watchLog(place, onChange);
  const stopLife = life.onEnd(onChange);
  query.signal?.addEventListener("abort", onChange);
  const untilMs = query.untilMs ?? Number.POSITIVE_INFINITY;
  const timer = untilMs - Date.now() < 2 ** 31 ? setTimeout(onChange, Math.max(0, untilMs - Date.now())) : undefined;
  try {
    yield* readLog(place, async () => {
      if (query.signal?.aborted || Date.now() >= untilMs || !life.isAlive()) return "end";
      if (!changed) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      changed = false;
      return "more";
    });
  } finally {
    clearTimeout(timer);
    stopWatching();
    stopLife();
    query.signal?.removeEventListener("abort", onChange);
  }
}
