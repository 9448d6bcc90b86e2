import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { sweepTemporaryFiles, temporaryPath, writeFileAtomic, writeJsonAtomic } from "./atomic-file.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "onggi-atomic-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("writeFileAtomic", () => {
  it("replaces a file whole, with the mode asked for, and leaves nothing else", async () => {
    const path = join(folder, "state.json");
    await writeFileAtomic(path, "a much longer first content");
    await writeJsonAtomic(path, { a: [1] }, 0o644);
    assert.deepEqual(JSON.parse(readFileSync(path, "utf8")), { a: [1] });
    assert.equal(statSync(path).mode & 0o777, 0o644);
    assert.deepEqual(readdirSync(folder), ["state.json"]);
  });

  it("keeps the old content when it fails", async () => {
    const path = join(folder, "state");
    await writeFileAtomic(path, "old");
    await assert.rejects(writeFileAtomic(path, { not: "text" } as unknown as string));
    assert.equal(readFileSync(path, "utf8"), "old");
    assert.deepEqual(readdirSync(folder), ["state"]);
    await assert.rejects(writeFileAtomic(join(folder, "no/such/folder"), "x"), { code: "ENOENT" });
  });

  it("lets writers at the same time each write whole", async () => {
    const path = join(folder, "state");
    const texts = Array.from({ length: 20 }, (_, index) => String(index).repeat(10_000));
    await Promise.all(texts.map((text) => writeFileAtomic(path, text)));
    assert.ok(texts.includes(readFileSync(path, "utf8")));
    assert.deepEqual(readdirSync(folder), ["state"]);
  });
});

describe("sweepTemporaryFiles", () => {
  it("removes what a crash left, and nothing else", async () => {
    writeFileSync(join(folder, "kept"), "");
    writeFileSync(temporaryPath(join(folder, "kept")), "half");
    assert.equal((await sweepTemporaryFiles(folder)).length, 1);
    assert.deepEqual(readdirSync(folder), ["kept"]);
  });
});
