import { OnggiError } from "../base/error.ts";

const sizeExponents: Readonly<Record<string, number>> = { b: 0, k: 1, m: 2, g: 3, t: 4, p: 5 };

/** Bytes of `200m`, `1.5g`, `64KiB`, `4096`: every unit is a power of 1024, as Docker's are. */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?(?:([bkmgtp])|([kmgtp])i?b)?$/i.exec(text.trim());
  const exponent = sizeExponents[(match?.[2] ?? match?.[3] ?? "b").toLowerCase()];
  if (match === null || exponent === undefined) throw new OnggiError("invalid", `invalid size: '${text}'`);
  return Math.trunc(Number(match[1]) * 1024 ** exponent);
}

/** Billionths of a core of `0.2`, `1.5`, `1/3`. */
export function parseCpus(text: string): number {
  const match = /^(\d+(?:\.\d*)?|\.\d+)(?:\/(\d+))?$/.exec(text);
  if (match === null || Number(match[2] ?? 1) === 0) {
    throw new OnggiError("invalid", `failed to parse ${text} as a rational number`);
  }
  return Math.round((Number(match[1]) / Number(match[2] ?? 1)) * 1e9);
}

const durationUnitsMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds of a Go duration: `1h30m`, `1.5s`, `300ms`. */
export function parseDurationMs(text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?|\.\d+)(ns|us|µs|ms|s|m|h)/g)];
  if (text === "0") return 0;
  if (parts.length === 0 || parts.map(([part]) => part).join("") !== text) {
    throw new OnggiError("invalid", `time: invalid duration "${text}"`);
  }
  return parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * (durationUnitsMs[unit ?? ""] ?? 0), 0);
}

/**
 * What `--since` and `--until` send: seconds since the epoch with their fraction.
 *
 * Accepts seconds, a Go duration before `nowMs`, or a date with or without time and zone (local where it has none).
 */
export function parseMoment(text: string, nowMs: number): string {
  if (/^\d+(\.\d+)?$/.test(text)) return text;
  if (/^[\d.]+(ns|us|µs|ms|s|m|h)/.test(text)) return seconds(nowMs - parseDurationMs(text));
  const date = /^\d{4}-\d{2}-\d{2}(T\d{2}(:\d{2}(:\d{2}(\.\d+)?)?)?)?(Z|[+-]\d{2}:?\d{2})?$/.exec(text);
  if (date === null) {
    throw new OnggiError("invalid", `"${text}" is no time`, {
      hint: 'Give a time such as "2026-01-02T13:23:37Z" or a duration back from now such as "42m".',
    });
  }
  const [, time = "", minutes] = date;
  const zone = date[5] ?? "";
  const day = text.slice(0, 10);
  const clock = time === "" ? "T00:00" : minutes === undefined ? `${time}:00` : time;
  return seconds(Date.parse(`${day}${clock}${zone}`));
}

const seconds = (ms: number) => (ms / 1000).toFixed(9).replace(/(\.\d{3})\d+$/, "$1000000");
