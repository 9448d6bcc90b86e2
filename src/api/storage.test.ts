import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { serveFake } from "./testing/serve.ts";
import type { LayerTreeBody, StorageBody } from "./wire.ts";

describe("storage", () => {
  it("tells use of the file system and who holds which layer", async () => {
    await using api = await serveFake();
    const storage = (await api.call("GET /onggi/v1/storage")).json<StorageBody>();
    assert.deepEqual(storage.FileSystem.Bytes, { Total: 1000, Used: 500, Free: 500, Percent: 50 });
    assert.deepEqual(storage.Layers[0]?.Images, ["alpine:latest"]);
  });

  it("tells why a layer stays", async () => {
    await using api = await serveFake();
    const tree = (await api.call("GET /onggi/v1/storage/why?name=alpine")).json<LayerTreeBody>();
    assert.deepEqual([tree.Kind, tree.Images], ["layer", ["alpine:latest"]]);
    assert.equal((await api.call("GET /onggi/v1/storage/why?name=nothing")).status, 404);
  });

  it("tells each problem in a line, and whether it was repaired", async () => {
    await using api = await serveFake();
    api.engine.storage.problems.push({
      subject: "blob",
      id: "sha256:1",
      problem: "a blob is missing",
      remedy: "Pull it again.",
      state: "found",
    });
    const found = await api.call("POST /onggi/v1/storage/check");
    assert.deepEqual(JSON.parse(found.text), {
      Subject: "blob",
      Id: "sha256:1",
      Problem: "a blob is missing",
      Remedy: "Pull it again.",
      State: "found",
    });
    const repaired = await api.call("POST /onggi/v1/storage/check?repair=1");
    assert.equal((JSON.parse(repaired.text) as { State: string }).State, "repaired");
  });
});
