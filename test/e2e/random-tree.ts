import { execFileSync } from "node:child_process";
import { linkSync, lstatSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Random numbers that are the same for the same seed. */
export interface Chance {
  /** From 0 to `below` - 1. */
  number(below: number): number;
  pick<T>(from: readonly T[]): T;
}

/** A generator of 32 bits (mulberry32). */
export function chanceOf(seed: number): Chance {
  let state = seed;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const number = (below: number): number => next() % below;
  return {
    number,
    pick(from) {
      const chosen = from[number(from.length)];
      if (chosen === undefined) throw new RangeError("nothing to pick from");
      return chosen;
    },
  };
}

const sizes = [0, 1, 511, 512, 513, 4095, 4096, 4097, 10_000, 70_000, 1_000_000];
const owners = [0, 1, 1000, 65_535, 65_536, 4_000_000_000];
const letters = ["a", "Z", "0", ".", "-", " ", "é", "漢", "🦦", "\\", "'", '"', "\n", "\t", "\u007f"];

/** Fills a folder with files of all kinds, owners, modes, times and attributes. */
export function randomTree(root: string, chance: Chance, { files }: { readonly files: number }): void {
  const folders = [""];
  const ordinary: string[] = [];
  const script: string[] = [];
  for (let index = 0; index < files; index++) {
    const path = `${chance.pick(folders)}/${randomName(chance)}${index}`;
    const place = join(root, path);
    const quoted = quote(place);
    const kind = chance.number(12);
    if (kind < 5) {
      writeFileSync(place, Buffer.alloc(chance.pick(sizes), `${index} `));
      ordinary.push(path);
    } else if (kind < 7) {
      mkdirSync(place);
      folders.push(path);
    } else if (kind === 7) symlinkSync(`${chance.pick(folders)}/${"t".repeat(1 + chance.number(600))}`, place);
    else if (kind === 8 && ordinary.length > 0) {
      linkSync(join(root, chance.pick(ordinary)), place);
      continue;
    } else if (kind === 9) script.push(`mkfifo ${quoted}`);
    else script.push(`mknod ${quoted} ${chance.pick(["b", "c"])} ${1 + chance.number(4000)} ${chance.number(100_000)}`);
    script.push(`chown -h ${chance.pick(owners)}:${chance.pick(owners)} ${quoted}`);
    if (kind !== 7) script.push(`chmod ${chance.number(0o10000).toString(8)} ${quoted}`);
    const isAttributable = kind < 7;
    for (let count = isAttributable ? chance.number(4) : 0; count > 0; count--) {
      const name = `${chance.pick(["user.", "trusted.", "security."])}x${chance.number(20)}`;
      script.push(`setfattr -n ${name} -v 0x${"00ff41".repeat(chance.number(200))}00 ${quoted}`);
    }
    const seconds = chance.number(2 ** 32) - 2 ** 30;
    script.push(`touch -h -d @${seconds}.${String(chance.number(1e9)).padStart(9, "0")} ${quoted}`);
  }
  runScript(script);
}

const places = ["a", "b", "c", "d", "e", "f", "g"];

/** What a folder of overlay's has beside what can be seen: paths below it. */
export interface Hidings {
  readonly whiteouts: readonly string[];
  readonly opaque: readonly string[];
}

/** Fills a folder as overlay writes one: files, whiteouts, opaque folders, under few names, so that layers meet. */
export function randomLayer(root: string, chance: Chance): Hidings {
  const made: string[] = [];
  const whiteouts: string[] = [];
  const opaque: string[] = [];
  for (let count = 2 + chance.number(40); count > 0; count--) {
    const parts = Array.from({ length: 2 + chance.number(4) }, () => chance.pick(places));
    const path = parts.join("/");
    const place = join(root, path);
    if (!makeFolders(root, parts.slice(0, -1))) continue;
    if (lstatSync(place, { throwIfNoEntry: false }) !== undefined) continue;
    const kind = chance.number(12);
    if (kind < 6) {
      writeFileSync(place, `${root} ${count}`.repeat(chance.number(300)));
      made.push(place);
    } else if (kind === 6) symlinkSync(`/${path}/${chance.pick(places)}`, place);
    else if (kind === 7 && made.length > 0) linkSync(chance.pick(made), place);
    else if (kind < 10) {
      // A place-holder, until the whiteouts are made all at once.
      writeFileSync(place, "");
      whiteouts.push(path);
    } else {
      mkdirSync(place, { mode: chance.pick([0o755, 0o700, 0o775]) });
      if (kind === 11) opaque.push(path);
    }
  }
  return { whiteouts, opaque };
}

/** The tar of such a folder, with the names that an image's layer has for whiteouts and opaque folders; then makes them in the folder. */
export function packLayer(folder: string, { whiteouts, opaque }: Hidings, tar: string, seconds: number): void {
  const hidden = whiteouts.map((path) => path.replace(/[^/]+$/, ".wh.$&"));
  for (const [index, path] of whiteouts.entries()) renameSync(join(folder, path), join(folder, hidden[index] ?? ""));
  const marks = opaque.map((path) => join(folder, path, ".wh..wh..opq"));
  for (const mark of marks) writeFileSync(mark, "");
  execFileSync("tar", [`--mtime=@${seconds}`, "-C", folder, "-cf", tar, "."]);
  for (const path of [...hidden.map((name) => join(folder, name)), ...marks]) rmSync(path);
  runScript([
    ...whiteouts.map((path) => `mknod ${quote(join(folder, path))} c 0 0`),
    ...opaque.map((path) => `setfattr -n trusted.overlay.opaque -v y ${quote(join(folder, path))}`),
    `find ${quote(folder)} -exec touch -h -d @${seconds} {} +`,
  ]);
}

/** @returns false where a file is in the way */
function makeFolders(root: string, parts: readonly string[]): boolean {
  let at = root;
  for (const part of parts) {
    at = join(at, part);
    const stats = lstatSync(at, { throwIfNoEntry: false });
    if (stats === undefined) mkdirSync(at);
    else if (!stats.isDirectory()) return false;
  }
  return true;
}

function randomName(chance: Chance): string {
  return Array.from({ length: chance.number(20) }, () => chance.pick(letters)).join("");
}

function runScript(lines: readonly string[]): void {
  if (lines.length > 0) execFileSync("bash", ["-e"], { input: lines.join("\n"), maxBuffer: 1 << 26 });
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
