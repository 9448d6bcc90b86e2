import { OnggiError } from "../base/error.ts";

/** What a volume's data lies in. */
export type VolumeMeans =
  /** A directory of the data root. */
  | { readonly kind: "directory" }
  /** A file system of its own in a file of that size. */
  | { readonly kind: "sized"; readonly bytes?: number; readonly inodes?: number }
  /** Whatever mount(8) makes of these, for as long as a container that has it runs. */
  | { readonly kind: "mount"; readonly type: string; readonly device: string; readonly options: string };

/** What a name of a directory may have, less what is put before it while the volume is made. */
const maxNameLength = 230;
const knownOptions = ["type", "device", "o", "size", "inodes"];
/** Docker's: one of these without the others says nothing. */
const required: Readonly<Record<string, readonly string[]>> = {
  device: ["type"],
  type: ["device"],
  o: ["device", "type"],
};
const units: Readonly<Record<string, number>> = { "": 0, b: 0, k: 1, m: 2, g: 3, t: 4, p: 5 };

/**
 * Reads a volume's options: `size` and `inodes`, or `type`, `device` and `o`.
 *
 * @throws OnggiError `invalid` in Docker's words
 */
export function volumeMeans(options: Readonly<Record<string, string>>): VolumeMeans {
  for (const name of Object.keys(options)) {
    if (!knownOptions.includes(name))
      throw new OnggiError("invalid", `invalid option: "${name}"`, { hint: `There are ${knownOptions.join(", ")}.` });
    const missing = (required[name] ?? []).find((other) => options[other] === undefined);
    if (missing !== undefined) throw new OnggiError("invalid", `missing required option: "${missing}"`);
  }
  const { type, device, o = "", size, inodes } = options;
  if (type !== undefined && device !== undefined) {
    if (size !== undefined || inodes !== undefined)
      throw new OnggiError("invalid", `options size and inodes don't go with a volume of type "${type}"`, {
        hint: "A tmpfs takes its size among the mount options: --opt o=size=100m.",
      });
    return { kind: "mount", type, device, options: o };
  }
  const bytes = size === undefined ? 0 : amount("size", size, 1024);
  const count = inodes === undefined ? 0 : amount("inodes", inodes, 1000);
  if (bytes === 0 && count === 0) return { kind: "directory" };
  return { kind: "sized", ...(bytes > 0 ? { bytes } : {}), ...(count > 0 ? { inodes: count } : {}) };
}

/** @throws OnggiError `invalid` in Docker's words */
export function checkVolumeName(name: string): void {
  // Docker's rule asks for two characters.
  if (name.length <= 1 || !/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name)) {
    const reason =
      name.length <= 1
        ? "volume name is too short, names should be at least two alphanumeric characters"
        : `"${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`;
    throw new OnggiError("invalid", `create ${name}: ${reason}`);
  }
  if (name.length > maxNameLength) throw new OnggiError("invalid", `create ${name}: volume name is too long`);
}

/** Whether a request's options say the same as a volume's; none given ask for nothing. */
export function fitsOptions(
  wanted: Readonly<Record<string, string>>,
  present: Readonly<Record<string, string>>,
): boolean {
  const names = Object.keys(wanted);
  if (names.length === 0) return true;
  return names.length === Object.keys(present).length && names.every((name) => wanted[name] === present[name]);
}

function amount(name: string, text: string, base: number): number {
  const match = /^(\d+(?:\.\d+)?) ?(?:([bkmgtp])|([kmgtp])i?b)?$/i.exec(text.trim());
  const exponent = units[(match?.[2] ?? match?.[3] ?? "").toLowerCase()];
  if (match === null || exponent === undefined) throw new OnggiError("invalid", `invalid ${name}: '${text}'`);
  return Math.trunc(Number(match[1]) * base ** exponent);
}
