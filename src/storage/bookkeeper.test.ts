import assert from "node:assert/strict";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { isOnggiError } from "../base/error.ts";
import { Bookkeeper } from "./bookkeeper.ts";
import type { SnapshotDriver } from "./snapshotter.ts";

let root: string;

/** Trees are empty folders; `refuse` makes the next one fail. */
function fakeDriver(): SnapshotDriver & { refuse?: NodeJS.ErrnoException; readonly frozen: string[] } {
  const frozen: string[] = [];
  const driver: ReturnType<typeof fakeDriver> = {
    name: "fake",
    traits: { write: "copy", unit: "file", limits: { bytes: "none", inodes: "none" } },
    frozen,
    list: () => readdirSync(root).filter((name) => /^[0-9a-f]+$/.test(name)),
    isWhole: () => true,
    async create(id) {
      mkdirSync(join(root, id), { recursive: true });
      if (driver.refuse !== undefined) throw driver.refuse;
    },
    async copy(_from, to) {
      mkdirSync(join(root, to));
    },
    async freeze(id) {
      frozen.push(id);
    },
    discard: (id, trash) => renameSync(join(root, id), trash),
    mounts: (id, parents) => [{ type: "fake", source: id, options: parents }],
    writable: (id) => ({ directory: join(root, id), whiteouts: "remove" }),
    usage: async () => ({ bytes: 1, inodes: 1 }),
    describe: (id) => ({ Id: id }),
  };
  return driver;
}

const open = (driver = fakeDriver()) => Bookkeeper.open(root, driver);
const idOf = (keeper: Bookkeeper, name: string) => keeper.describe(name).Id ?? "";
const names = (keeper: Bookkeeper) => [...keeper.list()].map(({ id }) => id).toSorted();

/** A committed layer with a container on it. */
async function filled(): Promise<{ layer: string; container: string }> {
  const keeper = await open();
  await keeper.prepare("unpack");
  await keeper.commit("unpack", "layer");
  await keeper.prepare("container", "layer");
  const ids = { layer: idOf(keeper, "layer"), container: idOf(keeper, "container") };
  await keeper.close();
  return ids;
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "onggi-bookkeeper-"));
});

afterEach(() => {
  rmSync(root, { recursive: true });
});

describe("Bookkeeper", () => {
  it("hands the driver the parents, the nearest first", async () => {
    const keeper = await open();
    for (const [name, parent] of [
      ["one", undefined],
      ["two", "one"],
      ["three", "two"],
    ] as const) {
      await keeper.prepare("key", parent);
      await keeper.commit("key", name);
    }
    const [mount] = await keeper.prepare("container", "three");
    assert.deepEqual(
      mount?.options,
      ["three", "two", "one"].map((name) => idOf(keeper, name)),
    );
    await keeper.close();
  });

  it("freezes a tree before it is called committed", async () => {
    const driver = fakeDriver();
    const keeper = await open(driver);
    await keeper.prepare("key");
    const id = idOf(keeper, "key");
    await keeper.commit("key", "layer");
    assert.deepEqual(driver.frozen, [id]);
    await keeper.close();
  });

  it("takes back a start that failed, and lets the parent go", async () => {
    const driver = fakeDriver();
    const keeper = await open(driver);
    await keeper.prepare("key");
    await keeper.commit("key", "layer");
    driver.refuse = Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
    await assert.rejects(keeper.prepare("container", "layer"), (error) => isOnggiError(error, "exhausted"));
    assert.deepEqual(driver.list(), [idOf(keeper, "layer")]);
    await keeper.remove("layer");
    await keeper.close();
    assert.deepEqual(readdirSync(join(root, "state")), []);
  });

  it("keeps nothing that can't be mounted", async () => {
    const driver = fakeDriver();
    const refusing = { ...driver, mounts: () => assert.fail("too many layers") };
    const keeper = await open(refusing);
    await assert.rejects(keeper.prepare("container"), /too many layers/);
    assert.deepEqual([names(keeper), driver.list()], [[], []]);
    await keeper.close();
  });

  it("refuses a second change of a snapshot while one is under way", async () => {
    const keeper = await open();
    await keeper.prepare("key");
    const committing = keeper.commit("key", "layer");
    await assert.rejects(keeper.remove("key"), (error) => isOnggiError(error, "conflict"));
    await committing;
    assert.deepEqual(names(keeper), ["layer"]);
    await keeper.close();
  });
});

describe("Bookkeeper after a power cut", () => {
  it("makes a writable tree again that the disk had lost", async () => {
    const { container } = await filled();
    rmSync(join(root, container), { recursive: true });
    const driver = fakeDriver();
    const keeper = await open(driver);
    assert.ok(driver.list().includes(container));
    assert.match(keeper.repairs.join(), /"container" again/);
    await keeper.close();
  });

  it("forgets a layer whose files are gone, and keeps what stood on it, unused, on the disk", async () => {
    const { layer, container } = await filled();
    rmSync(join(root, layer), { recursive: true });
    const driver = fakeDriver();
    const keeper = await open(driver);
    assert.deepEqual(names(keeper), []);
    assert.deepEqual(driver.list(), [container]);
    assert.match(keeper.repairs.join("\n"), /forgot snapshot "layer"/);
    assert.match(keeper.repairs.join("\n"), /"container".*can't be used/);
    await keeper.close();
  });

  it("sweeps a record that was cut off with its tree, and half-written ones", async () => {
    const { container } = await filled();
    truncateSync(join(root, "state", `${container}.json`), 5);
    writeFileSync(join(root, "state", ".tmp-x.json-12"), "{");
    const keeper = await open();
    assert.deepEqual(names(keeper), ["layer"]);
    await keeper.close();
    assert.equal(readdirSync(join(root, "state")).length, 1);
    assert.deepEqual(readdirSync(join(root, "trash")), []);
  });

  it("goes on with emptying the trash, without following a link out of it", async () => {
    await filled();
    const outside = join(root, "outside");
    writeFileSync(outside, "mine");
    mkdirSync(join(root, "trash", "tree", "deep"), { recursive: true });
    symlinkSync(root, join(root, "trash", "tree", "deep", "link"));
    const keeper = await open();
    await keeper.close();
    assert.deepEqual(readdirSync(join(root, "trash")), []);
    assert.equal(readFileSync(outside, "utf8"), "mine");
  });
});
