import {
  closeSync,
  fsync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { sweepTemporaryFiles, temporaryPath, unlinkIfThere } from "../base/atomic-file.ts";
import type { StorageLimit } from "./storage-limit.ts";

const sync = promisify(fsync);

/** What is kept of one snapshot on disk, as `state/<id>.json`. */
export interface SnapshotRecord {
  /** The short hexadecimal name that the driver knows. */
  readonly id: string;
  readonly kind: "active" | "view" | "committed";
  /** Key or chainID. */
  readonly name: string;
  /** The parent's short name. */
  readonly parent: string | undefined;
  /** False: a power cut may take it. */
  readonly durable: boolean;
  /** What may be written to it at most. */
  readonly limit?: StorageLimit;
}

/** The folder of records: one small file a snapshot, so that a change writes only what changed. */
export class Records {
  readonly #directory: string;
  readonly #descriptor: number;

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#descriptor = openSync(directory, "r");
  }

  /** All records; a file that holds none is removed, since nothing was acknowledged for it, and told in `torn`. */
  async readAll(): Promise<{ readonly records: readonly SnapshotRecord[]; readonly torn: readonly string[] }> {
    await sweepTemporaryFiles(this.#directory);
    const records: SnapshotRecord[] = [];
    const torn: string[] = [];
    for (const file of readdirSync(this.#directory)) {
      const id = file.slice(0, -".json".length);
      const record = parseRecord(id, readFileSync(join(this.#directory, file), "utf8"));
      if (record !== undefined) records.push(record);
      else {
        rmSync(join(this.#directory, file));
        torn.push(id);
      }
    }
    return { records, torn };
  }

  /** Waits for the disk twice where the record is `synced`; all else is quicker done at once than in the thread pool. */
  async write({ id, ...rest }: SnapshotRecord, { synced }: { readonly synced: boolean }): Promise<void> {
    const path = this.#path(id);
    const temporary = synced ? temporaryPath(path) : path;
    const file = openSync(temporary, synced ? "wx" : "w", 0o600);
    try {
      writeFileSync(file, `${JSON.stringify(rest)}\n`);
      if (synced) await sync(file);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    } finally {
      closeSync(file);
    }
    if (!synced) return;
    renameSync(temporary, path);
    await sync(this.#descriptor);
  }

  /** Of those that are there now. */
  ids(): readonly string[] {
    return readdirSync(this.#directory).flatMap((file) => /^([0-9a-f]+)\.json$/.exec(file)?.[1] ?? []);
  }

  async remove({ id }: Pick<SnapshotRecord, "id">, { synced }: { readonly synced: boolean }): Promise<void> {
    unlinkIfThere(this.#path(id));
    if (synced) await sync(this.#descriptor);
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #path(id: string): string {
    return join(this.#directory, `${id}.json`);
  }
}

function parseRecord(id: string, text: string): SnapshotRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { kind, name, parent, durable, limit } = value as Partial<Record<keyof SnapshotRecord, unknown>>;
  if (kind !== "active" && kind !== "view" && kind !== "committed") return undefined;
  if (typeof name !== "string" || typeof durable !== "boolean") return undefined;
  if (parent !== undefined && typeof parent !== "string") return undefined;
  return { id, kind, name, parent, durable, ...parseLimit(limit) };
}

function parseLimit(value: unknown): { readonly limit?: StorageLimit } {
  if (typeof value !== "object" || value === null) return {};
  const { bytes, inodes } = value as Partial<Record<keyof StorageLimit, unknown>>;
  return {
    limit: {
      ...(typeof bytes === "number" ? { bytes } : {}),
      ...(typeof inodes === "number" ? { inodes } : {}),
    },
  };
}
