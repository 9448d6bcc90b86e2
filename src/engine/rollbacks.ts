import { messageOf, OnggiError } from "../base/error.ts";
import type { BridgeNetwork } from "../network/network.ts";
import type { Container } from "./container.ts";
import type { ContainerNames } from "./container-names.ts";
import type { ContainerRecord, RootSwap } from "./container-record.ts";
import type { ContainerStore } from "./container-store.ts";
import type { Containers } from "./containers.ts";
import type { Events } from "./events.ts";
import type { Rootfs } from "./rootfs.ts";
import type { ContainerSnapshot, Rollback, RollbackOptions } from "./snapshot-model.ts";
import { nameOfTime, type SnapshotRecord, treeOf } from "./snapshot-record.ts";
import type { SnapshotTrees } from "./snapshot-trees.ts";
import type { Snapshots } from "./snapshots.ts";

export interface RollbacksParts {
  readonly containers: Pick<Containers, "start" | "stop">;
  readonly names: ContainerNames;
  readonly snapshots: Pick<Snapshots, "find" | "collect" | "isTaken" | "newId" | "keep">;
  readonly trees: SnapshotTrees;
  readonly rootfs: Rootfs;
  readonly store: Pick<ContainerStore, "save" | "flushEnd" | "clearLaunch">;
  readonly network: Pick<BridgeNetwork, "hold">;
  readonly events: Events;
}

/** What a start found of rollbacks that were cut off. */
export interface RecoveredRollbacks {
  readonly records: readonly ContainerRecord[];
  /** Ids of those that ran before and are to run again. */
  readonly runs: ReadonlySet<string>;
  readonly repairs: readonly string[];
}

/**
 * Puts containers back to what a snapshot holds, in place.
 *
 * What is intended is in the container's record first (`swap`). Then its tree is frozen as the snapshot of before, which is the one step that
 * decides: an engine that finds that frozen tree goes on to the new state, and one that doesn't has the old state, whole.
 */
export class Rollbacks {
  readonly #parts: RollbacksParts;

  constructor(parts: RollbacksParts) {
    this.#parts = parts;
  }

  async rollback(key: string, snapshotKey: string, options: RollbackOptions = {}): Promise<Rollback> {
    const { names, snapshots, trees, network, containers } = this.#parts;
    const container = names.find(key);
    const target = snapshots.find(snapshotKey, container.id);
    checkImage(container.record, target);
    const letGo = trees.hold(treeOf(target));
    try {
      const runs = container.isRunning || container.phase === "restarting";
      const freeAddress = network.hold(container.id);
      try {
        const before = await container.changes.run(() => this.#exchange(container, target, runs, options));
        if (runs) {
          await options.beforeStart?.();
          await containers.start(container.id);
          await this.#hasResumed(container);
        }
        this.#tell(container, target, before);
        return { before, restarted: runs };
      } finally {
        freeAddress();
      }
    } finally {
      letGo();
      // What can't be removed now, the next start removes.
      await snapshots.collect().catch(() => {});
    }
  }

  /** Before containers are taken in: brings each to the old state or the new. */
  async recover(records: readonly ContainerRecord[]): Promise<RecoveredRollbacks> {
    const repairs: string[] = [];
    const runs = new Set<string>();
    const recovered: ContainerRecord[] = [];
    for (const record of records) {
      const { swap } = record;
      if (swap === undefined) {
        recovered.push(record);
        if (record.resumes === true) runs.add(record.id);
        continue;
      }
      try {
        const isFrozen = this.#parts.trees.has(treeOf(swap.before));
        const { record: next } = isFrozen ? await this.#finish(record, swap) : await this.#giveUp(record);
        recovered.push(next);
        if (swap.runs) runs.add(record.id);
        const what = isFrozen ? "finished" : "took back";
        repairs.push(`${what} the rollback of container ${record.name}, which was cut off`);
      } catch (error) {
        recovered.push(record);
        repairs.push(`the rollback of container ${record.name} can't be finished: ${messageOf(error)}`);
      }
    }
    return { records: recovered, runs, repairs };
  }

  /** Once containers are taken in: those that ran before their rollback was cut off run again. */
  async resume({ runs }: RecoveredRollbacks): Promise<void> {
    const { containers, names } = this.#parts;
    for (const id of runs) {
      if (!names.has(id)) continue;
      // What hinders it is told in its state, as with one that a policy starts.
      await containers.start(id).catch(() => {});
      if (names.has(id)) await this.#hasResumed(names.find(id));
    }
  }

  async #hasResumed(container: Container): Promise<void> {
    if (container.record.resumes === undefined) return;
    const { resumes: _, ...record } = container.record;
    await this.#save(container, record);
  }

