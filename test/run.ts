/**
 * Runs the checks and tests: `node test/run.ts [STAGE...] [PATH...]`, by default all stages, in the order below.
 *
 * The stage `inside` is for the lab: what the stage `lab` runs in its machine.
 * Goes on after a stage that failed, so that one run tells everything. Ends with one line for machines to read,
 * `N passed, N failed, N skipped`: the sum of all tests, each stage that isn't made of tests counted only if it fails.
 */
import { spawn } from "node:child_process";
import { existsSync, globSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Counts } from "./count-reporter.ts";

const root = join(import.meta.dirname, "..");
const bin = join(root, "node_modules/.bin");
const scratch = mkdtempSync(join(tmpdir(), "onggi-test-run-"));

const checkTimeoutMs = 5 * 60_000;
const unitTimeoutMs = 5 * 60_000;
const e2eFileTimeoutMs = 5 * 60_000;
/** Emulated, all takes five to ten times as long. */
const insideFileTimeoutMs = 10 * 60_000;
const labTimeoutMs = 15 * 60_000;

let serial = 0;
const none: Counts = { passed: 0, failed: 0, skipped: [] };

const stages: Readonly<Record<string, (paths: readonly string[]) => Promise<Counts>>> = {
  format: () => check(join(bin, "biome"), "format", "."),
  lint: () => check(join(bin, "biome"), "lint", "--error-on-warnings", "."),
  rules: () => check(process.execPath, "scripts/import-rules.ts"),
  types: () => check(process.execPath, join(bin, "tsc"), "--noEmit"),
  unit,
  e2e,
  lab,
  inside,
};
/** Run only where they are named. */
const hidden = ["inside"];

async function check(...command: string[]): Promise<Counts> {
  return { ...none, failed: (await run(command, checkTimeoutMs)) ? 0 : 1 };
}

async function unit(paths: readonly string[]): Promise<Counts> {
  const files = testFiles(["src", "scripts", "test", "bench"], paths).filter(
    (file) => !/^test\/(e2e|lab)\//.test(file),
  );
  const alone = files.filter((file) => needsOwnProcess.test(file));
  const together = files.filter((file) => !needsOwnProcess.test(file));
  const options = ["--test-timeout=60000"];
  // Starting a process for each of the others would take longer than they do: they share two, since most wait a lot.
  const shared = [...options, "--test-isolation=none"];
  const logs = ["first", "second"].map((name) => join(scratch, `${name}.log`));
  const [first = "", second = ""] = logs;
  const counts = await Promise.all([
    test(alone, options, unitTimeoutMs),
    test(together.filter(waitsALot), shared, unitTimeoutMs, { log: first }),
    test(
      together.filter((file) => !waitsALot(file)),
      shared,
      unitTimeoutMs,
      { log: second },
    ),
  ]);
  for (const log of logs) process.stdout.write(existsSync(log) ? readFileSync(log, "utf8") : "");
  return counts.reduce(sum);
}

function waitsALot(file: string): boolean {
  return file.startsWith("src/api/") || file.startsWith("src/image/");
}

/** Files whose tests look at the process they run in, or change it: signals, descriptors, exit status. */
const needsOwnProcess = /^(src\/cli|test)\//;

async function e2e(paths: readonly string[]): Promise<Counts> {
  return oneByOne(testFiles(["test/e2e"], paths));
}

/** Boots a machine that runs the stage `inside`. */
async function lab(paths: readonly string[]): Promise<Counts> {
  const countsPath = join(scratch, "lab.json");
  await run([process.execPath, "test/lab/lab.ts", "--counts", countsPath, ...paths], labTimeoutMs);
  return readCounts(countsPath) ?? { ...none, failed: 1 };
}

/** The lab's own tests, and those of `e2e` that say something else on its kernel. */
async function inside(paths: readonly string[]): Promise<Counts> {
  const again = testFiles(["test/e2e"], alsoInLab);
  return oneByOne(
    [...testFiles(["test/lab"], []), ...again].filter((file) => isNamed(file, paths)),
    insideFileTimeoutMs,
    2,
  );
}

const alsoInLab = ["test/e2e/storage-overlay.test.ts"];

