import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../base/error.ts";
import type { Executor } from "../executor/executor.ts";
import type { Mount } from "../program/mount.ts";
import type { HostFacts } from "../runtime/compile/host-facts.ts";
import { copyTree } from "../storage/copy-tree.ts";
import { syncFileSystem } from "../storage/file-system.ts";
import { treeUsage } from "../storage/tree-usage.ts";
import { copyFromImage, copyPlaces } from "./volume-copy.ts";
import { VolumeImages } from "./volume-images.ts";
import { isMounted, mountVolume, type Perform, unmountVolume } from "./volume-mounter.ts";
import { type VolumeMeans, volumeMeans } from "./volume-options.ts";
import type { VolumeRecord, VolumeStore } from "./volume-store.ts";

export interface ContentParts {
  readonly runRoot: string;
  readonly executor: Executor;
  readonly facts: HostFacts;
  readonly perform: Perform;
}

/** What volumes hold: where it lies, how it gets there, how it is replaced. Called with the volume locked. */
export class VolumeContent {
  readonly #parts: ContentParts;
  readonly #store: VolumeStore;
  readonly #images: VolumeImages;

  constructor(parts: ContentParts, store: VolumeStore) {
    const { perform, runRoot } = parts;
    this.#parts = parts;
    this.#store = store;
    this.#images = new VolumeImages({ directory: join(store.directory, ".sized"), trash: store.trash, perform });
    for (const path of Object.values(copyPlaces(runRoot))) mkdirSync(path, { recursive: true, mode: 0o700 });
  }

  /** The directory of the host that holds it. */
  data(record: VolumeRecord): string {
    return meansOf(record).kind === "sized" ? this.#images.data(record.name) : this.#store.data(record.name);
  }

  /** Makes the volume; resolves when it is safe. `fill` puts its first content there, and syncs it. */
  async make(record: VolumeRecord, fill: (data: string) => Promise<void> = async () => {}): Promise<void> {
    const means = meansOf(record);
    if (means.kind !== "sized") return this.#store.create(record, fill);
    const { kind: _, ...limit } = means;
    try {
      // The record comes last: a file system without one is swept at the next start.
      await this.#images.create(record.name, limit);
      await fill(this.data(record));
      await this.#store.create(record);
    } catch (error) {
      await this.#images.discard(record.name);
      throw error;
    }
  }

