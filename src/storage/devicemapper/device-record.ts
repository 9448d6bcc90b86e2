import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { writeJsonAtomic } from "../../base/atomic-file.ts";
import { isErrno } from "../../base/errno.ts";
import type { Usage } from "../snapshotter.ts";

/** The thin device of a tree, written down in the tree's folder before the device is made. */
export interface DeviceRecord {
  readonly device: number;
  /** Size of the device. */
  readonly bytes: number;
  /** What it had of its parent. */
  readonly inherited: Usage;
  readonly limited: boolean;
  /** What it held when it was frozen; undefined for one that is written to. */
  readonly frozen?: Usage;
}

const name = "device.json";

/** It is on the disk when this resolves. */
export async function writeDeviceRecord(folder: string, record: DeviceRecord): Promise<void> {
  await writeJsonAtomic(join(folder, name), record);
}

/** Undefined where there is none, or one that a crash has torn. */
export function readDeviceRecord(folder: string): DeviceRecord | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, name), "utf8")) as DeviceRecord;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR") || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** The device ids that the folders in some directories have. */
export function knownDevices(directories: readonly string[]): ReadonlySet<number> {
  const records = directories.flatMap((directory) =>
    namesIn(directory).map((entry) => readDeviceRecord(join(directory, entry))),
  );
  return new Set(records.flatMap((record) => (record === undefined ? [] : [record.device])));
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}
