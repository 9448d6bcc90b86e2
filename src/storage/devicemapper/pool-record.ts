import { readFileSync } from "node:fs";
import { join } from "node:path";
import { writeJsonAtomic } from "../../base/atomic-file.ts";
import { isErrno } from "../../base/errno.ts";

/** What must be known when the pool is opened next. */
export interface PoolRecord {
  /** The pool's transaction id, one more each time it is opened: a pool and a record of different times are told apart. */
  readonly transaction: number;
  /** Devices with ids below this are written down, or deleted. */
  readonly settled: number;
  /** Ids from here on were never given to a device. */
  readonly reserved: number;
}

const recordName = "pool.json";

/** Undefined where no pool was opened yet. */
export function readPoolRecord(directory: string): PoolRecord | undefined {
  try {
    const { transaction, settled, reserved } = JSON.parse(readFileSync(join(directory, recordName), "utf8"));
    return { transaction: Number(transaction), settled: Number(settled), reserved: Number(reserved) };
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** It is on the disk when this resolves. */
export async function writePoolRecord(directory: string, record: PoolRecord): Promise<void> {
  await writeJsonAtomic(join(directory, recordName), record);
}
