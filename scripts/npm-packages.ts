/**
 * Ends with 0 when node_modules holds what package-lock.json names for this machine, else with 1;
 * with `--name`, prints what is missing. Compares npm's own record of what it installed, which is quick.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";

interface LockedPackage {
  readonly version?: string;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[];
}

type Lock = Readonly<Record<string, LockedPackage>>;

const root = join(import.meta.dirname, "..");

function readLock(path: string): Lock {
  try {
    return (JSON.parse(readFileSync(join(root, path), "utf8")) as { packages: Lock }).packages;
  } catch {
    return {};
  }
}

function fitsHere(wanted: LockedPackage): boolean {
  const fits = (list: readonly string[] | undefined, here: string) => list === undefined || list.includes(here);
  return fits(wanted.os, process.platform) && fits(wanted.cpu, process.arch) && fits(wanted.libc, "glibc");
}

const installed = readLock("node_modules/.package-lock.json");
const missing = Object.entries(readLock("package-lock.json"))
  .filter(([path, wanted]) => path !== "" && fitsHere(wanted) && installed[path]?.version !== wanted.version)
  .map(([path, wanted]) => `${path.replace(/^.*node_modules\//, "")} ${wanted.version ?? ""}`);

if (process.argv.includes("--name"))
  for (const name of missing) process.stderr.write(`onggi: missing npm package: ${name}\n`);
process.exitCode = missing.length === 0 ? 0 : 1;
