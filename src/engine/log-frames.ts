import { OnggiError } from "../base/error.ts";

/** How a container's output lies on disk; the numbers are those of the `log` op. */
export const logFormat = { none: 0, frames: 1, json: 2 } as const;

export type LogFormat = (typeof logFormat)[keyof typeof logFormat];

/** One piece of output with the moment it was read. */
export interface LogRecord {
  readonly stream: "stdout" | "stderr";
  readonly timeNs: bigint;
  readonly data: Buffer;
}

/** What a decoder made of some bytes: the records that were whole, and how far they reach. */
export interface Decoded {
  readonly records: readonly LogRecord[];
  readonly consumed: number;
}

const headerBytes = 16;
const frameMagic = 0x4f47;
/** The monitor never reads more at once; a greater length means that this is no frame. */
const maxFrameBytes = 16 * 1024 * 1024;

/** Decodes the frames of `bytes`: `u32 length, u8 stream, u8 0, u16 magic, u64 time`, then the data; see `executor/protocol.md`. */
export function decodeFrames(bytes: Buffer): Decoded {
  const records: LogRecord[] = [];
  let at = 0;
  while (bytes.length - at >= headerBytes) {
    const length = bytes.readUInt32LE(at);
    const magic = bytes.readUInt16LE(at + 6);
    if (magic !== frameMagic || length > maxFrameBytes) throw brokenLog();
    if (bytes.length - at < headerBytes + length) break;
    records.push({
      stream: bytes[at + 4] === 2 ? "stderr" : "stdout",
      timeNs: bytes.readBigUInt64LE(at + 8),
      data: bytes.subarray(at + headerBytes, at + headerBytes + length),
    });
    at += headerBytes + length;
  }
  return { records, consumed: at };
}

/** Decodes the lines of Docker's json-file format. */
export function decodeJsonLines(bytes: Buffer): Decoded {
  const records: LogRecord[] = [];
  let at = 0;
  for (;;) {
    const end = bytes.indexOf(10, at);
    if (end < 0) return { records, consumed: at };
    records.push(parseJsonLine(bytes.toString("utf8", at, end)));
    at = end + 1;
  }
}

function parseJsonLine(line: string): LogRecord {
  try {
    const entry = JSON.parse(line) as { log: string; stream: string; time: string };
    return {
      stream: entry.stream === "stderr" ? "stderr" : "stdout",
      timeNs: parseTimeNs(entry.time),
      data: Buffer.from(entry.log),
    };
  } catch (cause) {
    throw brokenLog(cause);
  }
}

function parseTimeNs(text: string): bigint {
  const [, seconds = "", fraction = ""] = /^(.*?)(?:\.(\d+))?Z$/.exec(text) ?? [];
  return BigInt(Date.parse(`${seconds}Z`)) * 1_000_000n + BigInt(fraction.padEnd(9, "0").slice(0, 9) || 0);
}

function brokenLog(cause?: unknown): OnggiError {
  return new OnggiError("corrupt", "a log file of the container isn't what the monitor wrote", {
    cause,
    hint: "Something else changed it; remove the container, or its log file, to get rid of it.",
  });
}
