import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { OnggiError } from "../../base/error.ts";
import { runTool } from "./device-file-system.ts";
import { parseSize } from "./sizes.ts";

/** What a pool lies on: the devices that were named, or loop devices of sparse files, made where they aren't there. */
export async function poolDevices(
  directory: string,
  options: Readonly<Record<string, string>>,
): Promise<{ readonly data: string; readonly metadata: string }> {
  const { "dm.datadev": data, "dm.metadatadev": metadata } = options;
  if (data !== undefined && metadata !== undefined) return { data, metadata };
  if (data !== undefined || metadata !== undefined) {
    throw new OnggiError("invalid", "dm.datadev and dm.metadatadev must both be given, or neither");
  }
  return {
    data: await loopDevice(join(directory, "data"), parseSize(options["dm.loopdatasize"] ?? "100G")),
    metadata: await loopDevice(join(directory, "metadata"), parseSize(options["dm.loopmetadatasize"] ?? "1G")),
  };
}

/** Lets go of the loop devices of the sparse files. */
export async function detachFiles(directory: string): Promise<void> {
  for (const file of ["data", "metadata"]) {
    for (const loop of await loopsOf(join(directory, file))) await runTool("losetup", "--detach", loop);
  }
}

/** The loop device of a sparse file, each made where it isn't there. */
async function loopDevice(file: string, bytes: number): Promise<string> {
  mkdirSync(join(file, ".."), { recursive: true, mode: 0o700 });
  if (!existsSync(file)) {
    const descriptor = openSync(file, "wx", 0o600);
    ftruncateSync(descriptor, bytes);
    closeSync(descriptor);
  }
  const [loop] = await loopsOf(file);
  return loop ?? (await runTool("losetup", "--find", "--show", file)).trim();
}

async function loopsOf(file: string): Promise<readonly string[]> {
  if (!existsSync(file)) return [];
  const lines = await runTool("losetup", "--noheadings", "--output", "NAME", "--associated", file);
  return lines
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/** Bytes of a block device. */
export async function sizeOf(device: string): Promise<number> {
  return Number(await runTool("blockdev", "--getsize64", device));
}
