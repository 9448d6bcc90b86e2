import assert from "node:assert/strict";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { isOnggiError } from "../base/error.ts";
import { Bookkeeper } from "../storage/bookkeeper.ts";
import type { SnapshotDriver } from "../storage/snapshotter.ts";
import { Container } from "./container.ts";
import { ContainerNames } from "./container-names.ts";
import { type ContainerRecord, neverRan } from "./container-record.ts";
import { Events } from "./events.ts";
import { Rollbacks } from "./rollbacks.ts";
import { expectedSnapshot, Rootfs } from "./rootfs.ts";
import { isOwnTree, SnapshotTrees } from "./snapshot-trees.ts";
import { Snapshots } from "./snapshots.ts";

const id = "a".repeat(64);
const first: ContainerRecord = {
  format: 1,
  id,
  name: "diary",
  config: { image: "host" },
  image: { id: "sha256:image", reference: "host", config: {}, chainId: "sha256:layer" },
  argv: ["true"],
  env: [],
  workingDirectory: "/",
  user: "",
  labels: {},
  exposedPorts: [],
  stopSignal: "SIGTERM",
  hostname: "diary",
  createdAtMs: 1,
  last: neverRan,
  restartCount: 0,
  stoppedByUser: false,
  wasRunning: false,
};

let scratch: string;
/** Of the engine that was opened last. */
let close = async () => {};

/** Trees are folders with one file; a clone begins with its parent's. */
function fakeDriver(root: string): SnapshotDriver {
  const page = (tree: string) => join(root, tree, "page");
  return {
    name: "fake",
    traits: { write: "copy", unit: "file", limits: { bytes: "none", inodes: "none" } },
    list: () => readdirSync(root).filter((name) => /^[0-9a-f]{4,}$/.test(name)),
    isWhole: () => true,
    async create(tree, [parent]) {
      mkdirSync(join(root, tree), { recursive: true });
      if (parent !== undefined && !existsSync(page(tree))) cpSync(page(parent), page(tree));
    },
    copy: async (from, to) => cpSync(join(root, from), join(root, to), { recursive: true }),
    freeze: async () => {},
    discard: (tree, trash) => renameSync(join(root, tree), trash),
    mounts: (tree) => [{ type: "bind", source: page(tree), options: [] }],
    writable: (tree) => ({ directory: join(root, tree), whiteouts: "remove" }),
    usage: async () => ({ bytes: 1, inodes: 1 }),
    describe: () => ({}),
  };
}

/** An engine as far as rollbacks need one, on disks that outlive it. It dies at a step: before it, or right after. */
async function openEngine(root: string, disk: Map<string, ContainerRecord>, diesAt = Number.POSITIVE_INFINITY) {
  await close();
  let steps = 0;
  const step = () => {
    if (steps++ >= diesAt) throw new Error("killed");
  };
  const mortal = <T extends object>(target: T, names: readonly string[]): T =>
    new Proxy(target, {
      get(_, name) {
        const value = Reflect.get(target, name) as unknown;
        if (typeof value !== "function") return value;
        const method = value.bind(target) as (...args: unknown[]) => unknown;
        if (!names.includes(String(name))) return method;
        return async (...args: unknown[]) => {
          step();
          const result = await method(...args);
          step();
          return result;
        };
      },
    });
  const expected = [...disk.values()].map(expectedSnapshot);
  const keeper = await Bookkeeper.open(join(root, "trees"), fakeDriver(join(root, "trees")), {
    expected,
    isWhole: true,
  });
  const snapshotter = mortal(keeper, ["prepare", "commit", "remove"]);
  const names = new ContainerNames();
  const rootfs = new Rootfs(snapshotter);
  const trees = new SnapshotTrees(snapshotter);
  const kept = new Snapshots({
    root,
    isWhole: true,
    trees,
    rootfs,
    names,
    events: new Events(),
    still: async () => async () => {},
    images: async () => [],
    afterRemove: () => {},
  });
  const store = mortal(
    {
      save: async (record: ContainerRecord) => void disk.set(record.id, record),
      flushEnd: async () => {},
      clearLaunch: () => {},
    },
    ["save"],
  );
  const rollbacks = new Rollbacks({
    containers: { start: async () => "started", stop: async () => "not_running" },
    names,
    snapshots: mortal(kept, ["keep"]),
    trees,
    rootfs,
    store,
    network: { hold: () => () => {} },
    events: new Events(),
  });
  const { records, repairs } = await rollbacks.recover([...disk.values()]);
  for (const record of records) names.add(new Container(record));
  await kept.sweep();
  close = async () => {
    kept.close();
    await keeper.close();
  };
  return { keeper, snapshots: kept, rollbacks, repairs, page: () => keeper.mounts(id)[0]?.source ?? "" };
}

