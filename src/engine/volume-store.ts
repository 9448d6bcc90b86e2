import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { syncDirectory, writeJsonAtomic } from "../base/atomic-file.ts";
import { isErrno } from "../base/errno.ts";
import { Trash } from "../storage/trash.ts";

/** What is kept of a volume: the content of its `volume.json`. */
export interface VolumeRecord {
  readonly format: 1;
  readonly name: string;
  readonly createdAtMs: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  readonly anonymous: boolean;
  /** The container with `--rm` that it was made for: a boot takes the container, and the next start of the engine this. */
  readonly goesWith?: string;
  /** Its data is being replaced in place: by the image's, or by this snapshot's. A start after a crash does it over. */
  readonly filling?: { readonly snapshot?: string };
}

/** What is kept of a volume's snapshot: the content of its `snapshot.json`. */
export interface VolumeSnapshotRecord {
  readonly format: 1;
  readonly name: string;
  readonly createdAtMs: number;
}

const beginning = ".new-";
const copyBeginning = "copy-";

/**
 * The files of volumes.
 *
 * ```
 * volumes/<name>/volume.json           the record
 * volumes/<name>/data/                 what containers see
 * volumes/<name>/copy-…/               what it may be, while that is being copied
 * volumes/<name>/fill/                 what it will be: whole, in a moment in the place of data/
 * volumes/<name>/snapshots/<name>/     snapshot.json and data/
 * volumes/.new-…-<name>/               one that is being made
 * volumes/.trash/                      what is being deleted
 * ```
 *
 * All come into being under a name that nothing had before, are synced and renamed, and vanish by a rename: what has its own name is whole,
 * and a copying process that outlived its engine finds its place gone.
 */
export class VolumeStore {
  readonly directory: string;
  readonly trash: Trash;

  constructor(root: string) {
    this.directory = join(root, "volumes");
    mkdirSync(this.directory, { recursive: true, mode: 0o711 });
    this.trash = new Trash(join(this.directory, ".trash"));
  }

  place(name: string): string {
    return join(this.directory, name);
  }

  data(name: string): string {
    return join(this.directory, name, "data");
  }

  /** An empty directory in which data is put together that shall take the place of the volume's. */
  makeCopy(name: string): string {
    const path = join(this.place(name), `${copyBeginning}${randomBytes(6).toString("hex")}`);
    mkdirSync(path, { mode: 0o755 });
    return path;
  }

  snapshot(name: string, snapshot: string): string {
    return join(this.directory, name, "snapshots", snapshot);
  }

  /**
   * Makes a volume; resolves when it is safe.
   *
   * @param fill - puts its first content into the directory it is given, and syncs it
   */
  async create(record: VolumeRecord, fill: (data: string) => Promise<void> = async () => {}): Promise<void> {
    const making = join(this.directory, newName(record.name));
    try {
      mkdirSync(making, { mode: 0o711 });
      mkdirSync(join(making, "data"), { mode: 0o755 });
      await fill(join(making, "data"));
      await writeJsonAtomic(join(making, "volume.json"), record);
      renameSync(making, this.place(record.name));
    } catch (error) {
      this.#discard(making);
      throw error;
    }
    await syncDirectory(this.directory);
  }

  async save(record: VolumeRecord): Promise<void> {
    await writeJsonAtomic(join(this.place(record.name), "volume.json"), record);
  }

  /** The volume is gone when this resolves; its files are deleted later. */
  async remove(name: string): Promise<void> {
    this.#discard(this.place(name));
    await syncDirectory(this.directory);
  }

  /** Like {@link create}, for a snapshot. */
  async createSnapshot(
    volume: string,
    record: VolumeSnapshotRecord,
    fill: (data: string) => Promise<void>,
  ): Promise<void> {
    const directory = join(this.place(volume), "snapshots");
    const making = join(directory, newName(record.name));
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    try {
      mkdirSync(join(making, "data"), { recursive: true, mode: 0o755 });
      await fill(join(making, "data"));
      await writeJsonAtomic(join(making, "snapshot.json"), record);
      renameSync(making, this.snapshot(volume, record.name));
    } catch (error) {
      this.#discard(making);
      throw error;
    }
    await syncDirectory(directory);
  }

