import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { isOnggiError, OnggiError } from "../base/error.ts";
import { Journal } from "../base/journal.ts";
import type { Container } from "./container.ts";
import { baseOf, type ContainerRecord } from "./container-record.ts";
import type { SnapshotsFace } from "./engine.ts";
import type { Events } from "./events.ts";
import { readStorageTree, type StorageTreeParts } from "./read-storage-tree.ts";
import type { ContainerSnapshot, SnapshotCreation, SnapshotOptions, StorageTreeNode } from "./snapshot-model.ts";
import {
  checkSnapshotName,
  findSnapshot,
  nameOfTime,
  outlived,
  type SnapshotRecord,
  treeOf,
} from "./snapshot-record.ts";

export interface SnapshotsParts extends StorageTreeParts {
  /** The engine's data root. */
  readonly root: string;
  /** False where there may be containers that nobody knows: then no tree is removed that one of them could stand on. */
  readonly isWhole: boolean;
  readonly events: Events;
  /** Has a container stand still until the returned function is called. */
  still(container: Container): Promise<() => Promise<void>>;
  /** What stood on an image is gone: so may be the image's layers. */
  afterRemove(record: ContainerRecord): void;
}

/**
 * The snapshots that users make of containers.
 *
 * `<root>/checkpoints/journal` holds their records. A snapshot's tree is there before its record, and goes after it, so that a tree without one
 * is always something that nobody was told of.
 */
export class Snapshots implements SnapshotsFace {
  readonly #parts: SnapshotsParts;
  readonly #journal: Journal;
  readonly #records = new Map<string, SnapshotRecord>();
  readonly #isWhole: boolean;
  /** What couldn't be read, a sentence each. */
  readonly repairs: string[] = [];

  constructor(parts: SnapshotsParts) {
    this.#parts = parts;
    const directory = join(parts.root, "checkpoints");
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const { journal, values, damaged } = Journal.open(join(directory, "journal"));
    this.#journal = journal;
    for (const value of values.values()) {
      // Only this class writes there; the format says who reads it.
      const record = value as SnapshotRecord;
      if (record.format === 1) this.#records.set(record.id, record);
      else this.repairs.push("the record of a snapshot isn't one that this engine knows");
    }
    if (damaged > 0)
      this.repairs.push(`${damaged} lines of ${directory}/journal can't be read: snapshots may be missing`);
    this.#isWhole = parts.isWhole && this.repairs.length === 0;
  }

