import type { LogRecord } from "./log-frames.ts";

/**
 * Joins records to lines: a line has the time at which its first byte was read.
 *
 * Streams are joined apart, since a process may write half a line to each. What has no line feed yet stays back until more
 * comes or {@link LineJoiner.rest} is asked for it.
 */
export class LineJoiner {
  readonly #open = new Map<LogRecord["stream"], { timeNs: bigint; parts: Buffer[] }>();

  *lines(record: LogRecord): IterableIterator<LogRecord> {
    const { stream, data } = record;
    let at = 0;
    for (;;) {
      const end = data.indexOf(10, at);
      if (end < 0) break;
      const open = this.#open.get(stream);
      const tail = data.subarray(at, end + 1);
      if (open === undefined) {
        yield { stream, timeNs: record.timeNs, data: tail };
      } else {
        this.#open.delete(stream);
        yield { stream, timeNs: open.timeNs, data: Buffer.concat([...open.parts, tail]) };
      }
      at = end + 1;
    }
    if (at < data.length) {
      const open = this.#open.get(stream);
      if (open === undefined) this.#open.set(stream, { timeNs: record.timeNs, parts: [data.subarray(at)] });
      else open.parts.push(data.subarray(at));
    }
  }

  /** What was left without a line feed. */
  *rest(): IterableIterator<LogRecord> {
    for (const [stream, { timeNs, parts }] of this.#open) yield { stream, timeNs, data: Buffer.concat(parts) };
    this.#open.clear();
  }
}
