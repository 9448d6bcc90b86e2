import assert from "node:assert/strict";
import {
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
import { afterEach, beforeEach, describe, it } from "node:test";
import { type VolumeRecord, VolumeStore } from "./volume-store.ts";

let root: string;
let store: VolumeStore;
const aRecord = (name: string): VolumeRecord => ({
  format: 1,
  name,
  createdAtMs: 1,
  labels: {},
  options: {},
  anonymous: false,
});
/** As the next engine finds it. */
const reopen = () => {
  store = new VolumeStore(root);
  return store.load();
};

describe("VolumeStore", () => {
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "onggi-volumes-"));
    store = new VolumeStore(root);
  });
  afterEach(async () => {
    await store.close();
    rmSync(root, { recursive: true });
  });

  it("finds what was created again", async () => {
    await store.create(aRecord("data"), async (data) => writeFileSync(join(data, "file"), "content"));

    assert.deepEqual(reopen(), { records: [aRecord("data")], broken: [] });
    assert.equal(readFileSync(join(store.data("data"), "file"), "utf8"), "content");
  });

  it("leaves nothing of one whose content couldn't be made", async () => {
    const failure = store.create(aRecord("data"), async () => {
      throw new Error("full");
    });

    await assert.rejects(failure, /full/);
    assert.deepEqual(readdirSync(store.directory), [".trash"]);
  });

  it("sweeps what a creation that was cut off left", () => {
    mkdirSync(join(store.directory, ".new-data/data"), { recursive: true });

    assert.deepEqual(reopen().records, []);
    assert.deepEqual(readdirSync(store.directory), [".trash"]);
  });

  it("drops a copy that may be half made", async () => {
    await store.create(aRecord("data"), async (data) => writeFileSync(join(data, "old"), ""));
    const copy = store.makeCopy("data");
    writeFileSync(join(copy, "new"), "");

    reopen();

    assert.deepEqual(readdirSync(store.data("data")), ["old"]);
    assert.ok(!existsSync(copy));
  });

  for (const isDataGone of [false, true]) {
    it(`goes on with a whole copy that was taking the place of ${isDataGone ? "data that is gone" : "the data"}`, async () => {
      await store.create(aRecord("data"), async (data) => writeFileSync(join(data, "old"), ""));
      mkdirSync(join(store.place("data"), "fill"));
      writeFileSync(join(store.place("data"), "fill/new"), "");
      if (isDataGone) renameSync(store.data("data"), join(store.trash.directory, "cut-off-here"));

      reopen();

      assert.deepEqual(readdirSync(store.data("data")), ["new"]);
      assert.deepEqual(readdirSync(store.place("data")).sort(), ["data", "volume.json"]);
    });
  }

  it("replaces data, or fills what is empty", async () => {
    await store.create(aRecord("data"));
    const copies = ["one", "two", "three"].map((name) => {
      const copy = store.makeCopy("data");
      writeFileSync(join(copy, name), "");
      return copy;
    });

    assert.ok(await store.fillData("data", copies[0] ?? "", { durable: true }));
    assert.ok(!(await store.fillData("data", copies[1] ?? "", { durable: true })));
    assert.deepEqual(readdirSync(store.data("data")), ["one"]);
    await store.replaceData("data", copies[2] ?? "");
    assert.deepEqual(readdirSync(store.data("data")), ["three"]);
  });

  it("keeps a volume whose record can't be read, and names it", async () => {
    await store.create(aRecord("data"));
    const path = join(store.place("data"), "volume.json");
    writeFileSync(path, "{");

    assert.deepEqual(reopen(), { records: [], broken: [path] });
    assert.ok(existsSync(store.data("data")));
  });

  it("knows a volume no more once it is removed", async () => {
    await store.create(aRecord("data"));
    await store.remove("data");

    assert.deepEqual(reopen().records, []);
    assert.ok(!existsSync(store.place("data")));
  });

  it("keeps whole snapshots, and sweeps others", async () => {
    await store.create(aRecord("data"));
    const record = { format: 1, name: "one", createdAtMs: 2 } as const;
    await store.createSnapshot("data", record, async (data) => writeFileSync(join(data, "file"), ""));
    mkdirSync(store.snapshot("data", ".new-two"));

    reopen();

    assert.deepEqual(store.snapshots("data"), [record]);
    assert.deepEqual(readdirSync(join(store.place("data"), "snapshots")), ["one"]);
    await store.removeSnapshot("data", "one");
    assert.deepEqual(store.snapshots("data"), []);
  });
});