/** A container that says "new", with a snapshot of when it said "old". */
async function prepared(name: string): Promise<{ readonly root: string; readonly disk: Map<string, ContainerRecord> }> {
  const root = join(scratch, name);
  mkdirSync(join(root, "trees"), { recursive: true });
  const disk = new Map<string, ContainerRecord>();
  const { keeper, page } = await openEngine(root, disk);
  await keeper.prepare("unpack");
  writeFileSync(join(keeper.writable("unpack").directory, "page"), "image");
  await keeper.commit("unpack", "sha256:layer");
  await keeper.prepare(id, "sha256:layer", { remembered: true });
  disk.set(id, first);
  const again = await openEngine(root, disk);
  writeFileSync(page(), "old");
  await again.snapshots.create("diary", { name: "old" });
  writeFileSync(page(), "new");
  return { root, disk };
}

before(() => {
  scratch = mkdtempSync(join(tmpdir(), "onggi-rollbacks-"));
});

after(async () => {
  await close();
  rmSync(scratch, { recursive: true });
});

describe("a rollback", () => {
  for (const discard of [false, true]) {
    it(`leaves one state whole wherever the engine dies in it${discard ? ", without a copy of the other" : ""}`, async () => {
      const outcomes = new Set<string>();
      for (let diesAt = 0; ; diesAt++) {
        const { root, disk } = await prepared(`${discard ? "discard" : "keep"}-${diesAt}`);
        const engine = await openEngine(root, disk, diesAt);
        const isDone = await engine.rollbacks.rollback("diary", "old", { discard }).then(
          () => true,
          () => false,
        );

        const { keeper, snapshots, page } = await openEngine(root, disk);
        const content = readFileSync(page(), "utf8");
        outcomes.add(content);
        assert.ok(content === "old" || (content === "new" && !isDone), `${content} after ${diesAt} steps`);
        const { base, swap } = disk.get(id) ?? first;
        assert.deepEqual([swap, base === undefined], [undefined, content === "new"]);
        const references = snapshots.list().map(({ reference }) => reference.replace(/\d{8}-\d{6}/, "TIME"));
        const kept = content === "old" && !discard ? ["diary@before-rollback-TIME"] : [];
        assert.deepEqual(references.toSorted(), [...kept, "diary@old"]);
        assert.equal([...keeper.list()].filter((tree) => isOwnTree(tree.id)).length, references.length);

        // What is there goes on: back and forth once more.
        writeFileSync(page(), "newer");
        await (await openEngine(root, disk)).rollbacks.rollback("diary", "diary@old", { discard: true });
        assert.equal(readFileSync((await openEngine(root, disk)).page(), "utf8"), "old");
        if (isDone) break;
      }
      assert.deepEqual([...outcomes].toSorted(), ["new", "old"]);
    });
  }

  it("takes only snapshots of the same image", async () => {
    const { root, disk } = await prepared("image");
    disk.set(id, { ...first, image: { ...first.image, id: "sha256:other" } });
    const { rollbacks } = await openEngine(root, disk);
    await assert.rejects(
      rollbacks.rollback("diary", "old"),
      (error) => isOnggiError(error, "invalid") && /another image/.test(error.message),
    );
  });
});
