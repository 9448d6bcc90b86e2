import { randomBytes } from "node:crypto";
import { OnggiError } from "../../base/error.ts";
import type { VolumesFace } from "../../engine/engine.ts";
import type { VolumeInfo, VolumeRequest, VolumeSnapshotInfo } from "../../engine/model.ts";

const createdAtMs = Date.UTC(2024, 0, 2, 3, 4, 5);

/** Volumes in memory. */
export class FakeVolumes implements VolumesFace {
  readonly all = new Map<string, VolumeInfo>();
  readonly #snapshots: VolumeSnapshotInfo[] = [];

  async create({ name, labels = {}, options = {} }: VolumeRequest): Promise<VolumeInfo> {
    const chosen = name || randomBytes(32).toString("hex");
    const anonymous = !name;
    const volume: VolumeInfo = this.all.get(chosen) ?? {
      name: chosen,
      mountpoint: `/var/lib/onggi/volumes/${chosen}/data`,
      createdAtMs,
      labels: anonymous ? { "com.docker.volume.anonymous": "", ...labels } : labels,
      options,
      anonymous,
      users: [],
    };
    this.all.set(chosen, volume);
    return volume;
  }

  get(name: string): VolumeInfo {
    const volume = this.all.get(name);
    if (volume === undefined) throw new OnggiError("not_found", `get ${name}: no such volume`);
    return volume;
  }

  list(): readonly VolumeInfo[] {
    return [...this.all.values()];
  }

  async remove(name: string, { force = false }: { readonly force?: boolean } = {}): Promise<void> {
    if (force && !this.all.has(name)) return;
    const { users } = this.get(name);
    if (users.length > 0) throw new OnggiError("in_use", `remove ${name}: volume is in use - [${users.join(", ")}]`);
    this.all.delete(name);
  }

  async prune(
    accept: (info: VolumeInfo) => boolean,
  ): Promise<{ readonly names: readonly string[]; readonly bytes: number }> {
    const names = this.list()
      .filter((volume) => volume.users.length === 0 && accept(volume))
      .map(({ name }) => name);
    for (const name of names) this.all.delete(name);
    return { names, bytes: names.length * 4096 };
  }

  async size(name: string): Promise<number> {
    this.get(name);
    return 4096;
  }

  async snapshot(name: string, snapshot = "1"): Promise<VolumeSnapshotInfo> {
    this.get(name);
    const made = { volume: name, name: snapshot, createdAtMs };
    this.#snapshots.push(made);
    return made;
  }

  snapshots(name: string): readonly VolumeSnapshotInfo[] {
    this.get(name);
    return this.#snapshots.filter(({ volume }) => volume === name);
  }

  async removeSnapshot(name: string, snapshot: string): Promise<void> {
    const at = this.#snapshots.findIndex((one) => one.volume === name && one.name === snapshot);
    if (at < 0) throw new OnggiError("not_found", `volume ${name} has no snapshot ${snapshot}`);
    this.#snapshots.splice(at, 1);
  }

  async rollback(name: string): Promise<void> {
    this.get(name);
  }

  async clone(name: string, clone: string): Promise<VolumeInfo> {
    const { labels, options } = this.get(name);
    return this.create({ name: clone, labels, options });
  }
}
