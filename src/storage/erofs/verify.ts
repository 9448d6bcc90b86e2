import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { isErrno } from "../../base/errno.ts";
import { messageOf } from "../../base/error.ts";
import { layerFile, readLayer, readMerged } from "./layer-files.ts";

/** Reads all files of a frozen layer. @returns what is wrong with them, a sentence each */
export async function verifyLayer(folder: string): Promise<readonly string[]> {
  const problems: string[] = [];
  const check = async (file: string, sha256: string): Promise<void> => {
    const problem = await compare(join(folder, file), sha256);
    if (problem !== undefined) problems.push(problem);
  };
  try {
    const { image, devices } = readLayer(folder);
    await check(layerFile.image, image.sha256);
    for (const { file, sha256 } of devices) await check(file, sha256);
    const merged = readMerged(folder);
    if (merged !== undefined) await check(layerFile.merged, merged.image.sha256);
  } catch (error) {
    problems.push(messageOf(error));
  }
  return problems;
}

async function compare(path: string, sha256: string): Promise<string | undefined> {
  const hash = createHash("sha256");
  try {
    await pipeline(createReadStream(path), hash);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return `${path} is missing`;
    return `${path} can't be read: ${messageOf(error)}`;
  }
  const found = hash.digest("hex");
  return found === sha256 ? undefined : `${path} is damaged: its SHA-256 is ${found}, not ${sha256}`;
}