  async #exchange(
    container: Container,
    target: SnapshotRecord,
    runs: boolean,
    { discard = false, timeoutSeconds }: RollbackOptions,
  ): Promise<ContainerSnapshot | undefined> {
    const { containers, store, trees, snapshots } = this.#parts;
    if (container.phase === "removing" || container.phase === "dead")
      throw new OnggiError("conflict", `container ${container.id} is marked for removal and can't be rolled back`);
    await this.#finishLast(container);
    const isTaken = (name: string) => snapshots.isTaken(container.id, name);
    const before = {
      id: snapshots.newId(),
      ...(discard ? {} : { name: nameOfTime("before-rollback-", Date.now(), isTaken) }),
    };
    const swap: RootSwap = { base: treeOf(target), before, runs };
    const letGo = trees.hold(treeOf(before));
    container.isRollingBack = true;
    try {
      await this.#save(container, { ...container.record, swap });
      await containers.stop(container.id, timeoutSeconds === undefined ? {} : { timeoutSeconds });
      await container.run?.finished;
      await store.flushEnd(container.id);
      store.clearLaunch(container.id);
      await trees.freeze(container.id, treeOf(before));
      const { record, before: kept } = await this.#finish(container.record, swap);
      container.record = record;
      return kept;
    } catch (error) {
      // Without the frozen tree nothing has changed; with it, the next start or rollback goes on to the end.
      if (!trees.has(treeOf(before))) await this.#takeBack(container);
      throw error;
    } finally {
      container.isRollingBack = false;
      letGo();
    }
  }

  /** From the frozen tree to the new state; each step may have been done already. */
  async #finish(
    { swap: _, ...old }: ContainerRecord,
    { base, before, runs }: RootSwap,
  ): Promise<{ readonly record: ContainerRecord; readonly before: ContainerSnapshot | undefined }> {
    const { rootfs, snapshots } = this.#parts;
    const record: ContainerRecord = { ...old, base, ...(runs ? { resumes: true } : {}) };
    await rootfs.discard(record.id);
    await rootfs.prepare(record);
    const { id, name } = before;
    const kept =
      name === undefined
        ? undefined
        : await snapshots.keep({ format: 1, id, name, createdAtMs: Date.now(), limited: false, container: old });
    await this.#parts.store.save(record);
    return { record, before: kept };
  }

  async #giveUp({ swap: _, ...record }: ContainerRecord): Promise<{ readonly record: ContainerRecord }> {
    await this.#parts.store.save(record);
    return { record };
  }

  async #takeBack(container: Container): Promise<void> {
    try {
      container.record = (await this.#giveUp(container.record)).record;
    } catch {
      // The first error is the one to tell; the next start takes it back.
    }
  }

  /** One that failed half-way, on a full disk for one. */
  async #finishLast(container: Container): Promise<void> {
    const { swap } = container.record;
    if (swap === undefined) return;
    const isFrozen = this.#parts.trees.has(treeOf(swap.before));
    const { record } = isFrozen ? await this.#finish(container.record, swap) : await this.#giveUp(container.record);
    container.record = record;
  }

  async #save(container: Container, record: ContainerRecord): Promise<void> {
    await this.#parts.store.save(record);
    container.record = record;
  }

  #tell({ record }: Container, target: SnapshotRecord, before: ContainerSnapshot | undefined): void {
    this.#parts.events.emit("container", "rollback", record.id, {
      name: record.name,
      image: record.image.reference,
      snapshot: target.name,
      snapshotId: target.id,
      ...(before === undefined ? {} : { before: before.name }),
    });
  }
}

/** A container's settings come from its image: on the files of another it would be neither. */
function checkImage({ name, image }: ContainerRecord, target: SnapshotRecord): void {
  if (image.id === target.container.image.id) return;
  throw new OnggiError(
    "invalid",
    `container ${name} can't be rolled back to a snapshot of another image (${target.container.image.reference})`,
    { hint: "Make a container of that snapshot: onggi fork --from SNAPSHOT" },
  );
}
