import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { Stock } from "./stock.ts";

describe("Stock", () => {
  let root: string;
  let places = 0;
  const place = () => join(root, `place ${++places}`);
  const clone = async (layer: string, path: string) => writeFileSync(path, layer);
  const open = (make = clone) => new Stock({ directory: join(root, "stock"), clone: make });

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "onggi-stock-"));
  });

  afterEach(() => rmSync(root, { recursive: true }));

  it("has none of a layer that was cloned once only", async () => {
    const stock = open();

    assert.equal(stock.take("a", place()), false);
    assert.equal(stock.isStocked("a"), false);
    await stock.close();
    assert.deepEqual(stock.leftovers(), []);
  });

  it("makes some ready after the second time, and more when few are left", async () => {
    const stock = open();
    stock.take("a", place());
    assert.equal(stock.take("a", place()), false);
    assert.equal(stock.isStocked("a"), true);
    await stock.close();
    assert.equal(readdirSync(join(root, "stock", "a")).length, 8);
  });

  it("gives each clone once", async () => {
    const stock = open();
    for (let i = 0; i < 2; i++) stock.take("a", place());
    await new Promise(setImmediate);
    const taken = Array.from({ length: 6 }, () => stock.take("a", place()));

    assert.deepEqual(taken, [true, true, true, true, true, true]);
    assert.equal(readdirSync(root).length, 7);
    await stock.close();
  });

  it("hands over the clones of a layer that goes, those that are being made too", async () => {
    const stock = open(async (layer, path) => {
      await new Promise(setImmediate);
      writeFileSync(path, layer);
    });
    for (let i = 0; i < 2; i++) stock.take("a", place());
    const folder = await stock.give("a");

    assert.equal(readdirSync(folder ?? "").length, 8);
    assert.equal(stock.isStocked("a"), false);
  });

  it("goes without when none can be made, and finds what was left over", async () => {
    const stock = open(async () => {
      throw new Error("no space");
    });
    for (let i = 0; i < 3; i++) assert.equal(stock.take("a", place()), false);
    await stock.close();
    mkdirSync(join(root, "stock", "b"));
    assert.deepEqual(open().leftovers().toSorted(), [join(root, "stock", "a"), join(root, "stock", "b")]);
  });
});
