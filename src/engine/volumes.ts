import { randomBytes } from "node:crypto";
import { OnggiError } from "../base/error.ts";
import { Mutex } from "../base/mutex.ts";
import { baseOf, type ContainerRecord } from "./container-record.ts";
import type { VolumesFace } from "./engine.ts";
import type { Events } from "./events.ts";
import type { ContainerMount, VolumeInfo, VolumeMount, VolumeRequest, VolumeSnapshotInfo } from "./model.ts";
import type { Rootfs } from "./rootfs.ts";
import { type ContentParts, isElsewhere, VolumeContent } from "./volume-content.ts";
import { type FreezeParts, whileStill } from "./volume-freeze.ts";
import { volumesAmong } from "./volume-mounts.ts";
import { checkVolumeName, fitsOptions, volumeMeans } from "./volume-options.ts";
import { type VolumeRecord, VolumeStore } from "./volume-store.ts";
import { VolumeUsers } from "./volume-users.ts";

/** Docker marks anonymous volumes with it, and clients look for it. */
export const anonymousLabel = "com.docker.volume.anonymous";

export interface VolumesParts extends FreezeParts, ContentParts {
  readonly root: string;
  readonly rootfs: Rootfs;
  readonly events: Events;
}

/** The volumes of one data root. What is done to one volume is done one after the other. */
export class Volumes implements VolumesFace {
  readonly #parts: VolumesParts;
  readonly #store: VolumeStore;
  readonly #content: VolumeContent;
  readonly #records = new Map<string, VolumeRecord>();
  readonly #locks = new Map<string, Mutex>();
  readonly #users: VolumeUsers;
  /** What opening had to mend, a sentence each. */
  readonly repairs: string[] = [];

  private constructor(parts: VolumesParts) {
    this.#parts = parts;
    this.#users = new VolumeUsers(parts.names);
    this.#store = new VolumeStore(parts.root);
    this.#content = new VolumeContent(parts, this.#store);
  }

  /** Takes in the volumes there are; {@link restore} follows when the containers are known. */
  static async open(parts: VolumesParts): Promise<Volumes> {
    const volumes = new Volumes(parts);
    const { records, broken } = volumes.#store.load();
    const restored = await volumes.#content.restore(records);
    for (const record of restored.records) volumes.#records.set(record.name, record);
    for (const path of broken) volumes.repairs.push(`the record ${path} can't be read: its volume is left as it is`);
    volumes.repairs.push(...restored.problems);
    return volumes;
  }

  /** Learns which containers run, and removes and unmounts what nobody has. */
  async restore(): Promise<void> {
    const { names } = this.#parts;
    this.#users.adoptRunning();
    for (const record of [...this.#records.values()]) {
      const { name, goesWith } = record;
      const isLeft = goesWith !== undefined && !names.has(goesWith) && this.#users.of(name).length === 0;
      if (isLeft) await this.#lock(name, () => this.#discard(record));
      else if (isElsewhere(record)) await this.#unmountIfIdle(name);
    }
  }

  async create({ name = "", labels = {}, options = {} }: VolumeRequest): Promise<VolumeInfo> {
    const isAnonymous = name === "";
    const wanted = isAnonymous ? randomBytes(32).toString("hex") : name;
    checkVolumeName(wanted);
    volumeMeans(options);
    return this.#lock(wanted, async () => {
      const present = this.#records.get(wanted);
      if (present !== undefined && !fitsOptions(options, present.options))
        throw new OnggiError("conflict", `create ${wanted}: volume exists with other options`, {
          hint: `Choose another name, or remove it first: onggi volume rm ${wanted}`,
        });
      const record = present ?? (await this.#make({ name: wanted, labels, options, anonymous: isAnonymous }));
      return this.#info(record);
    });
  }

  get(name: string): VolumeInfo {
    return this.#info(this.#find(name));
  }

