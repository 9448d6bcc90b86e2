import { existsSync, watch } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { join } from "node:path";
import { isErrno } from "../base/errno.ts";
import {
  type Decoded,
  decodeFrames,
  decodeJsonLines,
  type LogFormat,
  type LogRecord,
  logFormat,
} from "./log-frames.ts";

/** Where a container's output is kept: `name`, and `name.1` (before) up to `name.(maxFiles-1)`. */
export interface LogPlace {
  readonly directory: string;
  readonly name: string;
  readonly format: LogFormat;
  readonly maxFiles: number;
}

const readBytes = 1024 * 1024;

/**
 * Reads what was kept, the oldest first, in batches of records.
 *
 * @param follow - asked at the end of what is there: `"wait"` resolves when there may be more, `"end"` ends
 */
export async function* readLog(
  place: LogPlace,
  follow: () => Promise<"more" | "end">,
): AsyncGenerator<readonly LogRecord[]> {
  const decode = place.format === logFormat.json ? decodeJsonLines : decodeFrames;
  let file = await openOldest(place);
  try {
    while (file === undefined) {
      if ((await follow()) === "end") return;
      file = await openOldest(place);
    }
    for (;;) {
      yield* readToEnd(file, decode);
      const next = await openNext(place, file);
      if (next !== undefined) {
        // The monitor may have written between our last read and its rename.
        yield* readToEnd(file, decode);
        await file.handle.close();
        file = next;
        continue;
      }
      const more = await follow();
      if (more === "end") {
        yield* readToEnd(file, decode);
        if ((await openNext(place, file).then(closeQuietly)) === "none") return;
      }
    }
  } finally {
    await file?.handle.close();
  }
}

async function closeQuietly(next: OpenLog | undefined): Promise<"none" | "some"> {
  await next?.handle.close();
  return next === undefined ? "none" : "some";
}

/**
 * Resolves when the directory changes or the promise given does; the watch starts at once, so nothing between is missed.
 * @returns a function to wait with, and one that ends the watch
 */
export function watchLog(place: LogPlace, onChange: () => void): () => void {
  if (!existsSync(place.directory)) return () => {};
  const watcher = watch(place.directory, onChange);
  // The directory goes with its container: that ends the watch, it isn't a failure.
  watcher.on("error", () => watcher.close());
  return () => watcher.close();
}

interface OpenLog {
  readonly handle: FileHandle;
  readonly inode: number;
  position: number;
  /** Bytes of a record that wasn't whole at the last read. */
  rest: Buffer;
}

async function* readToEnd(file: OpenLog, decode: (bytes: Buffer) => Decoded): AsyncGenerator<readonly LogRecord[]> {
  for (;;) {
    const buffer = Buffer.allocUnsafe(file.rest.length + readBytes);
    file.rest.copy(buffer);
    const { bytesRead } = await file.handle.read(buffer, file.rest.length, readBytes, file.position);
    if (bytesRead === 0) return;
    file.position += bytesRead;
    const bytes = buffer.subarray(0, file.rest.length + bytesRead);
    const { records, consumed } = decode(bytes);
    file.rest = bytes.subarray(consumed);
    if (records.length > 0) yield records;
  }
}

async function openOldest(place: LogPlace): Promise<OpenLog | undefined> {
  for (let index = place.maxFiles - 1; index >= 0; index--) {
    const file = await openLog(pathOf(place, index));
    if (file !== undefined) return file;
  }
  return undefined;
}

/** The file that follows `file`, which may have been renamed meanwhile; undefined while it is the current one. */
async function openNext(place: LogPlace, file: OpenLog): Promise<OpenLog | undefined> {
  for (let index = 0; index < place.maxFiles; index++) {
    if ((await inodeOf(pathOf(place, index))) !== file.inode) continue;
    if (index === 0) return undefined;
    return (await openLog(pathOf(place, index - 1))) ?? openNext(place, file);
  }
  return openOldest(place);
}

async function openLog(path: string): Promise<OpenLog | undefined> {
  try {
    const handle = await open(path, "r");
    return { handle, inode: (await handle.stat()).ino, position: 0, rest: Buffer.alloc(0) };
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

async function inodeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).ino;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

function pathOf(place: LogPlace, index: number): string {
  return join(place.directory, index === 0 ? place.name : `${place.name}.${index}`);
}
