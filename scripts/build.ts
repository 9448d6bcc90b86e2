/**
 * Builds what runs: `build/onggi-exec` from native/, and one bundle for each file that starts something.
 *
 * Whoever looks at build/ meanwhile sees the old build or the new one: files are written beside and renamed, those
 * that are imported before those that import them, and the stamp, which says that all is there, comes last.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import http from "node:http";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { type OutputAsset, type OutputChunk, type Plugin, rolldown } from "rolldown";

const root = join(import.meta.dirname, "..");
const out = join(root, "build");

interface Bundle {
  readonly entry: string;
  /** Below src/; its own name unless told. */
  readonly source?: string;
  /** In pieces, each loaded when its command runs. What lives long is one file, so that a later build takes nothing from it. */
  readonly inPieces: boolean;
}

const bundles: readonly Bundle[] = [
  { entry: "cli", inPieces: true },
  { entry: "daemon", inPieces: false },
  { entry: "index", inPieces: false },
  { entry: "layer-thread", source: "image/layer-thread", inPieces: false },
];

/** A process that started with the former build may still import its pieces. */
const keepOldPiecesMs = 3_600_000;

/**
 * Imports node:http without the WebSocket client that it also exports.
 *
 * An import statement reads every export of a built-in module, lazy ones too, and that one loads all of fetch: 30 ms and
 * several MB at each start. Taken from `process.getBuiltinModule`, only what is named is read.
 */
const leanHttp: Plugin = {
  name: "lean-http",
  resolveId: (source) => (source === "node:http" ? "\0node:http" : null),
  load(id) {
    if (id !== "\0node:http") return null;
    const properties = Object.entries(Object.getOwnPropertyDescriptors(http));
    const names = properties.filter(([, { get }]) => get === undefined).map(([name]) => name);
    return `const http = process.getBuiltinModule("node:http");\nexport default http;\nexport const { ${names.join(", ")} } = http;`;
  },
};

/** Runs `make` in native/; its output goes to stderr. */
async function buildNative(): Promise<void> {
  if (!existsSync(join(root, "native/Makefile"))) return;
  const make = spawn(
    "make",
    ["--no-print-directory", "-s", `-j${availableParallelism()}`, "-C", join(root, "native")],
    {
      stdio: ["ignore", 2, 2],
    },
  );
  const status = await new Promise<number | null>((resolve, reject) => {
    make.on("error", (cause) => reject(new Error("make is missing, which compiles native/: install make", { cause })));
    make.on("close", resolve);
  });
  if (status !== 0) throw new Error("native/ does not compile, see above");
}

/** The files of one bundle, the entry last; none where its source isn't there. */
async function bundle({ entry, source = entry, inPieces }: Bundle): Promise<(OutputChunk | OutputAsset)[]> {
  const input = join(root, "src", `${source}.ts`);
  if (!existsSync(input)) return [];
  await using build = await rolldown({
    input: { [entry]: input },
    platform: "node",
    cwd: root,
    logLevel: "warn",
    plugins: [leanHttp],
  });
  const { output } = await build.generate({
    format: "esm",
    entryFileNames: "[name].js",
    chunkFileNames: `${entry}-[name]-[hash].js`,
    // What several pieces share is one file: each file more costs 0.2 ms at the start.
    codeSplitting: inPieces && { groups: [{ name: "shared", minShareCount: 2 }] },
    comments: false,
  });
  return [...output].sort((a, b) => Number(isEntry(a)) - Number(isEntry(b)));
}

function isEntry(file: OutputChunk | OutputAsset): boolean {
  return file.type === "chunk" && file.isEntry;
}

async function writeAtomically(name: string, content: string | Uint8Array): Promise<void> {
  const path = join(out, name);
  const before = await readFile(path).catch(() => undefined);
  if (before?.equals(Buffer.from(content)) === true) return;
  await writeFile(`${path}.new`, content);
  await rename(`${path}.new`, path);
}

async function removeOldPieces(current: ReadonlySet<string>): Promise<void> {
  const pieces = (await readdir(out)).filter((name) => /^cli-.*[.]js$/.test(name) && !current.has(name));
  for (const name of pieces) {
    const { mtimeMs } = await stat(join(out, name));
    if (Date.now() - mtimeMs > keepOldPiecesMs) await rm(join(out, name));
  }
}

async function build(): Promise<void> {
  await mkdir(out, { recursive: true });
  await writeFile(join(out, "stamp.new"), "");
  const [, ...outputs] = await Promise.all([buildNative(), ...bundles.map(bundle)]);
  const files = outputs.flat();
  for (const file of files) await writeAtomically(file.fileName, file.type === "chunk" ? file.code : file.source);
  await removeOldPieces(new Set(files.map((file) => file.fileName)));
  await rename(join(out, "stamp.new"), join(out, "stamp"));
}

const slow = setTimeout(() => process.stderr.write("onggi: building\n"), 1000);
try {
  await build();
} catch (error) {
  process.stderr.write(`onggi: can't build: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
} finally {
  clearTimeout(slow);
}