  list(): readonly VolumeInfo[] {
    return [...this.#records.values()].map((record) => this.#info(record)).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async remove(name: string, { force = false }: { readonly force?: boolean } = {}): Promise<void> {
    if (force && !this.#records.has(name)) return;
    this.#find(name);
    await this.#lock(name, async () => {
      const record = this.#find(name);
      const users = this.#users.of(name);
      if (users.length > 0)
        throw new OnggiError("in_use", `remove ${name}: volume is in use - [${users.join(", ")}]`, {
          hint: "Remove those containers first.",
        });
      await this.#discard(record);
    });
  }

  async prune(
    accept: (info: VolumeInfo) => boolean,
  ): Promise<{ readonly names: readonly string[]; readonly bytes: number }> {
    const names: string[] = [];
    let bytes = 0;
    for (const { name, users, ...rest } of this.list()) {
      if (users.length > 0 || !accept({ name, users, ...rest })) continue;
      await this.#lock(name, async () => {
        const record = this.#records.get(name);
        if (record === undefined || this.#users.of(name).length > 0) return;
        bytes += await this.size(name);
        await this.#discard(record);
        names.push(name);
      });
    }
    this.#parts.events.emit("volume", "prune", "", { reclaimed: String(bytes) });
    return { names, bytes };
  }

  async size(name: string): Promise<number> {
    return this.#content.size(this.#find(name));
  }

  async snapshot(name: string, snapshot?: string): Promise<VolumeSnapshotInfo> {
    this.#find(name);
    if (snapshot !== undefined) checkVolumeName(snapshot.padEnd(2, "_"));
    return this.#lock(name, async () => {
      const record = await this.#copyable(name);
      const taken = this.#store.snapshots(name).map((one) => one.name);
      const chosen = snapshot ?? freeNumber(taken);
      if (taken.includes(chosen))
        throw new OnggiError("conflict", `volume ${name} has a snapshot ${chosen} already`, {
          hint: `Choose another name, or remove it: onggi volume snapshot rm ${name} ${chosen}`,
        });
      const made = { format: 1, name: chosen, createdAtMs: Date.now() } as const;
      await this.#store.createSnapshot(name, made, (data) => this.#copyFrozen(record, data));
      return { volume: name, name: chosen, createdAtMs: made.createdAtMs };
    });
  }

  snapshots(name: string): readonly VolumeSnapshotInfo[] {
    this.#find(name);
    return this.#store
      .snapshots(name)
      .map((one) => ({ volume: name, name: one.name, createdAtMs: one.createdAtMs }))
      .sort((a, b) => a.createdAtMs - b.createdAtMs);
  }

  async removeSnapshot(name: string, snapshot: string): Promise<void> {
    this.#find(name);
    await this.#lock(name, async () => {
      this.#findSnapshot(name, snapshot);
      await this.#store.removeSnapshot(name, snapshot);
    });
  }

  async rollback(name: string, snapshot: string): Promise<void> {
    this.#find(name);
    await this.#lock(name, async () => {
      const record = await this.#copyable(name);
      this.#findSnapshot(name, snapshot);
      const running = this.#users.mounting(name);
      if (running.length > 0)
        throw new OnggiError("in_use", `volume ${name} is in use by running containers: ${running.join(", ")}`, {
          hint: "Stop them first: what a container has mounted can't be put back under it.",
        });
      // Until it is done, whoever is to use the volume does it over first.
      if (this.#content.isFilledInPlace(record)) this.#records.set(name, { ...record, filling: { snapshot } });
      await this.#content.rollback(record, snapshot);
      this.#records.set(name, record);
    });
  }

  async clone(name: string, clone: string, { from }: { readonly from?: string } = {}): Promise<VolumeInfo> {
    checkVolumeName(clone);
    this.#find(name);
    const refuse = () => {
      if (this.#records.has(clone)) throw new OnggiError("conflict", `create ${clone}: volume exists already`);
    };
    refuse();
    return this.#lock(clone, async () => {
      refuse();
      return this.#lock(name, async () => {
        const source = await this.#copyable(name);
        const { labels, options } = source;
        const fill =
          from === undefined
            ? (data: string) => this.#copyFrozen(source, data)
            : (data: string) => this.#content.copy(this.#content.snapshotData(name, from), data);
        if (from !== undefined) this.#findSnapshot(name, from);
        return this.#info(await this.#make({ name: clone, labels, options, anonymous: false }, fill));
      });
    });
  }

  /** Counts a container that is being made among the users of its volumes, until the function it returns is called. */
  hold(record: ContainerRecord): () => void {
    return this.#users.hold(record);
  }

  /** Makes the volumes that a new container names and that aren't there, and fills those that are empty with what its image has. */
  async prepare(record: ContainerRecord): Promise<void> {
    for (const mount of volumesAmong(record.mounts)) {
      await this.#lock(mount.name, async () => {
        const volume = await this.#ensure(record, mount);
        if (!isElsewhere(volume)) await this.#populate(volume, mount, record);
      });
    }
  }

  /** Sees to it that a container's volumes are there, before it starts. {@link release} takes that back. */
  async acquire(record: ContainerRecord): Promise<void> {
    for (const mount of volumesAmong(record.mounts)) {
      await this.#lock(mount.name, async () => {
        const volume = await this.#ensure(record, mount);
        await this.#content.mount(volume);
        this.#users.mounted(record.id, mount);
        if (record.last.startedAtMs === 0) await this.#populate(volume, mount, record);
      });
      this.#parts.events.emit("volume", "mount", mount.name, {
        container: record.id,
        destination: mount.target,
        driver: "local",
        propagation: "",
        "read/write": String(!mount.readonly),
      });
    }
  }

  /** A container runs no more. */
  release(id: string): void {
    for (const { name } of this.#users.unmounted(id)) {
      this.#parts.events.emit("volume", "unmount", name, { container: id, driver: "local" });
      const record = this.#records.get(name);
      if (record !== undefined && isElsewhere(record)) void this.#unmountIfIdle(name).catch(() => {});
    }
  }

  /** Removes the anonymous volumes of a container that goes, unless another has them. */
  async discardAnonymous(record: ContainerRecord): Promise<void> {
    for (const { name, anonymous } of volumesAmong(record.mounts)) {
      if (anonymous !== true) continue;
      await this.#lock(name, async () => {
        const volume = this.#records.get(name);
        if (volume?.anonymous !== true || this.#users.of(name).some((id) => id !== record.id)) return;
        await this.#discard(volume);
      });
    }
  }

  /** A container's mounts, with the places of its volumes. */
  mountsOf({ mounts, config }: ContainerRecord): readonly ContainerMount[] {
    return (mounts ?? config.mounts ?? []).map((mount) =>
      mount.kind === "volume" ? { ...mount, source: this.#source(mount.name) } : mount,
    );
  }

  has(name: string): boolean {
    return this.#records.has(name);
  }

  async close(): Promise<void> {
    await this.#store.close();
    await this.#content.close();
  }

  #source(name: string): string {
    const record = this.#records.get(name);
    return record === undefined ? this.#store.data(name) : this.#content.data(record);
  }

  #find(name: string): VolumeRecord {
    const record = this.#records.get(name);
    if (record === undefined)
      throw new OnggiError("not_found", `get ${name}: no such volume`, {
        hint: "onggi volume ls lists all there are.",
      });
    return record;
  }

  #info(record: VolumeRecord): VolumeInfo {
    const { name, createdAtMs, options, anonymous } = record;
    const labels = anonymous ? { [anonymousLabel]: "", ...record.labels } : record.labels;
    const users = this.#users.of(name);
    return { name, mountpoint: this.#content.data(record), createdAtMs, labels, options, anonymous, users };
  }

  async #lock<T>(name: string, work: () => Promise<T>): Promise<T> {
    const lock = this.#locks.get(name) ?? new Mutex();
    this.#locks.set(name, lock);
    try {
      return await lock.run(work);
    } finally {
      if (!lock.isBusy) this.#locks.delete(name);
    }
  }

  async #ensure(container: ContainerRecord, mount: VolumeMount): Promise<VolumeRecord> {
    const present = this.#records.get(mount.name);
    const { name, labels = {}, options = {}, anonymous = false } = mount;
    if (present !== undefined) {
      if (fitsOptions(options, present.options)) return this.#whole(present);
      throw new OnggiError("conflict", `create ${name}: volume exists with other options`);
    }
    const goesWith = anonymous && container.config.autoRemove === true ? { goesWith: container.id } : {};
    return this.#make({ name, labels, options, anonymous, ...goesWith });
  }

  /** A volume whose filling a crash cut off, and which opening couldn't fill, is filled before it is used. */
  async #whole(record: VolumeRecord): Promise<VolumeRecord> {
    if (record.filling === undefined) return record;
    const whole = await this.#content.mend(record);
    this.#records.set(whole.name, whole);
    return whole;
  }

  /** Makes a volume under its lock. */
  async #make(
    wanted: Omit<VolumeRecord, "format" | "createdAtMs">,
    fill?: (data: string) => Promise<void>,
  ): Promise<VolumeRecord> {
    const record: VolumeRecord = { format: 1, createdAtMs: Date.now(), ...wanted };
    const { name } = record;
    await this.#content.make(record, fill);
    this.#records.set(name, record);
    this.#parts.events.emit("volume", "create", name, { driver: "local" });
    return record;
  }

  async #discard(record: VolumeRecord): Promise<void> {
    const { name } = record;
    await this.#content.discard(record);
    this.#records.delete(name);
    this.#parts.events.emit("volume", "destroy", name, { driver: "local" });
  }

  /** Gives an empty volume what the image has at its path, unless another container runs with it. */
  async #populate(volume: VolumeRecord, mount: VolumeMount, container: ContainerRecord): Promise<void> {
    const base = baseOf(container);
    if (!mount.copy || mount.subpath !== undefined || base === undefined) return;
    if (this.#users.mounting(volume.name).some((id) => id !== container.id) || !this.#content.isEmpty(volume)) return;
    await this.#parts.rootfs.view(`volume-${container.id}`, base, (image) =>
      this.#content.fillFromImage(volume, image, mount.target),
    );
  }

  async #copyFrozen(record: VolumeRecord, to: string): Promise<void> {
    const writers = () => this.#users.writing(record.name);
    await this.#content.copy(this.#content.data(record), to, (work) => whileStill(this.#parts, writers, work));
  }

  async #copyable(name: string): Promise<VolumeRecord> {
    const record = this.#find(name);
    if (!isElsewhere(record)) return this.#whole(record);
    throw new OnggiError("unsupported", `volume ${name} is mounted from elsewhere (${record.options.type})`, {
      hint: "Snapshots and clones are of volumes whose data lies in Onggi's data root.",
    });
  }

  #findSnapshot(name: string, snapshot: string): void {
    if (this.#store.snapshots(name).some((one) => one.name === snapshot)) return;
    throw new OnggiError("not_found", `volume ${name} has no snapshot ${snapshot}`, {
      hint: `onggi volume snapshot ls ${name} lists all there are.`,
    });
  }

  async #unmountIfIdle(name: string): Promise<void> {
    await this.#lock(name, async () => {
      const record = this.#records.get(name);
      if (record === undefined || this.#users.mounting(name).length > 0) return;
      await this.#content.unmount(record);
    });
  }
}

/** `1`, `2`, …: the first that is free. */
function freeNumber(taken: readonly string[]): string {
  let number = taken.length + 1;
  while (taken.includes(String(number))) number++;
  return String(number);
}
