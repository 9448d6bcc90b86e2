import { createWriteStream, renameSync, rmSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { messageOf, OnggiError } from "../base/error.ts";

/** Writes a stream to a file, which appears when it is whole, and not at all when the stream breaks off. */
export async function writeWhole(stream: NodeJS.ReadableStream, path: string): Promise<void> {
  const partial = `${path}.${process.pid}.partial`;
  try {
    await pipeline(stream, createWriteStream(partial, { mode: 0o600 }));
    renameSync(partial, path);
  } catch (cause) {
    rmSync(partial, { force: true });
    throw new OnggiError("unavailable", `can't save to ${path}: ${messageOf(cause)}`, { cause });
  }
}
