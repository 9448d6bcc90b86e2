import { createHash, randomBytes } from "node:crypto";
import { join } from "node:path";
import { isErrno } from "../base/errno.ts";
import { messageOf, OnggiError } from "../base/error.ts";
import { Mutex } from "../base/mutex.ts";
import type { Mount } from "../program/mount.ts";
import type { LayerArchive } from "./layer-archive.ts";
import { Records, type SnapshotRecord } from "./records.ts";
import { type SnapshotProblem, snapshotProblems } from "./snapshot-problems.ts";
import type {
  CommitChoice,
  ExpectedSnapshot,
  MountsOptions,
  PrepareOptions,
  SnapshotDriver,
  SnapshotInfo,
  SnapshotMemory,
  SnapshotName,
  Snapshotter,
  StorageLimit,
  TreeByHand,
  Usage,
  WritableTree,
} from "./snapshotter.ts";
import { Trash } from "./trash.ts";

interface Node {
  record: SnapshotRecord;
  parent: Node | undefined;
  /** Snapshots that stand on this one, those that are being made included. */
  children: number;
  /** A change of it is under way. */
  busy: boolean;
  usage: Usage | undefined;
  /** How it is found again: by a record that is synced, by one that a power cut may take, or by what its caller remembers. */
  kept: "synced" | "written" | "remembered";
}

interface NewSnapshot {
  readonly durable: boolean;
  readonly remembered: boolean;
  readonly limit?: StorageLimit | undefined;
}

/** The id of no snapshot. */
const missingParent = "unknown";

/** How long `close` empties the trash. */
const closeLimitMs = 10_000;

/**
 * Completes a driver with keys, parents, states, `in_use` and trash.
 *
 * The order on disk is: tree, then record; when removing, record, then tree. So a tree without a record is always
 * something that was never acknowledged, or is no longer wanted.
 */
export class Bookkeeper implements Snapshotter {
  readonly driver: string;
  readonly traits: Snapshotter["traits"];
  readonly repairs: string[] = [];
  readonly importLayer: Snapshotter["importLayer"];
  readonly #driver: SnapshotDriver;
  readonly #records: Records;
  readonly #trash: Trash;
  readonly #nodes = new Map<string, Node>();
  /** Names that are being made. */
  readonly #reserved = new Set<string>();
  /** Ids of trees that are being made or removed. */
  readonly #underway = new Set<string>();
  /** One at a time commits to a name: whoever comes second finds it there. */
  readonly #commits = new Map<string, Mutex>();

  private constructor(directory: string, driver: SnapshotDriver) {
    this.#driver = driver;
    this.driver = driver.name;
    this.traits = driver.traits;
    this.importLayer = this.#importerOf(driver);
    this.#records = new Records(join(directory, "state"));
    this.#trash = new Trash(join(directory, "trash"), { empty: async (path) => (await driver.empty?.(path)) ?? false });
  }

  /** Reads the state in `directory`, mends it, and goes on with emptying the trash. */
  static async open(
    directory: string,
    driver: SnapshotDriver,
    memory: SnapshotMemory = { expected: [], isWhole: true },
  ): Promise<Bookkeeper> {
    const keeper = new Bookkeeper(directory, driver);
    await keeper.#load(memory);
    return keeper;
  }

  async prepare(
    key: string,
    parent?: SnapshotName,
    { durable = true, remembered = false, limit }: PrepareOptions = {},
  ): Promise<readonly Mount[]> {
    if (limit !== undefined) checkLimit(limit, this.#driver);
    return this.#start(key, "active", parent, { durable, remembered, limit }, (record, parents) =>
      this.#driver.create(record.id, parents, { durable, limit }),
    );
  }

  async view(key: string, parent: SnapshotName, { durable = true }: PrepareOptions = {}): Promise<readonly Mount[]> {
    return this.#start(key, "view", parent, { durable, remembered: false }, async () => {});
  }

  mounts(key: string, options: MountsOptions = {}): readonly Mount[] {
    return this.#mountsOf(this.#uncommitted(key), options);
  }

