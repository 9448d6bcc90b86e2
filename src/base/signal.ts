import { constants } from "node:os";
import { OnggiError } from "./error.ts";

const realTimeMin = 34;
const realTimeMax = 64;

/**
 * Reads a signal as people write it: `SIGTERM`, `term`, `15`, `RTMIN+3`, `RTMAX-1`.
 *
 * @throws OnggiError `invalid`, in Docker's words
 * @see signal(7); the real-time numbers are those that glibc leaves to programs
 */
export function parseSignal(text: string): number {
  const name = text.toUpperCase().replace(/^SIG/, "");
  const number = /^\d+$/.test(name) ? Number(name) : (namedSignal(name) ?? realTimeSignal(name));
  if (number === undefined || number < 1 || number > realTimeMax) {
    throw new OnggiError("invalid", `invalid signal: ${text}`, {
      hint: "Name one as kill -l lists them, or a number from 1 to 64.",
    });
  }
  return number;
}

/** The name of a signal, as `SIGKILL`; its number where it has none. */
export function signalName(number: number): string {
  const entry = Object.entries(constants.signals).find(([, value]) => value === number);
  return entry?.[0] ?? String(number);
}

function namedSignal(name: string): number | undefined {
  return (constants.signals as Readonly<Record<string, number>>)[`SIG${name}`];
}

function realTimeSignal(name: string): number | undefined {
  const match = /^RTM(IN|AX)(?:([+-])(\d+))?$/.exec(name);
  if (match === null) return undefined;
  const offset = Number(match[3] ?? 0) * (match[2] === "-" ? -1 : 1);
  const number = (match[1] === "IN" ? realTimeMin : realTimeMax) + offset;
  return number >= realTimeMin && number <= realTimeMax ? number : undefined;
}
