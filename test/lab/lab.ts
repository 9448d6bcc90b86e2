/**
 * Boots a Debian kernel with the project inside and runs there the tests that need what this machine's kernel may lack:
 * `node test/lab/lab.ts [--counts FILE] [PATH...]`. `test/run.ts`, stage `lab`, is what calls it.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Counts } from "../count-reporter.ts";
import { program, runMachine } from "./machine.ts";
import { writeProjectDisk } from "./project-disk.ts";
import { type RootImage, rootImage } from "./root-image.ts";

const timeoutMs = 12 * 60_000;
const none: Counts = { passed: 0, failed: 0, skipped: [] };
const say = (line: string) => process.stdout.write(`lab: ${line}\n`);

const { values, positionals } = parseArgs({ options: { counts: { type: "string" } }, allowPositionals: true });
const counts = await lab(positionals);
if (values.counts !== undefined) writeFileSync(values.counts, JSON.stringify(counts));
process.exitCode = counts.failed > 0 ? 1 : 0;

async function lab(paths: readonly string[]): Promise<Counts> {
  const missing = whyNot();
  if (missing !== undefined) return { ...none, skipped: [`the lab: ${missing}`] };
  const scratch = mkdtempSync(join(tmpdir(), "onggi-lab-"));
  process.once("exit", () => rmSync(scratch, { recursive: true, force: true }));
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
  try {
    return await runIn(scratch, rootImage(say), paths);
  } catch (error) {
    say(`could not be run: ${(error as Error).message}`);
    return { ...none, failed: 1 };
  }
}

function whyNot(): string | undefined {
  if (process.arch !== "x64") return "needs a processor that Debian calls amd64";
  if (process.getuid?.() !== 0) return "needs root, to make its image";
  for (const [name, flag] of [
    [program, "--version"],
    ["debootstrap", "--version"],
    ["mkfs.ext4", "-V"],
  ] as const) {
    if (spawnSync(name, [flag]).status !== 0) return `needs ${name}`;
  }
  return undefined;
}

async function runIn(scratch: string, image: RootImage, paths: readonly string[]): Promise<Counts> {
  const projectDisk = join(scratch, "project.img");
  const consoleLog = join(scratch, "console.log");
  writeProjectDisk(projectDisk, commandFor(paths));
  const from = performance.now();
  const seconds = () => ((performance.now() - from) / 1000).toFixed(0);
  let output = "";
  const problem = await runMachine({
    ...{ image, projectDisk, consoleLog, timeoutMs },
    onOutput: (text) => {
      if (output === "") say(`booted after ${seconds()} s`);
      output += text;
      process.stdout.write(text);
    },
  });
  const counted = parseCounts(output);
  say(`ended after ${seconds()} s`);
  if (problem === undefined && counted !== undefined) return counted;
  say(problem ?? "turned itself off before its tests were counted");
  say(`its console said last:\n${readFileSync(consoleLog, "utf8").split("\n").slice(-40).join("\n")}`);
  return { ...(counted ?? none), failed: (counted?.failed ?? 0) + 1 };
}

/** Inside, the same runner runs the stage that knows which tests are meant. */
function commandFor(paths: readonly string[]): string {
  const quoted = paths.map((path) => `'${path.replaceAll("'", "'\\''")}'`);
  return ["uname -sr", `exec node_modules/.bin/node test/run.ts inside ${quoted.join(" ")}`, ""].join("\n");
}

/** Reads the last lines that `test/run.ts` prints. */
function parseCounts(output: string): Counts | undefined {
  const total = /^(\d+) passed, (\d+) failed, \d+ skipped$/m.exec(output.replaceAll("\r", ""));
  if (total === null) return undefined;
  const skipped = [...output.matchAll(/^skipped: (.*?)\r?$/gm)].map((match) => `in the lab: ${match[1]}`);
  return { passed: Number(total[1]), failed: Number(total[2]), skipped };
}
