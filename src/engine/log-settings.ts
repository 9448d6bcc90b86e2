import { OnggiError } from "../base/error.ts";
import type { LogPlace } from "./log-files.ts";
import { type LogFormat, logFormat } from "./log-frames.ts";
import type { ContainerConfig } from "./model.ts";

/** The bounds of Docker's `local` driver, which Onggi's own format stands in for: nothing fills the disk unasked. */
const defaultMaxBytes = 20 * 1024 * 1024;
const defaultMaxFiles = 5;

const formats: Readonly<Record<string, LogFormat>> = {
  local: logFormat.frames,
  "json-file": logFormat.json,
  none: logFormat.none,
};

const units: Readonly<Record<string, number>> = { "": 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

export interface LogSettings {
  readonly format: LogFormat;
  readonly maxBytes: number;
  readonly maxFiles: number;
}

/**
 * Reads `--log-driver` and `--log-opt`.
 *
 * @throws OnggiError `invalid` for a driver or option that there isn't
 */
export function logSettings(log: ContainerConfig["log"]): LogSettings {
  const driver = log?.driver || "local";
  const format = formats[driver];
  if (format === undefined) {
    throw new OnggiError("invalid", `logger: no log driver named '${driver}' is registered`, {
      hint: `There are ${Object.keys(formats).join(", ")}.`,
    });
  }
  const { "max-size": maxSize, "max-file": maxFile, mode: _mode, compress: _compress, ...others } = log?.options ?? {};
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) {
    throw new OnggiError("invalid", `unknown log opt '${unknown}' for ${driver} log driver`, {
      hint: "There are max-size and max-file.",
    });
  }
  return {
    format,
    maxBytes: maxSize === undefined ? defaultMaxBytes : parseSize(maxSize),
    maxFiles: maxFile === undefined ? defaultMaxFiles : parseCount(maxFile),
  };
}

/** Where the monitor writes and `logs` reads. */
export function logPlaceOf(directory: string, id: string, settings: LogSettings): LogPlace {
  const name = settings.format === logFormat.json ? `${id}-json.log` : "output.log";
  return { directory, name, format: settings.format, maxFiles: settings.maxFiles };
}

function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([a-z]?)(?:i?b)?$/i.exec(text);
  const unit = units[match?.[2]?.toLowerCase() ?? "none"];
  const bytes = match === null || unit === undefined ? Number.NaN : Math.floor(Number(match[1]) * unit);
  // A file holds one frame at the least, and a frame is up to one read of the pipe.
  if (!(bytes >= 1024))
    throw new OnggiError("invalid", `invalid value for max-size: "${text}"`, {
      hint: "Write it as 10m; 1k is the least.",
    });
  return bytes;
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > 1000) {
    throw new OnggiError("invalid", `invalid value for max-file: "${text}"`, {
      hint: "It is a whole number from 1 to 1000.",
    });
  }
  return count;
}
