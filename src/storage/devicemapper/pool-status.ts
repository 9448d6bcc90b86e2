import { OnggiError } from "../../base/error.ts";

/** How full a pool is, in blocks, and whether it can be written to. */
export interface PoolStatus {
  readonly transaction: number;
  readonly metadata: { readonly used: number; readonly total: number };
  readonly data: { readonly used: number; readonly total: number };
  readonly mode: "rw" | "ro" | "out_of_data_space" | "Fail";
}

/** Reads the status line of the target `thin-pool`: Documentation/admin-guide/device-mapper/thin-provisioning.rst. */
export function parsePoolStatus(line: string): PoolStatus {
  const none = { used: 0, total: 0 };
  if (line.startsWith("Fail")) return { transaction: 0, metadata: none, data: none, mode: "Fail" };
  const match = /^(\d+) (\d+)\/(\d+) (\d+)\/(\d+) \S+ (rw|ro|out_of_data_space)\b/.exec(line);
  if (match === null) throw new OnggiError("corrupt", `the kernel says of the pool: ${line}`);
  const [transaction = 0, usedMetadata = 0, metadata = 0, usedData = 0, data = 0] = match.slice(1, 6).map(Number);
  return {
    transaction,
    metadata: { used: usedMetadata, total: metadata },
    data: { used: usedData, total: data },
    mode: match[6] as PoolStatus["mode"],
  };
}
