import { randomBytes } from "node:crypto";
import { unlinkSync } from "node:fs";
import { type FileHandle, open, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { isErrno } from "./errno.ts";
import { OnggiError } from "./error.ts";

const marker = ".tmp-";

/**
 * Writes a whole file so that whoever reads it, now or after a power cut at any point, finds the old content or the new.
 *
 * The content goes to a temporary file beside it, is synced, takes the file's name, and the folder is synced.
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array, mode = 0o600): Promise<void> {
  const temporary = temporaryPath(path);
  try {
    const file = await open(temporary, "wx", mode);
    await withFile(file, async () => {
      await file.writeFile(data);
      await file.sync();
    });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw diskError(error, path);
  }
  await syncDirectory(dirname(path));
}

/** A write's error, told as what a user can do something about where the disk is full. */
export function diskError(error: unknown, path: string): unknown {
  const code = (error as { code?: unknown } | undefined)?.code;
  if (code !== "ENOSPC" && code !== "EDQUOT") return error;
  return new OnggiError("exhausted", `no space left on device: ${path} can't be written`, {
    cause: error,
    hint: "Free some space on its file system, for example by removing images and containers, and try again.",
  });
}

/** {@link writeFileAtomic} of a value as JSON. */
export async function writeJsonAtomic(path: string, value: unknown, mode = 0o600): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`, mode);
}

/** A name beside `path` that {@link sweepTemporaryFiles} knows as left over. */
export function temporaryPath(path: string): string {
  return join(dirname(path), `${marker}${basename(path)}-${randomBytes(6).toString("hex")}`);
}

/** Makes names that were created, renamed or removed in a folder survive a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  await withFile(directory, () => directory.sync());
}

/** Removes what a crash left half-written in a folder; only for the folder's one owner, before it writes. */
export async function sweepTemporaryFiles(directory: string): Promise<readonly string[]> {
  const left = (await readdir(directory)).filter((name) => name.startsWith(marker));
  for (const name of left) await rm(join(directory, name), { force: true, recursive: true });
  return left;
}

async function withFile(file: FileHandle, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } finally {
    await file.close();
  }
}

/** unlink(2) at once; `rm` with `force` takes five times as long. */
export function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}
