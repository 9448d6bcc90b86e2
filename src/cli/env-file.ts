import { OnggiError } from "../base/error.ts";
import { fs } from "./builtin.ts";
import { errorCode } from "./client.ts";

/** Variables of a file and of flags, the flags' last; a name alone takes this process's value, or is left out without one. */
export function readEnvironment(
  files: readonly string[],
  flags: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  const fromFiles = files.flatMap((path) => readPairs(path, "environment variable"));
  const inherit = (pair: string) => {
    if (pair.includes("=")) return [pair];
    const value = environment[pair];
    return value === undefined ? [] : [`${pair}=${value}`];
  };
  // A bare name from a flag is kept: it removes the image's variable.
  return [
    ...fromFiles.flatMap(inherit),
    ...flags.flatMap((pair) => (pair.includes("=") ? [checked(pair)] : (nonEmpty(inherit(pair)) ?? [checked(pair)]))),
  ];
}

/** Labels of files and of flags, the flags' last. */
export function readLabels(files: readonly string[], flags: readonly string[]): Readonly<Record<string, string>> {
  const pairs = [...files.flatMap((path) => readPairs(path, "label")), ...flags];
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf("=");
      return at < 0 ? [pair, ""] : [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

/** The lines of a file that aren't blank or comments. */
function readPairs(path: string, what: string): string[] {
  const lines = readText(path)
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/);
  return lines.flatMap((line, index) => {
    const pair = line.trimStart();
    if (pair === "" || pair.startsWith("#")) return [];
    const name = pair.split("=", 1)[0] ?? "";
    if (name === "") throw new OnggiError("invalid", `${path}, line ${index + 1}: no ${what} name in "${line}"`);
    if (/\s/.test(name))
      throw new OnggiError("invalid", `${path}, line ${index + 1}: ${what} "${name}" contains whitespaces`);
    return [pair];
  });
}

/** A file that a flag names; throws `not_found` with its path. */
export function readText(path: string): string {
  try {
    return fs.readFileSync(path, "utf8");
  } catch (cause) {
    const reasons: Readonly<Record<string, string>> = {
      ENOENT: "no such file or directory",
      EACCES: "permission denied",
      EISDIR: "is a directory",
    };
    const code = errorCode(cause) ?? "";
    throw new OnggiError("not_found", `open ${path}: ${reasons[code] ?? code}`, { cause });
  }
}

function checked(pair: string): string {
  if (pair === "" || pair.startsWith("=")) throw new OnggiError("invalid", `invalid environment variable: ${pair}`);
  return pair;
}

function nonEmpty<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length > 0 ? list : undefined;
}