  async commit(key: string, name: SnapshotName, { onto, ownRoot = false }: CommitChoice = {}): Promise<void> {
    const node = this.#writable(key);
    if (onto !== undefined) this.#rebase(node, onto, ownRoot);
    const queue = this.#commits.get(name) ?? new Mutex();
    this.#commits.set(name, queue);
    await this.#whileBusy(node, () => queue.run(() => this.#commit(node, name)));
  }

  async capture(
    key: string,
    name: SnapshotName,
    { copied }: { readonly copied?: () => Promise<void> } = {},
  ): Promise<void> {
    const node = this.#writable(key);
    await this.#whileBusy(node, () =>
      this.#freezeNew(name, node.parent, async (id, parents) => {
        await this.#driver.copy(node.record.id, id, parents);
        await copied?.();
        await this.#driver.freeze(id, parents);
      }),
    );
  }

  get rebases(): boolean {
    return this.#driver.rebase !== undefined;
  }

  layerTree(name: SnapshotName): string | undefined {
    return this.#driver.layerTree?.(this.#committed(name).record.id);
  }

  layerTar(name: SnapshotName): string | undefined {
    return this.#driver.layerTar?.(this.#committed(name).record.id);
  }

  async remove(id: string): Promise<void> {
    const node = this.#node(id);
    if (node.children > 0) {
      const children = node.children === 1 ? "another snapshot stands" : `${node.children} other snapshots stand`;
      throw new OnggiError("in_use", `snapshot "${id}" is in use: ${children} on it`, { hint: "Remove those first." });
    }
    await this.#whileBusy(node, () => this.#remove(node));
  }

  has(id: string): boolean {
    return this.#nodes.has(id);
  }

  stat(id: string): SnapshotInfo {
    return infoOf(this.#node(id));
  }

  *list(): IterableIterator<SnapshotInfo> {
    for (const node of this.#nodes.values()) yield infoOf(node);
  }

  async usage(id: string): Promise<Usage> {
    const node = this.#node(id);
    if (node.record.kind === "view") return { bytes: 0, inodes: 0 };
    if (node.usage !== undefined) return node.usage;
    const usage = await this.#driver.usage(node.record.id);
    if (node.record.kind === "committed") node.usage = usage;
    return usage;
  }

  writable(key: string): WritableTree {
    return this.#driver.writable(this.#writable(key).record.id);
  }

  describe(id: string): Readonly<Record<string, string>> {
    const node = this.#node(id);
    return this.#driver.describe(node.record.id, parentIds(node));
  }

  cloneByHand(parentName: SnapshotName, directory: string): TreeByHand | undefined {
    const parent = this.#committed(parentName);
    return this.#driver.cloneByHand?.([parent.record.id, ...parentIds(parent)], directory);
  }

  async *check({ deep = false }: { readonly deep?: boolean } = {}): AsyncGenerator<SnapshotProblem> {
    const facts = {
      trees: this.#driver.list(),
      records: this.#records.ids(),
      nodes: [...this.#nodes.values()],
      underway: this.#underway,
      isWhole: (id: string) => this.#driver.isWhole(id),
    };
    yield* snapshotProblems(facts, {
      discard: (id) => this.#discard(id),
      forget: (id) => this.#records.remove({ id }, { synced: true }),
      write: (node) => this.#records.write(node.record, { synced: true }),
      create: (node) =>
        this.#driver.create(node.record.id, parentIds(node), {
          durable: node.record.durable,
          limit: node.record.limit,
        }),
    });
    if (!deep || this.#driver.verify === undefined) return;
    for (const node of facts.nodes) {
      if (node.record.kind !== "committed" || this.#nodes.get(node.record.name) !== node) continue;
      for (const problem of await this.#driver.verify(node.record.id)) {
        yield { id: node.record.name, problem, remedy: "Remove the images that use it and pull them again." };
      }
    }
  }

  async close(): Promise<void> {
    await this.#trash.close(closeLimitMs);
    await this.#driver.close?.();
    this.#records.close();
  }

  async #start(
    name: string,
    kind: "active" | "view",
    parentName: SnapshotName | undefined,
    { durable, remembered, limit }: NewSnapshot,
    makeTree: (record: SnapshotRecord, parents: readonly string[]) => Promise<void>,
  ): Promise<readonly Mount[]> {
    const parent = parentName === undefined ? undefined : this.#committed(parentName);
    const record: SnapshotRecord = {
      id: remembered ? this.#idOf(name) : freeId(),
      kind,
      name,
      parent: parent?.record.id,
      durable,
      ...(limit === undefined ? {} : { limit }),
    };
    // A tree that can't be told from its key is found by its record only.
    const kept = remembered && record.id === idOf(name) ? "remembered" : durable ? "synced" : "written";
    return this.#make(record, parent, kept, async (node) => {
      await makeTree(record, parentIds(node));
      const mounts = this.#mountsOf(node);
      if (kept !== "remembered") await this.#records.write(record, { synced: durable });
      return mounts;
    });
  }

  /** Makes a snapshot that is frozen from the start. */
  async #freezeNew(
    name: SnapshotName,
    parent: Node | undefined,
    makeTree: (id: string, parents: readonly string[]) => Promise<void>,
  ): Promise<void> {
    const id = freeId();
    const record: SnapshotRecord = { id, kind: "committed", name, parent: parent?.record.id, durable: true };
    await this.#make(record, parent, "synced", async (node) => {
      await makeTree(id, parentIds(node));
      await this.#records.write(record, { synced: true });
    });
  }

  /** Reserves name and parent for a new node, and takes back what was made when `fill` fails. */
  async #make<T>(
    record: SnapshotRecord,
    parent: Node | undefined,
    kept: Node["kept"],
    fill: (node: Node) => Promise<T>,
  ): Promise<T> {
    const { name } = record;
    if (this.#nodes.has(name) || this.#reserved.has(name)) {
      throw new OnggiError("conflict", `snapshot "${name}" exists already`, {
        hint: "Remove it, or choose another name.",
      });
    }
    this.#reserved.add(name);
    this.#underway.add(record.id);
    if (parent !== undefined) parent.children += 1;
    this.#trash.defer();
    const node: Node = { record, parent, children: 0, busy: false, usage: undefined, kept };
    try {
      const result = await fill(node);
      this.#nodes.set(name, node);
      return result;
    } catch (error) {
      if (parent !== undefined) parent.children -= 1;
      await this.#takeBack(record);
      throw explained(error, name);
    } finally {
      this.#reserved.delete(name);
      this.#underway.delete(record.id);
    }
  }

  async #commit(node: Node, name: SnapshotName): Promise<void> {
    if (this.#nodes.has(name)) return this.#remove(node);
    await this.#driver.freeze(node.record.id, parentIds(node));
    const record: SnapshotRecord = { ...node.record, kind: "committed", name, durable: true };
    await this.#records.write(record, { synced: true });
    this.#nodes.delete(node.record.name);
    node.record = record;
    node.kept = "synced";
    this.#nodes.set(name, node);
    this.#trash.defer();
  }

  /** The record follows with the commit: until then a crash leaves what nobody knows. */
  #rebase(node: Node, onto: SnapshotName, ownRoot: boolean): void {
    if (this.#driver.rebase === undefined || node.parent !== undefined) {
      throw new OnggiError("invalid", `snapshot "${node.record.name}" can't be put onto another parent`);
    }
    const parent = this.#committed(onto);
    this.#driver.rebase(node.record.id, [parent.record.id, ...parentIds(parent)], ownRoot);
    node.parent = parent;
    parent.children += 1;
    node.record = { ...node.record, parent: parent.record.id };
  }

  async #remove(node: Node): Promise<void> {
    if (node.kept !== "remembered") await this.#records.remove(node.record, { synced: node.kept === "synced" });
    this.#nodes.delete(node.record.name);
    if (node.parent !== undefined) node.parent.children -= 1;
    if (node.record.kind === "view") return;
    this.#underway.add(node.record.id);
    await this.#discard(node.record.id).finally(() => this.#underway.delete(node.record.id));
  }

  async #discard(id: string): Promise<void> {
    await this.#driver.discard(id, this.#trash.name(id));
    this.#trash.added();
  }

  #importerOf(driver: SnapshotDriver): Snapshotter["importLayer"] {
    if (driver.importLayer === undefined) return undefined;
    return async (name, parentName, layer: LayerArchive) => {
      const parent = parentName === undefined ? undefined : this.#committed(parentName);
      await this.#freezeNew(name, parent, async (id, parents) => driver.importLayer?.(id, parents, layer));
    };
  }

  /** After a failed start: what was made goes again; what can't go now, the next start sweeps. */
  async #takeBack(record: SnapshotRecord): Promise<void> {
    try {
      await this.#records.remove(record, { synced: record.durable });
      if (record.kind !== "view") await this.#discard(record.id);
    } catch {
      // The first error is the one to tell.
    }
  }

  async #whileBusy<T>(node: Node, change: () => Promise<T>): Promise<T> {
    if (node.busy) throw new OnggiError("conflict", `snapshot "${node.record.name}" is just being changed`);
    node.busy = true;
    try {
      return await change();
    } finally {
      node.busy = false;
    }
  }

  #mountsOf(node: Node, options: MountsOptions = {}): readonly Mount[] {
    const { id, kind, durable } = node.record;
    return this.#driver.mounts(id, parentIds(node), { ...options, writable: kind === "active", durable });
  }

  #node(id: string): Node {
    const node = this.#nodes.get(id);
    if (node === undefined) throw new OnggiError("not_found", `snapshot "${id}" doesn't exist`);
    return node;
  }

  #committed(name: SnapshotName): Node {
    const node = this.#node(name);
    if (node.record.kind === "committed" && !node.busy) return node;
    const state = node.busy ? "is just being changed" : "isn't committed";
    throw new OnggiError(node.busy ? "conflict" : "invalid", `snapshot "${name}" can't be a parent: it ${state}`);
  }

  #uncommitted(key: string): Node {
    const node = this.#node(key);
    if (node.record.kind !== "committed") return node;
    throw new OnggiError("invalid", `snapshot "${key}" is committed: only a clone or a view of it can be mounted`);
  }

  #writable(key: string): Node {
    const node = this.#node(key);
    if (node.record.kind === "active") return node;
    throw new OnggiError("invalid", `snapshot "${key}" is read-only (${node.record.kind})`);
  }

  /** The id that its key tells; another one while a snapshot that was made under this key still has that. */
  #idOf(key: string): string {
    const id = idOf(key);
    return [...this.#nodes.values()].some(({ record }) => record.id === id) ? freeId() : id;
  }

  async #load({ expected, isWhole }: SnapshotMemory): Promise<void> {
    const { records, torn } = await this.#records.readAll();
    const trees = new Set(this.#driver.list());
    const known = new Map(records.map((record) => [record.id, record]));
    const remembered = recordsOf(expected, records);
    for (const record of remembered) known.set(record.id, record);
    const nodes = new Map<string, Node>();
    for (const record of known.values()) await this.#restore(record, known, trees, nodes);
    for (const node of nodes.values()) if (node.parent !== undefined) node.parent.children += 1;
    for (const { name } of remembered) {
      const node = this.#nodes.get(name);
      if (node !== undefined) node.kept = "remembered";
    }
    for (const id of trees) {
      if (known.has(id) || !isWhole) continue;
      await this.#discard(id);
      this.repairs.push(`removed the half-made snapshot ${id}, which nobody was told of`);
    }
    for (const id of torn) if (!trees.has(id)) this.repairs.push(`removed the empty record of snapshot ${id}`);
  }

  /** Makes the node of a record and, before, those of its parents; undefined for one that is lost. */
  async #restore(
    record: SnapshotRecord,
    known: ReadonlyMap<string, SnapshotRecord>,
    trees: ReadonlySet<string>,
    nodes: Map<string, Node>,
  ): Promise<Node | undefined> {
    const done = nodes.get(record.id);
    if (done !== undefined) return done;
    const parentRecord = record.parent === undefined ? undefined : known.get(record.parent);
    const parent = parentRecord === undefined ? undefined : await this.#restore(parentRecord, known, trees, nodes);
    if (record.parent !== undefined && parent === undefined) {
      // What was written in it stays on disk for whoever can use it.
      this.repairs.push(
        `snapshot "${record.name}" (${record.id}) can't be used: its parent ${record.parent} is missing`,
      );
      return undefined;
    }
    const node: Node = {
      record,
      parent,
      children: 0,
      busy: false,
      usage: undefined,
      kept: record.durable ? "synced" : "written",
    };
    if (!(await this.#hasTree(node, trees))) return undefined;
    nodes.set(record.id, node);
    if (this.#nodes.has(record.name))
      this.repairs.push(`snapshot "${record.name}" was there twice; ${record.id} isn't used`);
    else this.#nodes.set(record.name, node);
    return node;
  }

  async #hasTree({ record, parent }: Node, trees: ReadonlySet<string>): Promise<boolean> {
    if (record.kind === "view") return true;
    if (trees.has(record.id) && this.#driver.isWhole(record.id)) return true;
    if (record.kind === "active") {
      const parents = parent === undefined ? [] : [parent.record.id, ...parentIds(parent)];
      await this.#driver.create(record.id, parents, { durable: record.durable, limit: record.limit });
      this.repairs.push(`made the writable layer of snapshot "${record.name}" again: the disk had lost it`);
      return true;
    }
    await this.#records.remove(record, { synced: true });
    if (trees.has(record.id)) await this.#discard(record.id);
    this.repairs.push(`forgot snapshot "${record.name}": its files are gone`);
    return false;
  }
}

function freeId(): string {
  return randomBytes(6).toString("hex");
}

/** A container's tree bears the short id that users know it by. */
function idOf(key: string): string {
  return /^[0-9a-f]{64}$/.test(key) ? key.slice(0, 12) : createHash("sha256").update(key).digest("hex").slice(0, 12);
}

/** What callers remember and the disk has no record of. One whose parent is gone can't be used: its tree stays as it is. */
function recordsOf(expected: readonly ExpectedSnapshot[], records: readonly SnapshotRecord[]): SnapshotRecord[] {
  const byName = new Map(records.map((record) => [record.name, record]));
  // A tree that was made under its key and is frozen since: the caller was about to prepare another, and does so now.
  const taken = new Set(records.map(({ id }) => id));
  return expected
    .filter(({ key }) => !byName.has(key) && !taken.has(idOf(key)))
    .map(({ key, parent, durable, limit }) => ({
      id: idOf(key),
      kind: "active",
      name: key,
      parent: parent === undefined ? undefined : (byName.get(parent)?.id ?? missingParent),
      durable,
      ...(limit === undefined ? {} : { limit }),
    }));
}

function infoOf({ record, parent }: Node): SnapshotInfo {
  return { id: record.name, kind: record.kind, parent: parent?.record.name };
}

function parentIds(node: Node): readonly string[] {
  const ids: string[] = [];
  for (let parent = node.parent; parent !== undefined; parent = parent.parent) ids.push(parent.record.id);
  return ids;
}

function checkLimit({ bytes, inodes }: StorageLimit, { name, traits }: SnapshotDriver): void {
  const lacks =
    (bytes !== undefined && traits.limits.bytes === "none") ||
    (inodes !== undefined && traits.limits.inodes === "none");
  if (!lacks) return;
  throw new OnggiError("unsupported", `the storage driver "${name}" can't limit what a container writes here`, {
    hint: "It takes loop devices and mke2fs (apt-get install e2fsprogs), or a file system with project quotas.",
  });
}

function explained(error: unknown, name: string): unknown {
  if (!isErrno(error, "ENOSPC", "EDQUOT")) return error;
  return new OnggiError("exhausted", `no room for snapshot "${name}": ${messageOf(error)}`, {
    hint: "Free space or inodes on the file system of the data root: df -h and df -i show them, onggi system prune helps.",
    cause: error,
  });
}
