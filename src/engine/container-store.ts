import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { unlinkIfThere } from "../base/atomic-file.ts";
import { isErrno } from "../base/errno.ts";
import { Journal } from "../base/journal.ts";
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
  /** It stands still for a moment, until a snapshot of it is taken. */
  readonly still?: boolean;
  /** The teardown part of its program, for an engine that finds the monitor gone. */
  readonly teardown: readonly Op[];
}

const endDelayMs = 50;
const journalName = "journal";

/**
 * The files of containers.
 *
 * `<root>/containers/journal` holds all records, `<root>/containers/<id>/` the log; `<runRoot>/containers/<id>/` what a run needs, and the
 * record of a container that goes with its end (`--rm`): after a power cut nobody misses that.
 */
export class ContainerStore {
  readonly #root: string;
  readonly #runRoot: string;
  readonly #journal: Journal;
  /** The records as the journal had them when it was opened, until they are loaded. */
  #kept: ReadonlyMap<string, unknown>;
  readonly #damaged: number;
  /** Ends that are still to be written, by id. */
  readonly #ends = new Map<string, { readonly record: ContainerRecord; readonly timer: NodeJS.Timeout }>();

  constructor(root: string, runRoot: string) {
    this.#root = join(root, "containers");
    this.#runRoot = join(runRoot, "containers");
    mkdirSync(this.#root, { recursive: true, mode: 0o710 });
    mkdirSync(this.#runRoot, { recursive: true, mode: 0o710 });
    const { journal, values, damaged } = Journal.open(join(this.#root, journalName));
    this.#journal = journal;
    this.#kept = values;
    this.#damaged = damaged;
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
    await this.#journal.put(id, record);
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
    this.#journal.close();
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
    this.#writeLaunch(id, "launch.json", launch);
  }

  /** Of a run that goes on: an engine that is killed meanwhile leaves the one record or the other. */
  changeLaunch(id: string, launch: LaunchRecord): void {
    const temporary = "launch.json.next";
    this.#writeLaunch(id, temporary, launch);
    renameSync(join(this.runDirectory(id), temporary), join(this.runDirectory(id), "launch.json"));
  }

  #writeLaunch(id: string, name: string, launch: LaunchRecord): void {
    const json = { ...launch, teardown: opsToJson(launch.teardown) };
    writeFileSync(join(this.runDirectory(id), name), JSON.stringify(json), { mode: 0o600 });
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

  /** Resolves when a power cut can't bring it back. */
  async remove(id: string): Promise<void> {
    this.#cancelEnd(id);
    // Begun first, awaited last: the disk works meanwhile. A directory without a record is swept by the next start.
    const forgotten = this.#journal.remove(id);
    try {
      removeFlat(this.runDirectory(id));
      removeFlat(this.directory(id));
    } finally {
      await forgotten;
    }
  }

  /**
   * All records; directories without one are left-overs of a create or remove that was cut off, and go. Where the disk has damaged records,
   * those are told in `broken`, and no directory goes.
   */
  load(): { readonly records: readonly ContainerRecord[]; readonly broken: readonly string[] } {
    const records: ContainerRecord[] = [];
    const broken: string[] = [];
    if (this.#damaged > 0) {
      const lines = this.#damaged === 1 ? "1 line" : `${this.#damaged} lines`;
      broken.push(
        `${lines} of ${join(this.#root, journalName)} can't be read: containers may be unknown to this engine`,
      );
    }
    const ids = new Set([...this.#kept.keys(), ...readdirSync(this.#root), ...readdirSync(this.#runRoot)]);
    for (const id of ids) if (!isContainerId(id)) ids.delete(id);
    for (const id of ids) {
      const record = this.#kept.get(id) ?? readJson(join(this.runDirectory(id), "container.json"));
      if (isRecord(record, id)) {
        records.push(record);
        // A power cut may have taken it: only the record waits for the disk.
        mkdirSync(this.directory(id), { recursive: true, mode: 0o700 });
      } else if (this.#kept.has(id)) broken.push(`the record of container ${id} isn't one that this engine knows`);
      else if (this.#damaged === 0) {
        removeFlat(this.runDirectory(id));
        removeFlat(this.directory(id));
      }
    }
    this.#kept = new Map();
    return { records, broken };
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

/** The journal, its reserve and what it is written anew to lie beside the containers' directories. */
function isContainerId(name: string): boolean {
  return /^[0-9a-f]{64}$/.test(name);
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
