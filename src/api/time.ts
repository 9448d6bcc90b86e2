import { OnggiError } from "../base/error.ts";

/** Go's zero time: what Docker shows for never. */
const never = "0001-01-01T00:00:00Z";

/** RFC 3339; Go's zero time for 0. */
export function formatTime(timeMs: number): string {
  if (timeMs <= 0) return never;
  const text = new Date(timeMs).toISOString();
  // Go leaves out zeros at the end of the fraction.
  return text.replace(/\.?0+Z$/, "Z");
}

const unitsMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/**
 * Reads a moment as clients write it: seconds since the epoch with a fraction, RFC 3339 (with or without zone, or a date alone),
 * or a duration before now, `10m`.
 *
 * @returns milliseconds since the epoch, undefined for an empty text or 0
 * @throws OnggiError `invalid`
 */
export function parseMoment(name: string, text: string, nowMs = Date.now()): number | undefined {
  if (text === "" || text === "0") return undefined;
  if (/^-?\d+(\.\d+)?$/.test(text)) return nanosecondsOf(text) / 1e6;
  const durationMs = parseDuration(text);
  if (durationMs !== undefined) return nowMs - durationMs;
  const parsed = /^\d{4}-\d{2}-\d{2}/.test(text)
    ? Date.parse(text.replace(/^(\d{4}-\d{2}-\d{2}T\d{2})(Z|[+-]\d{2}:\d{2})?$/, "$1:00$2"))
    : Number.NaN;
  if (Number.isNaN(parsed)) {
    throw new OnggiError(
      "invalid",
      `invalid value for "${name}": failed to parse value as time or duration: "${text}"`,
    );
  }
  return parsed;
}

/** By whole nanoseconds, so that the time of a line, given back as a client read it, is the same number as the line's own. */
function nanosecondsOf(text: string): number {
  const [seconds = "", fraction = ""] = text.split(".");
  return Number(`${seconds}${fraction.padEnd(9, "0").slice(0, 9)}`);
}

/** Go's durations: `1h30m`, `1.5s`. */
function parseDuration(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(text)) return undefined;
  let sumMs = 0;
  for (const [, number, , unit] of text.matchAll(/(\d+(\.\d+)?)(ns|us|µs|ms|s|m|h)/g))
    sumMs += Number(number) * (unitsMs[unit ?? ""] ?? 0);
  return sumMs;
}

/** A length of time in words, as in `Up 3 minutes`. */
export function humanDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 1) return "Less than a second";
  if (seconds === 1) return "1 second";
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.floor(seconds / 60);
  if (minutes === 1) return "About a minute";
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.floor(seconds / 3600 + 0.5);
  if (hours === 1) return "About an hour";
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.floor(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.floor(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.floor(hours / 24 / 30)} months`;
  return `${Math.floor(seconds / 3600 / 24 / 365)} years`;
}
