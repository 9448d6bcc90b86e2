import { readFileSync, statSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { type Elf, parseElf } from "./elf.ts";
import { type LdCacheEntry, parseLdCache } from "./ld-cache.ts";

const defaultDirectories = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];
const multiarch = ["x86_64-linux-gnu", "aarch64-linux-gnu"];

/** The files that programs need to run: loaders, libraries, interpreters of scripts. */
export interface Closure {
  readonly files: readonly string[];
  /** The loader's cache, less all that isn't among the files. */
  readonly ldCache: readonly LdCacheEntry[];
  /** What is asked for by a file and wasn't found, in a sentence each. */
  readonly missing: readonly string[];
}

interface Wanted {
  readonly path: string;
  /** DT_RPATH of those that led here, which the loader searches too. */
  readonly inherited: readonly string[];
}

/**
 * Follows programs to all that they need, by reading the files: never by running them or `ldd`, which may run them.
 *
 * @param programs - absolute paths of programs and scripts
 * @param libraries - names of libraries that are loaded at run time without being needed, such as `libnss_dns.so.2`
 * @param findProgram - for `#!/usr/bin/env NAME`
 * @see ld.so(8) for the order of the search
 */
export function closure(
  programs: readonly string[],
  libraries: readonly string[],
  findProgram: (name: string) => string | undefined,
): Closure {
  const cache = readLdCache();
  const seen = new Map<string, Elf | undefined>();
  const used = new Set<LdCacheEntry>();
  const missing: string[] = [];
  const queue: Wanted[] = programs.map((path) => ({ path, inherited: [] }));

  const follow = (file: string, elf: Elf, inherited: readonly string[]) => {
    if (elf.interpreter !== undefined) queue.push({ path: elf.interpreter, inherited: [] });
    const rpath = elf.runpath.length > 0 ? [] : [...elf.rpath.map((path) => expand(path, file)), ...inherited];
    for (const name of elf.needed) {
      const found = findLibrary(
        name,
        elf.kind,
        [...rpath, ...elf.runpath.map((path) => expand(path, file))],
        cache,
        used,
      );
      if (found === undefined) missing.push(`${file} needs ${name}, which is not on this host`);
      else queue.push({ path: found, inherited: rpath });
    }
  };

  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const { path, inherited } = next;
    if (seen.has(path)) continue;
    const file = readProgram(path);
    if (file === undefined) {
      missing.push(`${path} can't be read`);
      continue;
    }
    const elf = parseElf(file);
    seen.set(path, elf);
    if (elf !== undefined) follow(path, elf, inherited);
    else for (const interpreter of interpreters(file, findProgram)) queue.push({ path: interpreter, inherited: [] });

    if (queue.length === 0 && libraries.length > 0) {
      const kind = [...seen.values()].find((one) => one?.interpreter !== undefined)?.kind;
      const found = libraries.map((name) =>
        kind === undefined ? undefined : findLibrary(name, kind, [], cache, used),
      );
      queue.push(...found.flatMap((one) => (one === undefined || seen.has(one) ? [] : [{ path: one, inherited: [] }])));
    }
  }
  return { files: [...seen.keys()], ldCache: cache.filter((entry) => used.has(entry)), missing };
}

function readLdCache(): readonly LdCacheEntry[] {
  const file = readProgram("/etc/ld.so.cache");
  return file === undefined ? [] : parseLdCache(file);
}

function findLibrary(
  name: string,
  kind: string,
  searched: readonly string[],
  cache: readonly LdCacheEntry[],
  used: Set<LdCacheEntry>,
): string | undefined {
  const fits = (path: string) => {
    const file = readProgram(path);
    return file !== undefined && parseElf(file)?.kind === kind;
  };
  if (name.includes("/")) return fits(name) ? name : undefined;

  const near = searched
    .filter(isAbsolute)
    .map((directory) => join(directory, name))
    .find(fits);
  if (near !== undefined) return near;
  const cached = cache.find((entry) => entry.name === name && entry.hwcap === 0n && fits(entry.path));
  if (cached !== undefined) {
    used.add(cached);
    return cached.path;
  }
  return defaultDirectories
    .flatMap((directory) => [...multiarch.map((one) => join(directory, one)), directory])
    .map((directory) => join(directory, name))
    .find(fits);
}

function expand(path: string, file: string): string {
  return path.replaceAll(/\$(?:ORIGIN|\{ORIGIN\})/g, dirname(file));
}

/** The interpreter in a script's first line, and what `env` will look for. */
function interpreters(file: Buffer, findProgram: (name: string) => string | undefined): string[] {
  if (file.toString("latin1", 0, 2) !== "#!") return [];
  const line = file.toString("utf8", 2, Math.min(256, file.indexOf(10) === -1 ? file.length : file.indexOf(10)));
  const [interpreter, ...words] = line.trim().split(/\s+/);
  if (interpreter === undefined || !isAbsolute(interpreter)) return [];
  const name = interpreter.endsWith("/env")
    ? words.find((word) => !word.startsWith("-") && !word.includes("="))
    : undefined;
  const sought = name === undefined ? undefined : findProgram(name);
  return [interpreter, ...(sought === undefined ? [] : [sought])];
}

function readProgram(path: string): Buffer | undefined {
  try {
    return statSync(path).isFile() ? readFileSync(path) : undefined;
  } catch {
    return undefined; // missing or not ours to read: the caller names it
  }
}