/** They share the host's kernel. */
async function oneByOne(files: readonly string[], timeoutMs = e2eFileTimeoutMs, starts = 1): Promise<Counts> {
  if (process.getuid?.() !== 0) {
    return { passed: 0, failed: 0, skipped: files.map((file) => `${file}: needs root`) };
  }
  let total = none;
  for (const file of files) {
    process.stdout.write(`\n${file}\n`);
    total = sum(total, await test([file], ["--test-isolation=none"], timeoutMs, { starts }));
  }
  return total;
}

function testFiles(folders: readonly string[], paths: readonly string[]): string[] {
  const all = folders.flatMap((folder) => globSync(`${folder}/**/*.test.ts`, { cwd: root })).sort();
  return all.filter((file) => isNamed(file, paths));
}

function isNamed(file: string, paths: readonly string[]): boolean {
  return paths.length === 0 || paths.some((path) => file.startsWith(path));
}

interface TestRun {
  /** How often it is tried where Node itself dies before any test has ended. */
  readonly starts?: number;
  /** File for what it prints, where several run at a time. */
  readonly log?: string;
}

async function test(
  files: readonly string[],
  options: readonly string[],
  timeoutMs: number,
  { starts = 1, log }: TestRun = {},
): Promise<Counts> {
  if (files.length === 0) return none;
  const countsPath = join(scratch, `counts-${serial++}.json`);
  const reporters = [
    ...["--test-reporter=spec", "--test-reporter-destination=stdout"],
    ...[`--test-reporter=${join(root, "test/count-reporter.ts")}`, `--test-reporter-destination=${countsPath}`],
  ];
  const ok = await run([process.execPath, "--test", ...reporters, ...options, ...files], timeoutMs, log);
  const counted = readCounts(countsPath);
  if (counted === undefined && starts > 1) {
    process.stdout.write("Node died before it could count: once more\n");
    return test(files, options, timeoutMs, { starts: starts - 1 });
  }
  const counts = counted ?? { ...none, failed: 1 };
  return !ok && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

function readCounts(path: string): Counts | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Counts;
  } catch {
    return undefined; // The run was ended before it could count.
  }
}

/** Runs a command in a process group of its own, which is killed when time is up; true when it ended with 0. */
async function run(command: readonly string[], timeoutMs: number, log?: string): Promise<boolean> {
  const [file = "", ...args] = command;
  const output = log === undefined ? "inherit" : openSync(log, "w");
  const child = spawn(file, args, {
    cwd: root,
    detached: true,
    stdio: ["ignore", output, output],
    env: { ...process.env, PATH: `${bin}:${process.env.PATH ?? ""}:/usr/sbin:/sbin` },
  });
  const kill = (signal: NodeJS.Signals) => child.pid !== undefined && process.kill(-child.pid, signal);
  const interrupt = () => kill("SIGTERM");
  process.on("SIGINT", interrupt).on("SIGTERM", interrupt);
  const timer = setTimeout(() => {
    process.stdout.write(`\n${args.at(-1)} did not end within ${timeoutMs / 1000} s and was killed\n`);
    kill("SIGTERM");
    setTimeout(() => child.exitCode === null && kill("SIGKILL"), 5000).unref();
  }, timeoutMs);
  const status = await new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.on("error", (error) => {
      process.stdout.write(`${error.message}\n`);
      resolve(null);
    });
    child.on("exit", (code, signal) => resolve(code ?? signal));
  });
  clearTimeout(timer);
  process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
  if (typeof status === "string") process.stdout.write(`\n${args.at(-1)} was ended by ${status}\n`);
  return status === 0;
}

function sum(a: Counts, b: Counts): Counts {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: [...a.skipped, ...b.skipped] };
}

const words = process.argv.slice(2);
const paths = words.filter((word) => stages[word] === undefined);
const chosen = Object.entries(stages).filter(([name]) =>
  words.length === paths.length ? !hidden.includes(name) : words.includes(name),
);
const failedStages: string[] = [];
let total = none;
try {
  for (const [name, stage] of chosen) {
    process.stdout.write(`\n== ${name}\n`);
    const counts = await stage(paths);
    if (counts.failed > 0) failedStages.push(name);
    total = sum(total, counts);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

process.stdout.write("\n");
for (const reason of total.skipped) process.stdout.write(`skipped: ${reason}\n`);
if (failedStages.length > 0) process.stdout.write(`failed: ${failedStages.join(", ")}\n`);
process.stdout.write(`${total.passed} passed, ${total.failed} failed, ${total.skipped.length} skipped\n`);
process.exitCode = total.failed > 0 ? 1 : 0;
