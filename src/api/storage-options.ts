import { OnggiError } from "../base/error.ts";
import type { StorageLimit } from "../engine/model.ts";

const byteUnits = ["", "k", "m", "g", "t", "p"];
const known = "size (bytes, such as 2G) and inodes (a number, such as 100k)";

/**
 * `--storage-opt`: what a container may write at most.
 *
 * @throws OnggiError `invalid` for an option or a value that isn't understood, in Docker's words where it has some
 */
export function parseStorageOptions(options: Readonly<Record<string, string>>): StorageLimit | undefined {
  let limit: { bytes?: number; inodes?: number } | undefined;
  for (const [name, text] of Object.entries(options)) {
    switch (name.toLowerCase()) {
      case "size":
        limit = { ...limit, bytes: parseSize(text) };
        break;
      case "inodes":
        limit = { ...limit, inodes: parseInodes(text) };
        break;
      default:
        throw new OnggiError("invalid", `Unknown option ${name}`, { hint: `Of --storage-opt there are ${known}.` });
    }
  }
  return limit;
}

/** As they would be typed. */
export function formatStorageOptions({ bytes, inodes }: StorageLimit): Readonly<Record<string, string>> {
  return {
    ...(bytes === undefined ? {} : { size: scaled(bytes, 1024, ["", "K", "M", "G", "T"]) }),
    ...(inodes === undefined ? {} : { inodes: scaled(inodes, 1000, ["", "k", "M"]) }),
  };
}

/** Powers of 1024, as Docker reads them: `2G`, `512m`, `1.5GiB`. */
function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?(?:([bkmgtp])|([kmgtp])i?b)?$/i.exec(text.trim());
  const unit = (match?.[2] ?? match?.[3] ?? "").toLowerCase().replace("b", "");
  const bytes = Math.trunc(Number(match?.[1]) * 1024 ** byteUnits.indexOf(unit));
  if (!Number.isSafeInteger(bytes)) {
    throw new OnggiError("invalid", `invalid size: '${text}'`, { hint: "Such as --storage-opt size=2G." });
  }
  if (bytes === 0) throw new OnggiError("invalid", "invalid size: '0': it must be more than nothing");
  return bytes;
}

/** Powers of 1000, since inodes are counted, not measured: `100k`, `1.5m`. */
function parseInodes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([km])?$/i.exec(text.trim());
  const factor = { "": 1, k: 1000, m: 1_000_000 }[(match?.[2] ?? "").toLowerCase()] ?? Number.NaN;
  const inodes = Number(match?.[1]) * factor;
  if (!Number.isSafeInteger(inodes) || inodes === 0 || inodes > 2 ** 32 - 1) {
    throw new OnggiError("invalid", `invalid number of inodes: '${text}'`, {
      hint: "Such as --storage-opt inodes=100k.",
    });
  }
  return inodes;
}

/** In the largest unit that says it exactly. */
function scaled(value: number, base: number, units: readonly string[]): string {
  let exponent = 0;
  while (exponent + 1 < units.length && value % base ** (exponent + 1) === 0) exponent += 1;
  return `${value / base ** exponent}${units[exponent]}`;
}
