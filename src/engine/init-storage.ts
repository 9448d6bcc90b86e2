import { join } from "node:path";
import { OnggiError } from "../base/error.ts";
import { initPool } from "../storage/zfs/init-pool.ts";

/** What a driver is to be given before it can work. */
export interface InitStorageRequest {
  /** `zfs`, the only one that takes such a preparation. */
  readonly driver: string;
  /** Absolute path of a sparse file to make. */
  readonly file: string;
  readonly bytes: number;
  /** Of the pool. Default: `onggi`. */
  readonly name?: string;
}

export interface InitStorageResult {
  readonly driver: string;
  readonly pool: string;
  readonly file: string;
}

/**
 * Makes what a storage driver needs: the engine uses it when it is opened with that driver.
 *
 * @throws OnggiError `conflict` when something of it is there already: nothing is overwritten
 */
export async function initStorage(
  snapshotsRoot: string,
  { driver, file, bytes, name = "onggi" }: InitStorageRequest,
): Promise<InitStorageResult> {
  if (driver !== "zfs") {
    throw new OnggiError("invalid", `the storage driver "${driver}" takes no preparation`, {
      hint: "Only zfs does: onggi storage init zfs --file PATH --size 10G.",
    });
  }
  await initPool(join(snapshotsRoot, driver), { name, file, bytes });
  return { driver, pool: name, file };
}
