import type { ContainerNames } from "./container-names.ts";
import type { ContainerRecord } from "./container-record.ts";
import type { VolumeMount } from "./model.ts";
import { volumesAmong } from "./volume-mounts.ts";

/** Which containers have which volumes. */
export class VolumeUsers {
  readonly #names: ContainerNames;
  /** Containers that are being made. */
  readonly #making = new Map<string, ContainerRecord>();
  /** What containers that run, are being started, or whose files are looked at, have mounted. */
  readonly #mounted = new Map<string, readonly VolumeMount[]>();

  constructor(names: ContainerNames) {
    this.#names = names;
  }

  /** Counts a container that is being made as one there is, until the function it returns is called. */
  hold(record: ContainerRecord): () => void {
    this.#making.set(record.id, record);
    return () => this.#making.delete(record.id);
  }

  /** Counts the containers that run; for an engine that found them so. */
  adoptRunning(): void {
    for (const { id, record, isRunning } of this.#names.all) {
      const mounts = volumesAmong(record.mounts);
      if (isRunning && mounts.length > 0) this.#mounted.set(id, mounts);
    }
  }

  mounted(id: string, mount: VolumeMount): void {
    this.#mounted.set(id, [...(this.#mounted.get(id) ?? []), mount]);
  }

  /** @returns what it had mounted */
  unmounted(id: string): readonly VolumeMount[] {
    const mounts = this.#mounted.get(id) ?? [];
    this.#mounted.delete(id);
    return mounts;
  }

  /** Ids of all that have it. */
  of(volume: string): readonly string[] {
    const records = [...[...this.#names.all].map(({ record }) => record), ...this.#making.values()];
    const users = records.filter(({ mounts }) => volumesAmong(mounts).some(({ name }) => name === volume));
    return [...new Set(users.map(({ id }) => id))];
  }

  /** Ids of those that have it mounted. */
  mounting(volume: string): readonly string[] {
    return this.#idsWith(({ name }) => name === volume);
  }

  /** Ids of those that may write to it now. */
  writing(volume: string): readonly string[] {
    return this.#idsWith(({ name, readonly }) => name === volume && !readonly);
  }

  #idsWith(accept: (mount: VolumeMount) => boolean): readonly string[] {
    return [...this.#mounted].filter(([, mounts]) => mounts.some(accept)).map(([id]) => id);
  }
}