  async removeSnapshot(volume: string, snapshot: string): Promise<void> {
    this.#discard(this.snapshot(volume, snapshot));
    await syncDirectory(join(this.place(volume), "snapshots"));
  }

  snapshots(volume: string): readonly VolumeSnapshotRecord[] {
    const directory = join(this.place(volume), "snapshots");
    return namesIn(directory).flatMap((name) => {
      const record = readJson(join(directory, name, "snapshot.json")) as VolumeSnapshotRecord | undefined;
      return name.startsWith(".") || record === undefined ? [] : [record];
    });
  }

  /** Puts a copy that is whole and on the disk in the place of a volume's data. */
  async replaceData(name: string, copy: string): Promise<void> {
    renameSync(copy, this.#fill(name));
    await syncDirectory(this.place(name));
    this.#discard(this.data(name));
    renameSync(this.#fill(name), this.data(name));
    await syncDirectory(this.place(name));
  }

  /** Puts it there only if the data is an empty directory. @returns whether it was */
  async fillData(name: string, copy: string, { durable }: { readonly durable: boolean }): Promise<boolean> {
    try {
      renameSync(copy, this.data(name));
    } catch (error) {
      if (isErrno(error, "ENOTEMPTY")) return false;
      throw error;
    }
    if (durable) await syncDirectory(this.place(name));
    return true;
  }

  /** Deletes all that a directory holds. */
  async clear(directory: string): Promise<void> {
    // On a file system of its own nothing can be renamed out of it.
    for (const name of namesIn(directory)) await rm(join(directory, name), { recursive: true, force: true });
  }

  discardCopy(copy: string): void {
    this.#discard(copy);
  }

  /** All records; what a create, copy or removal that was cut off left behind goes. One that can't be read stays, named in `broken`. */
  load(): { readonly records: readonly VolumeRecord[]; readonly broken: readonly string[] } {
    const records: VolumeRecord[] = [];
    const broken: string[] = [];
    for (const name of namesIn(this.directory)) {
      if (name.startsWith(beginning)) this.#discard(join(this.directory, name));
      if (name.startsWith(".")) continue;
      const path = join(this.place(name), "volume.json");
      const record = readJson(path) as VolumeRecord | undefined;
      if (record?.name !== name || record.format !== 1) {
        broken.push(path);
        continue;
      }
      this.#mend(name);
      records.push(record);
    }
    return { records, broken };
  }

  /** Deletes what lies in the trash, for a while. */
  async close(): Promise<void> {
    await this.trash.close(2000);
  }

  #mend(name: string): void {
    const snapshots = join(this.place(name), "snapshots");
    for (const one of namesIn(snapshots)) if (one.startsWith(beginning)) this.#discard(join(snapshots, one));
    for (const one of namesIn(this.place(name)))
      if (one.startsWith(copyBeginning)) this.#discard(join(this.place(name), one));
    // What has this name is whole: it was about to become the data.
    const fill = this.#fill(name);
    if (!existsSync(fill)) return;
    this.#discard(this.data(name));
    renameSync(fill, this.data(name));
  }

  #fill(name: string): string {
    return join(this.place(name), "fill");
  }

  #discard(path: string): void {
    if (!existsSync(path)) return;
    renameSync(path, this.trash.name("volume"));
    this.trash.added();
  }
}

function newName(name: string): string {
  return `${beginning}${randomBytes(6).toString("hex")}-${name}`;
}

function namesIn(directory: string): readonly string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}

/** Undefined where there is no file, or none that was written whole. */
function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as unknown;
  } catch {
    return undefined;
  }
}
