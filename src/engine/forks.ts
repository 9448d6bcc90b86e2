import { randomBytes } from "node:crypto";
import { OnggiError } from "../base/error.ts";
import type { ContainerNames } from "./container-names.ts";
import type { ContainerRecord } from "./container-record.ts";
import type { Containers } from "./containers.ts";
import type { Events } from "./events.ts";
import { countOfForks, draftFork, forkNames } from "./fork-draft.ts";
import { type MachineIdParts, machineIdFiles, writeMachineId } from "./machine-id.ts";
import type { Rootfs } from "./rootfs.ts";
import type { Fork, ForkOptions } from "./snapshot-model.ts";
import { treeOf } from "./snapshot-record.ts";
import { type SnapshotTrees, treeName } from "./snapshot-trees.ts";
import type { Snapshots } from "./snapshots.ts";

export interface ForksParts {
  readonly machineId: MachineIdParts;
  readonly containers: Containers;
  readonly names: ContainerNames;
  readonly snapshots: Snapshots;
  readonly trees: SnapshotTrees;
  readonly rootfs: Rootfs;
  readonly events: Events;
}

/** What forks are made of. */
interface Source {
  readonly record: ContainerRecord;
  /** The committed tree that they stand on. */
  readonly base: string;
  /** Keeps it until they do. */
  letGo(): void;
}

/** Makes containers that go on from where another is, or was when a snapshot was taken. */
export class Forks {
  readonly #parts: ForksParts;

  constructor(parts: ForksParts) {
    this.#parts = parts;
  }

  /**
   * Makes and starts forks side by side, all or none.
   *
   * @param key - the container; undefined where a snapshot is named, whose container may be gone
   */
  async fork(key: string | undefined, options: ForkOptions = {}): Promise<readonly Fork[]> {
    const { names, events, snapshots } = this.#parts;
    const given = options.names ?? [];
    const count = countOfForks(options.count, given);
    const { record, base, letGo } = await this.#source(key, options.from);
    try {
      const files = await this.#machineIdFiles(base);
      const drafts = forkNames(record.name, count, given, (name) => names.isTaken(name)).map((name) =>
        draftFork(record, { name, base, env: options.env ?? [] }, names),
      );
      await this.#makeAll(drafts, files, options.start !== false);
      const attributes = { image: record.image.reference, forks: drafts.map(({ name }) => name).join(",") };
      events.emit("container", "fork", record.id, { name: record.name, ...attributes });
      return drafts.map((draft) => this.#result(draft, record));
    } finally {
      letGo();
      // Where nothing came to stand on it. What can't be removed now, the next start removes.
      await snapshots.collect().catch(() => {});
    }
  }

  async #source(key: string | undefined, from: string | undefined): Promise<Source> {
    const { names, snapshots, trees } = this.#parts;
    const container = key === undefined ? undefined : names.find(key);
    if (from !== undefined) {
      const snapshot = snapshots.find(from, container?.id);
      const base = treeOf(snapshot);
      const isOwn = container !== undefined && container.id === snapshot.container.id;
      return { record: isOwn ? container.record : snapshot.container, base, letGo: trees.hold(base) };
    }
    if (container === undefined)
      throw new OnggiError("invalid", "there is nothing to fork", { hint: "Name a container, or a snapshot." });
    const base = treeName("fork", randomBytes(16).toString("hex"));
    const letGo = trees.hold(base);
    try {
      return await container.changes.run(async () => {
        await snapshots.capture(container, base);
        return { record: container.record, base, letGo };
      });
    } catch (error) {
      letGo();
      throw error;
    }
  }

  #machineIdFiles(base: string): Promise<readonly string[]> {
    const { rootfs, machineId } = this.#parts;
    return rootfs.view(`machine-id-${randomBytes(8).toString("hex")}`, base, (view) => machineIdFiles(machineId, view));
  }

  /** If one fails, none is left. */
  async #makeAll(drafts: readonly ContainerRecord[], files: readonly string[], start: boolean): Promise<void> {
    const { names, containers } = this.#parts;
    const outcomes = await Promise.allSettled(drafts.map((draft) => this.#make(draft, files, start)));
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    if (failed === undefined) return;
    const made = drafts.filter(({ id }) => names.has(id));
    await Promise.allSettled(made.map(({ id }) => containers.remove(id, { force: true, volumes: true })));
    throw failed.reason;
  }

  async #make(draft: ContainerRecord, files: readonly string[], start: boolean): Promise<void> {
    const { containers, rootfs, machineId } = this.#parts;
    await containers.add(draft);
    if (files.length > 0) await writeMachineId(machineId, rootfs.mounts(draft.id), files);
    if (start) await containers.start(draft.id);
  }

  #result({ id, name }: ContainerRecord, source: ContainerRecord): Fork {
    const { names } = this.#parts;
    const launch = names.has(id) ? names.find(id).run?.launch : undefined;
    const movedPorts = (source.config.ports ?? [])
      .filter(({ hostPort }) => hostPort !== 0)
      .map(({ containerPort, protocol, hostPort: insteadOf }) => {
        const isSame = (port: { readonly containerPort: number; readonly protocol: string }) =>
          port.containerPort === containerPort && port.protocol === protocol;
        return { containerPort, protocol, insteadOf, hostPort: launch?.ports.find(isSame)?.hostPort ?? 0 };
      });
    return { id, name, address: launch?.address?.address ?? "", movedPorts };
  }
}
