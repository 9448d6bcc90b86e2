import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const checkout = join(import.meta.dirname, "../..");
/** What tests need of a checkout; npm packages are there for building and checking only. */
const parts = [
  "build",
  "native",
  "scripts",
  "src",
  "test",
  "onggi",
  "package.json",
  "package-lock.json",
  "CHANGELOG.md",
];
const node = "node_modules/.bin/node";
const slack = 32;

/**
 * Writes a disk that holds the checkout as it is, built, with the pinned Node: the lab sees it read-only.
 *
 * @param command - what the lab does, as a shell script's text
 */
export function writeProjectDisk(path: string, command: string): void {
  const tree = `${path}.tree`;
  mkdirSync(tree);
  try {
    for (const part of parts)
      cpSync(join(checkout, part), join(tree, part), { recursive: true, preserveTimestamps: true });
    const program = join(dirname(node), readlinkSync(join(checkout, node)));
    for (const folder of [dirname(node), dirname(program)]) mkdirSync(join(tree, folder), { recursive: true });
    cpSync(join(checkout, program), join(tree, program));
    symlinkSync(readlinkSync(join(checkout, node)), join(tree, node));
    writeFileSync(join(tree, "lab-command"), command);
    writeFileSync(join(tree, "build/stamp"), ""); // newer than all sources: there is nothing to build with inside
    const used = Number.parseInt(run("du", ["-sm", tree]), 10);
    run("mkfs.ext4", ["-q", "-d", tree, "-O", "^has_journal", path, `${used + slack}M`]);
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}

function run(program: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8", timeout: 60_000 });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${error?.message ?? stderr}`);
  return stdout;
}
