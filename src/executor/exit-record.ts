import { OnggiError } from "../base/error.ts";
import type { ExitRecord } from "../program/op.ts";

/** The payload of EXITED. */
export function decodeExit(payload: Buffer): ExitRecord {
  return {
    status: payload.readUInt32LE(0),
    signal: payload.readUInt32LE(4),
    finishedAtNs: payload.readBigUInt64LE(8),
    oomKills: Number(payload.readBigUInt64LE(16)),
    memoryPeakBytes: Number(payload.readBigUInt64LE(24)),
  };
}

/**
 * Parses the file that a monitor left (op `record`).
 *
 * @throws OnggiError `corrupt`
 */
export function parseExitRecord(text: string): ExitRecord {
  try {
    const { status, signal, finishedAtNs, oomKills, memoryPeakBytes } = JSON.parse(text) as Record<string, unknown>;
    const numbers = [status, signal, oomKills, memoryPeakBytes].map(Number);
    if (!numbers.every(Number.isSafeInteger)) throw new RangeError("a field is missing or no number");
    return {
      status: Number(status),
      signal: Number(signal),
      finishedAtNs: BigInt(String(finishedAtNs)),
      oomKills: Number(oomKills),
      memoryPeakBytes: Number(memoryPeakBytes),
    };
  } catch (cause) {
    throw new OnggiError("corrupt", "a container's exit record isn't what its monitor writes", {
      cause,
      hint: "Something else changed the file; the exit status is lost, the container itself isn't.",
    });
  }
}
