import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { messageOf, OnggiError } from "../base/error.ts";

const run = promisify(execFile);

/**
 * Copies a tree with all that belongs to it: owners, times, links, devices, holes, extended attributes. Blocks are shared where the file
 * system can.
 *
 * The copying is coreutils' `cp`, since Node knows neither extended attributes nor devices nor holes.
 *
 * @throws OnggiError `exhausted` when the file system is full
 */
export async function copyTree(from: string, to: string): Promise<void> {
  try {
    await run("cp", ["--archive", "--reflink=auto", "--sparse=auto", "--no-target-directory", "--", from, to]);
  } catch (cause) {
    const full = /No space left on device|Disk quota exceeded/.test(messageOf(cause));
    const hint = full
      ? "Free space on the file system of the data root; a driver that doesn't copy needs less: --storage-driver."
      : undefined;
    throw new OnggiError(full ? "exhausted" : "internal", `copying the tree ${from} failed`, { hint, cause });
  }
}
