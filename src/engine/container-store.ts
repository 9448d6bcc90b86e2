import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeJsonAtomic } from "../base/atomic-file.ts";
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

/**
 * The files of containers.
 *
 * `<root>/containers/<id>/` holds the record (synced) and the log; `<runRoot>/containers/<id>/` what a run needs, and the record
 * of a container that goes with its end (`--rm`): after a power cut nobody misses that.
 */
export class ContainerStore {
  readonly #root: string;
  readonly #runRoot: string;

  constructor(root: string, runRoot: string) {
    this.#root = join(root, "containers");
    this.#runRoot = join(runRoot, "containers");
    mkdirSync(this.#root, { recursive: true, mode: 0o710 });
    mkdirSync(this.#runRoot, { recursive: true, mode: 0o710 });
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

  async save(record: ContainerRecord): Promise<void> {
    if (record.config.autoRemove === true) this.#saveVolatile(record);
    else await writeJsonAtomic(this.#recordPath(record.id), record);
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
    for (const name of ["launch.json", "exit.json", "monitor.sock"])
      rmSync(join(this.runDirectory(id), name), { force: true });
  }

  remove(id: string): void {
    // The record first: without it the rest is an orphan that the next start sweeps.
    rmSync(this.#recordPath(id), { force: true });
    rmSync(this.runDirectory(id), { recursive: true, force: true });
    rmSync(this.directory(id), { recursive: true, force: true });
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
      else this.remove(id);
    }
    return { records, broken };
  }

  #recordPath(id: string): string {
    return join(this.directory(id), "container.json");
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
