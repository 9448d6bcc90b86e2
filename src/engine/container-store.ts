import {
  closeSync,
  existsSync,
  fsync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { unlinkIfThere, writeJsonAtomic } from "../base/atomic-file.ts";
import { isErrno } from "../base/errno.ts";
import type { Op } from "../program/op.ts";
import { opsFromJson, opsToJson } from "../program/op-json.ts";
import type { ContainerRecord } from "./container-record.ts";
import type { ContainerAddress, PortMapping } from "./model.ts";

/** What is known of a container's present run: the content of `launch.json` in its run directory. */
export interface LaunchRecord {
  readonly startedAtMs: number;
  readonly address: ContainerAddress | undefined;
  readonly ports: readonly PortMapping[];
  readonly paused: boolean;
  /** The teardown part of its program, for an engine that finds the monitor gone. */
  readonly teardown: readonly Op[];
}

const sync = promisify(fsync);
const endDelayMs = 50;

/**
 * The files of containers.
 *
 * `<root>/containers/<id>/` holds the record (synced) and the log; `<runRoot>/containers/<id>/` what a run needs, and the record
 * of a container that goes with its end (`--rm`): after a power cut nobody misses that.
 */
export class ContainerStore {
  readonly #root: string;
  readonly #runRoot: string;
  readonly #rootDescriptor: number;
  /** Ends that are still to be written, by id. */
  readonly #ends = new Map<string, { readonly record: ContainerRecord; readonly timer: NodeJS.Timeout }>();
  /** The last write of each container that has one under way. */
  readonly #writes = new Map<string, Promise<void>>();

  constructor(root: string, runRoot: string) {
    this.#root = join(root, "containers");
    this.#runRoot = join(runRoot, "containers");
    mkdirSync(this.#root, { recursive: true, mode: 0o710 });
    mkdirSync(this.#runRoot, { recursive: true, mode: 0o710 });
    this.#rootDescriptor = openSync(this.#root, "r");
  }

  /** Where the log lies. */
  directory(id: string): string {
    return join(this.#root, id);
  }

  runDirectory(id: string): string {
    return join(this.#runRoot, id);
  }

  /** Makes both directories. */
  create(id: string): void {
    mkdirSync(this.directory(id), { mode: 0o700 });
    mkdirSync(this.runDirectory(id), { mode: 0o700 });
  }

  /** Writes a record; resolves when it is safe. */
  async save(record: ContainerRecord): Promise<void> {
    const { id } = record;
    const hasEnded = this.#cancelEnd(id);
    if (record.config.autoRemove === true) return this.#saveVolatile(record);
    // One after the other, so that an older record never replaces a newer one.
    const before = this.#writes.get(id) ?? Promise.resolve();
    const write = before.catch(() => {}).then(() => writeJsonAtomic(this.#recordPath(id), record));
    this.#writes.set(id, write);
    try {
      await write;
    } finally {
      if (this.#writes.get(id) === write) this.#writes.delete(id);
    }
    if (hasEnded) this.clearLaunch(id);
  }

  /**
   * Writes the record of a container that has ended, a moment later: until then the monitor's own record of the exit stays in
   * the run directory. A container that is removed at once, as most that end are, never waits for the disk.
   */
  saveEnd(record: ContainerRecord): void {
    const { id } = record;
    this.#cancelEnd(id);
    const timer = setTimeout(() => void this.flushEnd(id).catch(() => {}), endDelayMs);
    this.#ends.set(id, { record, timer });
  }

  /** Writes the end of a container now, if it is still to be written. */
  async flushEnd(id: string): Promise<void> {
    const end = this.#ends.get(id);
    if (end === undefined) return;
    await this.save(end.record);
  }

  /** Writes all that is still to be written. */
  async close(): Promise<void> {
    await Promise.all([...this.#ends.keys()].map((id) => this.flushEnd(id)));
    closeSync(this.#rootDescriptor);
  }

  #cancelEnd(id: string): boolean {
    clearTimeout(this.#ends.get(id)?.timer);
    return this.#ends.delete(id);
  }

  #saveVolatile(record: ContainerRecord): void {
    writeFileSync(join(this.runDirectory(record.id), "container.json"), JSON.stringify(record), { mode: 0o600 });
  }

  saveLaunch(id: string, launch: LaunchRecord): void {
    // The run directory is gone after a boot of a host without tmpfs there, or with one.
    mkdirSync(this.runDirectory(id), { recursive: true, mode: 0o700 });
    const json = { ...launch, teardown: opsToJson(launch.teardown) };
    writeFileSync(join(this.runDirectory(id), "launch.json"), JSON.stringify(json), { mode: 0o600 });
  }

  loadLaunch(id: string): LaunchRecord | undefined {
    const json = readJson(join(this.runDirectory(id), "launch.json")) as
      | (LaunchRecord & { teardown: unknown })
      | undefined;
    return json === undefined ? undefined : { ...json, teardown: opsFromJson(json.teardown) };
  }

  /** Forgets the present run; the record stays. */
  clearLaunch(id: string): void {
    for (const name of ["launch.json", "exit.json", "monitor.sock"]) unlinkIfThere(join(this.runDirectory(id), name));
  }

  /** `volatile`: nobody minds if a power cut brings it back. */
  async remove(id: string, { volatile = false }: { readonly volatile?: boolean } = {}): Promise<void> {
    this.#cancelEnd(id);
    await this.#writes.get(id)?.catch(() => {});
    // The record first: without it the rest is an orphan that the next start sweeps.
    unlinkIfThere(this.#recordPath(id));
    removeFlat(this.runDirectory(id));
    removeFlat(this.directory(id));
    if (!volatile) await sync(this.#rootDescriptor);
  }

  /**
   * All records; directories without one are left-overs of a create or remove that was cut off, and go.
   * A synced record that can't be read is left as it is and named in `broken`.
   */
  load(): { readonly records: readonly ContainerRecord[]; readonly broken: readonly string[] } {
    const ids = new Set([...readdirSync(this.#root), ...readdirSync(this.#runRoot)]);
    const records: ContainerRecord[] = [];
    const broken: string[] = [];
    for (const id of ids) {
      const path = this.#recordPath(id);
      const record = readJson(path) ?? readJson(join(this.runDirectory(id), "container.json"));
      if (isRecord(record, id)) records.push(record);
      else if (existsSync(path)) broken.push(path);
      else {
        removeFlat(this.runDirectory(id));
        removeFlat(this.directory(id));
      }
    }
    return { records, broken };
  }

  #recordPath(id: string): string {
    return join(this.directory(id), "container.json");
  }
}

/** Removes a directory of plain files; `rm` with `recursive` takes five times as long. */
function removeFlat(directory: string): void {
  try {
    for (const name of readdirSync(directory)) unlinkSync(join(directory, name));
    rmdirSync(directory);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return;
    rmSync(directory, { recursive: true, force: true });
  }
}

function isRecord(value: unknown, id: string): value is ContainerRecord {
  return (
    typeof value === "object" &&
    value !== null &&
    "format" in value &&
    value.format === 1 &&
    "id" in value &&
    value.id === id
  );
}

/** Undefined where there is no file, or none that was written whole. */
function readJson(path: string): unknown {
  if (!existsSync(path)) return undefined;
  try {
    return JSON.parse(readFileSync(path, "utf8")) as unknown;
  } catch {
    return undefined;
  }
}
