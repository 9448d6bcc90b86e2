import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openExecutor } from "../../src/executor/spawner.ts";
import type { Op } from "../../src/program/op.ts";
import type { DriverTools } from "../../src/storage/snapshotter.ts";

const binary = join(import.meta.dirname, "../../build/onggi-exec");

/** What the engine hands to a storage driver, with an executor of its own. */
export interface StorageTools {
  /** @param options - as the daemon takes them, such as `dm.basesize` */
  with(options: Readonly<Record<string, string>>): DriverTools;
  close(): Promise<void>;
}

export async function openStorageTools(): Promise<StorageTools> {
  const sockets = mkdtempSync(join(tmpdir(), "onggi-tools-"));
  const executor = await openExecutor({ binary, socketDirectory: sockets });
  async function perform(ops: readonly Op[]) {
    const worker = await executor.work([]);
    try {
      return await worker.run(ops);
    } finally {
      await worker.close();
    }
  }
  return {
    with: (options) => ({ options, perform, work: (prelude) => executor.work(prelude) }),
    async close() {
      await executor.close();
      rmSync(sockets, { recursive: true, force: true });
    },
  };
}