  async discard(record: VolumeRecord): Promise<void> {
    const { kind } = meansOf(record);
    if (kind === "mount") await unmountVolume(this.data(record), this.#parts.perform);
    await this.#store.remove(record.name);
    if (kind === "sized") await this.#images.discard(record.name);
  }

  /** Makes what is mounted from elsewhere be there. */
  async mount(record: VolumeRecord): Promise<void> {
    const means = meansOf(record);
    if (means.kind === "mount") await mountVolume(record.name, means, this.data(record), this.#parts.perform);
  }

  async unmount(record: VolumeRecord): Promise<void> {
    const data = this.data(record);
    if (meansOf(record).kind === "mount" && isMounted(data)) await unmountVolume(data, this.#parts.perform);
  }

  /** Bytes on the disk; what is mounted from elsewhere takes none here. */
  async size(record: VolumeRecord): Promise<number> {
    return isElsewhere(record) ? 0 : (await treeUsage(this.data(record))).bytes;
  }

  isEmpty(record: VolumeRecord): boolean {
    return readdirSync(this.data(record)).length === 0;
  }

  /**
   * Gives an empty volume what an image has at `path`. The copy is put together beside the volume and takes its place whole; on a file system
   * of its own it is made in place, with a mark in the record until it is done. No container may run with the volume: what that does to
   * the folder meanwhile could lead the copy astray.
   */
  async fillFromImage(record: VolumeRecord, image: readonly Mount[], path: string): Promise<void> {
    const copy = (to: string) => copyFromImage({ ...this.#parts, ...copyPlaces(this.#parts.runRoot) }, image, path, to);
    const { kind } = meansOf(record);
    if (kind === "directory") return this.#fillBeside(record, copy);
    const data = this.data(record);
    if (kind === "sized") await this.#store.save({ ...record, filling: {} });
    try {
      await copy(data);
      await syncFileSystem(data);
    } catch (error) {
      await this.#store.clear(data);
      throw error;
    } finally {
      if (kind === "sized") await this.#store.save(record);
    }
  }

  /** Copies what a volume holds, or held in a snapshot, to a directory and syncs it. `during` sees to it that nobody writes while it is copied. */
  async copy(
    from: string,
    to: string,
    during: (work: () => Promise<void>) => Promise<void> = (work) => work(),
  ): Promise<void> {
    await during(() => copyTree(from, to));
    await syncFileSystem(to);
  }

  /** Whether its content is replaced where it is, with a mark in the record meanwhile. */
  isFilledInPlace(record: VolumeRecord): boolean {
    return meansOf(record).kind === "sized";
  }

  /** Puts what lies in a snapshot in the place of what the volume holds. No container may run with it. */
  async rollback(record: VolumeRecord, snapshot: string): Promise<void> {
    const { name } = record;
    if (this.isFilledInPlace(record)) {
      await this.#store.save({ ...record, filling: { snapshot } });
      return this.#fillAgain(record, { snapshot });
    }
    const copy = this.#store.makeCopy(name);
    try {
      await this.copy(this.snapshotData(name, snapshot), copy);
      await this.#store.replaceData(name, copy);
    } finally {
      this.#store.discardCopy(copy);
    }
  }

  snapshotData(name: string, snapshot: string): string {
    return join(this.#store.snapshot(name, snapshot), "data");
  }

  /** Mounts what has a size, and does over what a crash cut off. @returns the records, without marks where that went well, and what is wrong */
  async restore(
    records: readonly VolumeRecord[],
  ): Promise<{ readonly records: readonly VolumeRecord[]; readonly problems: readonly string[] }> {
    const problems: string[] = [];
    const tell = (error: unknown) => void problems.push(messageOf(error));
    problems.push(...((await this.#images.restore(records.map(({ name }) => name)).catch(tell)) ?? []));
    const restored: VolumeRecord[] = [];
    for (const record of records) restored.push((await this.mend(record).catch(tell)) ?? record);
    return { records: restored, problems };
  }

  /** Does over what a crash cut off in a volume that is filled in place. @returns the record without the mark */
  async mend({ filling, ...record }: VolumeRecord): Promise<VolumeRecord> {
    if (filling !== undefined) await this.#fillAgain(record, filling);
    return record;
  }

  async close(): Promise<void> {
    await this.#images.close();
  }

  async #fillBeside(record: VolumeRecord, copy: (to: string) => Promise<boolean>): Promise<void> {
    const { name, goesWith } = record;
    // What a boot takes needn't reach the disk.
    const durable = goesWith === undefined;
    const place = this.#store.makeCopy(name);
    try {
      if (!(await copy(place))) return;
      if (durable && readdirSync(place).length > 0) await syncFileSystem(place);
      await this.#store.fillData(name, place, { durable });
    } finally {
      this.#store.discardCopy(place);
    }
  }

  async #fillAgain(record: VolumeRecord, { snapshot }: NonNullable<VolumeRecord["filling"]>): Promise<void> {
    const data = this.data(record);
    await this.#store.clear(data);
    if (snapshot !== undefined) await this.copy(this.snapshotData(record.name, snapshot), data);
    await this.#store.save(record);
  }
}

/** Whether its data isn't Onggi's. */
export function isElsewhere(record: VolumeRecord): boolean {
  return meansOf(record).kind === "mount";
}

function meansOf({ options }: VolumeRecord): VolumeMeans {
  return volumeMeans(options);
}
