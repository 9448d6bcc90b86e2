import { closeSync, constants, openSync, readdirSync, readSync, rmdirSync, writeSync } from "node:fs";
import { join } from "node:path";
import { isErrno } from "../base/errno.ts";

/** Shared by all reads: they are synchronous, and control files are small. */
const buffer = Buffer.allocUnsafe(64 * 1024);

/** The text of a control file without its last line end; undefined where the file or the cgroup doesn't exist. */
export function readControl(path: string): string | undefined {
  try {
    const file = openSync(path, "r");
    try {
      let text = "";
      for (;;) {
        const length = readSync(file, buffer, 0, buffer.length, -1);
        if (length === 0) return text.trimEnd();
        text += buffer.toString("latin1", 0, length);
      }
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENODEV", "EOPNOTSUPP")) return undefined;
    throw error;
  }
}

/** A file that holds one number; `max` is Infinity. */
export function readNumber(path: string): number | undefined {
  const text = readControl(path);
  if (text === undefined || text === "") return undefined;
  return text === "max" ? Number.POSITIVE_INFINITY : Number(text);
}

/** A file of lines `name number`. */
export function readTable(path: string): Readonly<Record<string, number>> {
  const table: Record<string, number> = {};
  for (const line of (readControl(path) ?? "").split("\n")) {
    const space = line.indexOf(" ");
    if (space > 0) table[line.slice(0, space)] = Number(line.slice(space + 1));
  }
  return table;
}

/** One write(2), as control files demand. */
export function writeControl(path: string, text: string): void {
  const file = openSync(path, constants.O_WRONLY);
  try {
    writeSync(file, text);
  } finally {
    closeSync(file);
  }
}

/** Pids in a cgroup and in those below it; empty where it doesn't exist. */
export function readPids(directory: string): readonly number[] {
  const own = (readControl(join(directory, "cgroup.procs")) ?? "").split("\n").filter((line) => line !== "");
  return [...own.map(Number), ...childGroups(directory).flatMap((name) => readPids(join(directory, name)))];
}

/** Names of the cgroups in a cgroup. */
export function childGroups(directory: string): readonly string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}

/** The cgroups in a cgroup, itself last: the order in which they can be removed. */
export function groupsBelow(directory: string): readonly string[] {
  return [...childGroups(directory).flatMap((name) => groupsBelow(join(directory, name))), directory];
}

/** Removes a cgroup that nobody is in; one that is in use stays. */
export function removeIfUnused(directory: string): void {
  try {
    rmdirSync(directory);
  } catch (error) {
    if (!isErrno(error, "ENOENT", "EBUSY", "ENOTEMPTY")) throw error;
  }
}
