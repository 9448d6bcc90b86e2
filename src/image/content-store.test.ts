import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { digestOf } from "../oci/digest.ts";
import { ContentStore } from "./content-store.ts";

let folder: string;
let store: ContentStore;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "onggi-content-"));
  store = await ContentStore.open(folder);
});
afterEach(() => rmSync(folder, { recursive: true }));

const kept = () => readdirSync(join(folder, "sha256"));

describe("ContentStore", () => {
  it("keeps a stream under its digest", async () => {
    const chunks = [Buffer.alloc(700_000, 1), Buffer.alloc(700_000, 2), Buffer.from("end")];
    const blob = await store.ingest(chunks);
    assert.deepEqual(blob, { digest: digestOf(Buffer.concat(chunks)), size: 1_400_003 });
    assert.deepEqual(await store.read(blob.digest), Buffer.concat(chunks));
    assert.deepEqual(Buffer.concat(await Array.fromAsync(store.stream(blob.digest))), Buffer.concat(chunks));
    assert.deepEqual(store.list(), [blob.digest]);
  });

  it("keeps nothing of a stream that isn't what was expected, or breaks", async () => {
    const text = [Buffer.from("text")];
    await assert.rejects(store.ingest(text, { digest: digestOf("other") }), {
      code: "corrupt",
      message: /has the digest/,
    });
    await assert.rejects(store.ingest(text, { size: 5 }), { code: "corrupt", message: /has 4 bytes instead of 5/ });
    async function* broken() {
      yield Buffer.from("half");
      throw new Error("broken");
    }
    await assert.rejects(store.ingest(broken()), /broken/);
    assert.deepEqual(kept(), []);
  });

  it("forgets what a crash left half-written", async () => {
    const ingest = await store.begin();
    await ingest.write(Buffer.alloc(2 << 20));
    assert.equal(kept().length, 1);
    await ContentStore.open(folder);
    assert.deepEqual(kept(), []);
    await ingest.abort();
  });

  it("deletes a blob only while nobody holds it", async () => {
    const { digest, size } = await store.put("x");
    const first = store.hold(digest);
    const second = store.hold(digest);
    first();
    first();
    assert.equal(store.delete(digest), 0);
    second();
    assert.equal(store.delete(digest), size);
    assert.equal(store.has(digest), false);
    await assert.rejects(store.read(digest), { code: "not_found" });
  });

  it("takes the same blob twice at once", async () => {
    const [a, b] = await Promise.all([store.put("same"), store.put("same")]);
    assert.deepEqual(a, b);
    assert.equal(kept().length, 1);
  });
});