  /** Tells what has no files any more, and removes trees that nobody was told of. */
  async sweep(): Promise<void> {
    for (const record of this.#records.values()) {
      if (this.#parts.trees.has(treeOf(record))) continue;
      this.repairs.push(`snapshot ${this.#reference(record)} can't be used: its files are missing`);
    }
    await this.collect();
  }

  async create(key: string, options: SnapshotOptions = {}): Promise<SnapshotCreation> {
    const { names, trees, events } = this.#parts;
    const { name, keep, keepForMs } = options;
    checkRule(options);
    if (name !== undefined) checkSnapshotName(name);
    const container = names.find(key);
    return container.changes.run(async () => {
      const timeMs = Date.now();
      const isTaken = (one: string) => this.#of(container.id).some((record) => record.name === one);
      if (name !== undefined && isTaken(name)) throw nameInUse(container.record.name, name);
      const limited = keep !== undefined || keepForMs !== undefined;
      const record: SnapshotRecord = {
        format: 1,
        id: this.newId(),
        name: name ?? nameOfTime("", timeMs, isTaken),
        createdAtMs: timeMs,
        limited,
        container: container.record,
      };
      const letGo = trees.hold(treeOf(record));
      try {
        await this.capture(container, treeOf(record));
        await this.keep(record);
      } finally {
        letGo();
      }
      events.emit("container", "snapshot", container.id, {
        name: container.record.name,
        image: container.record.image.reference,
        snapshot: record.name,
        snapshotId: record.id,
      });
      const removed = limited ? await this.#applyRule(record, { keep, keepForMs }) : [];
      return { snapshot: this.#info(record), removed };
    });
  }

  /** Freezes a copy of a container's tree; it stands still only while the copy is taken. Its changes must be locked. */
  async capture(container: Container, tree: string): Promise<void> {
    if (container.phase === "removing" || container.phase === "dead")
      throw new OnggiError("conflict", `container ${container.id} is marked for removal: it can't be copied any more`);
    const goOn = await this.#parts.still(container);
    try {
      await this.#parts.trees.capture(container.id, tree, goOn);
    } finally {
      await goOn();
    }
  }

  /** Writes the record of a snapshot whose tree is there. */
  async keep(record: SnapshotRecord): Promise<ContainerSnapshot> {
    await this.#journal.put(record.id, record);
    this.#records.set(record.id, record);
    return this.#info(record);
  }

  get(key: string): ContainerSnapshot {
    return this.#info(this.find(key));
  }

  list(container?: string): readonly ContainerSnapshot[] {
    const all = [...this.#records.values()].map((record) => this.#info(record));
    const id = container === undefined ? undefined : this.#containerId(container);
    const isOf = (one: ContainerSnapshot) =>
      container === undefined ||
      (id === undefined
        ? one.container.name === container || one.container.id.startsWith(container)
        : one.container.id === id);
    const found = all.filter(isOf).sort((a, b) => b.createdAtMs - a.createdAtMs);
    // Whoever names a container that was never there learns so.
    if (container !== undefined && found.length === 0) this.#parts.names.find(container);
    return found;
  }

  async size(key: string): Promise<number> {
    return this.#parts.trees.bytes(treeOf(this.find(key)));
  }

  async remove(key: string, options: { readonly force?: boolean } = {}): Promise<void> {
    const record = this.find(key);
    const { usedBy, reference } = this.#info(record);
    if (usedBy.length > 0 && options.force !== true) {
      throw new OnggiError("in_use", `snapshot ${reference} is in use: container ${usedBy.join(", ")} stands on it`, {
        hint: "Remove the containers first, or force it: its name goes now, its files with the last of them.",
      });
    }
    await this.#forget(record);
    await this.collect();
    this.#parts.afterRemove(record.container);
  }

  tree(): Promise<readonly StorageTreeNode[]> {
    const snapshots = [...this.#records.values()].map((record) => ({
      id: record.id,
      name: this.#reference(record),
      tree: treeOf(record),
      imageId: record.container.image.id,
    }));
    return readStorageTree(this.#parts, snapshots);
  }

  /**
   * By id, `CONTAINER@NAME`, or, of one container, by name.
   * @throws OnggiError `not_found`, `invalid`
   */
  find(key: string, within?: string): SnapshotRecord {
    const all = [...this.#records.values()].map((record) => ({
      record,
      id: record.id,
      name: record.name,
      createdAtMs: record.createdAtMs,
      container: { id: record.container.id, name: this.#containerName(record) },
    }));
    return findSnapshot(all, key, (container) => this.#containerId(container), within).record;
  }

  /** Those that stand on an image. */
  usersOf(imageId: string): readonly { readonly id: string; readonly running: false; readonly snapshot: string }[] {
    return [...this.#records.values()]
      .filter(({ container }) => container.image.id === imageId)
      .map((record) => ({ id: record.id, running: false, snapshot: this.#reference(record) }));
  }

  /** `CONTAINER@NAME` of a snapshot's tree; the name itself of any other. */
  nameOfTree(tree: string): string {
    const record = [...this.#records.values()].find((one) => treeOf(one) === tree);
    return record === undefined ? tree : this.#reference(record);
  }

  /** Whether one of a container's snapshots has that name. */
  isTaken(containerId: string, name: string): boolean {
    return this.#of(containerId).some((record) => record.name === name);
  }

  newId(): string {
    for (;;) {
      const id = randomBytes(32).toString("hex");
      // Docker's clients take an id of digits only for a number.
      if (!/^\d+$/.test(id.slice(0, 12))) return id;
    }
  }

  /** Removes the trees of forks and snapshots that nothing needs any more. */
  async collect(): Promise<void> {
    if (!this.#isWhole) return;
    const named = new Set([...this.#records.values()].map(treeOf));
    // What a rollback that failed half-way has frozen isn't a snapshot yet, and must not be lost.
    for (const { record } of this.#parts.names.all)
      if (record.swap !== undefined) named.add(treeOf(record.swap.before));
    await this.#parts.trees.collect((tree) => named.has(tree));
  }

  close(): void {
    this.#journal.close();
  }

  async #forget(record: SnapshotRecord): Promise<void> {
    await this.#journal.remove(record.id);
    this.#records.delete(record.id);
  }

  /** The one that was just made stays, however long that took. */
  async #applyRule(
    made: SnapshotRecord,
    rule: { readonly keep: number | undefined; readonly keepForMs: number | undefined },
  ): Promise<readonly string[]> {
    const removed: string[] = [];
    for (const record of outlived(this.#of(made.container.id), rule, Date.now())) {
      const { usedBy, reference } = this.#info(record);
      if (record === made || usedBy.length > 0) continue;
      await this.#forget(record);
      removed.push(reference);
    }
    if (removed.length > 0) await this.collect();
    return removed;
  }

  #of(containerId: string): readonly SnapshotRecord[] {
    return [...this.#records.values()].filter(({ container }) => container.id === containerId);
  }

  #info(record: SnapshotRecord): ContainerSnapshot {
    const { id, name, createdAtMs, limited, container } = record;
    const { names } = this.#parts;
    const tree = treeOf(record);
    return {
      id,
      name,
      reference: this.#reference(record),
      container: { id: container.id, name: this.#containerName(record), exists: names.has(container.id) },
      image: { id: container.image.id, reference: container.image.reference },
      createdAtMs,
      limited,
      usedBy: [...names.all].filter((one) => baseOf(one.record) === tree).map((one) => one.record.name),
    };
  }

  #reference(record: SnapshotRecord): string {
    return `${this.#containerName(record)}@${record.name}`;
  }

  /** A container may have been renamed since. */
  #containerName({ container }: SnapshotRecord): string {
    const { names } = this.#parts;
    return names.has(container.id) ? names.find(container.id).record.name : container.name;
  }

  #containerId(key: string): string | undefined {
    try {
      return this.#parts.names.find(key).id;
    } catch (error) {
      if (isOnggiError(error, "not_found")) return undefined;
      throw error;
    }
  }
}

function checkRule({ keep, keepForMs }: SnapshotOptions): void {
  if (keep !== undefined && !(Number.isInteger(keep) && keep >= 1))
    throw new OnggiError("invalid", `${keep} snapshots can't be kept`, { hint: "Keep 1 or more." });
  if (keepForMs !== undefined && !(keepForMs > 0))
    throw new OnggiError("invalid", "snapshots can't be kept for no time", { hint: "Give a duration such as 24h." });
}

function nameInUse(container: string, name: string): OnggiError {
  return new OnggiError("conflict", `container ${container} has a snapshot "${name}" already`, {
    hint: `Choose another name, or remove that one: onggi snapshot rm ${container}@${name}`,
  });
}
