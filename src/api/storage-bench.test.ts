import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { serveFake } from "./testing/serve.ts";
import type { StorageMeasureBody } from "./wire.ts";

describe("POST /onggi/v1/storage/bench", () => {
  it("tells each value as it is measured", async () => {
    await using api = await serveFake();
    const { text } = await api.call("POST /onggi/v1/storage/bench", { Drivers: ["btrfs"], LargeBytes: 2 ** 20 });
    const measures = text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as StorageMeasureBody);
    assert.deepEqual(measures[0], {
      Driver: "btrfs",
      Measure: "clone",
      Title: "a clone is made",
      Layers: 1,
      Value: 0.25,
      Unit: "ms",
    });
    assert.deepEqual([measures.at(-1)?.Value, measures.at(-1)?.Reason], [null, "there is no zfs here"]);
  });

  it("refuses what it can't measure with", async () => {
    await using api = await serveFake();
    for (const body of [{ Drivers: "overlay" }, { LargeBytes: 12 }, { LargeBytes: 2 ** 20 + 0.5 }]) {
      assert.equal((await api.call("POST /onggi/v1/storage/bench", body)).status, 400);
    }
  });
});
