import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { Journal } from "./journal.ts";

describe("Journal", () => {
  let folder: string;
  let path: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "onggi-journal-"));
    path = join(folder, "journal");
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  const reopened = () => {
    const { journal, values, damaged } = Journal.open(path);
    journal.close();
    return { values: Object.fromEntries(values), damaged };
  };

  it("knows the last value of each key again, and none of what was removed", async () => {
    const { journal } = Journal.open(path);
    await Promise.all([journal.put("a", 1), journal.put("b", { text: "line\nbreak" }), journal.put("c", 3)]);
    await journal.put("a", 2);
    await journal.remove("c");
    await journal.remove("unknown");
    journal.close();
    assert.deepEqual(reopened(), { values: { a: 2, b: { text: "line\nbreak" } }, damaged: 0 });
  });

  it("cuts off what a power cut tore, at whatever byte", async () => {
    const { journal } = Journal.open(path);
    await journal.put("first", "kept");
    const whole = statSync(path).size;
    await journal.put("second", "torn");
    journal.close();
    const bytes = readFileSync(path);
    for (let end = whole; end < bytes.length; end++) {
      writeFileSync(path, bytes.subarray(0, end));
      assert.deepEqual(reopened(), { values: { first: "kept" }, damaged: 0 });
      assert.equal(statSync(path).size, whole);
    }
    writeFileSync(path, bytes.fill(0, whole));
    assert.deepEqual(reopened(), { values: { first: "kept" }, damaged: 0 });
  });

  it("goes on behind a torn line", async () => {
    const first = Journal.open(path).journal;
    await first.put("a", 1);
    first.close();
    appendFileSync(path, "0000");
    const second = Journal.open(path).journal;
    await second.put("b", 2);
    second.close();
    assert.deepEqual(reopened(), { values: { a: 1, b: 2 }, damaged: 0 });
  });

  it("counts lines that were damaged later, and keeps the others", async () => {
    const { journal } = Journal.open(path);
    await journal.put("a", 1);
    const place = statSync(path).size - 3;
    await journal.put("b", 2);
    journal.close();
    const bytes = readFileSync(path);
    bytes[place] = 0x21;
    writeFileSync(path, bytes);
    assert.deepEqual(reopened(), { values: { b: 2 }, damaged: 1 });
  });

  it("stays in proportion to what is true, and loses nothing while it is written anew", async () => {
    const { journal } = Journal.open(path);
    const text = "x".repeat(10_000);
    await journal.put("kept", "all the time");
    for (let i = 0; i < 300; i++) await journal.put("busy", text + i);
    assert.ok(statSync(path).size < 2 * 1024 * 1024, `${statSync(path).size} bytes`);
    journal.close();
    assert.deepEqual(reopened().values, { kept: "all the time", busy: `${text}299` });
  });

  it("goes on after a change that can't be written", async () => {
    const { journal } = Journal.open(path);
    await journal.put("a", 1);
    const cyclic: Record<string, unknown> = {};
    cyclic.self = cyclic;
    await assert.rejects(journal.put("b", cyclic), TypeError);
    await journal.put("c", 3);
    journal.close();
    assert.deepEqual(reopened().values, { a: 1, c: 3 });
  });
});
