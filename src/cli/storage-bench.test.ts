import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { serveFake } from "../api/testing/serve.ts";
import type { StorageMeasureBody } from "../api/wire.ts";
import { storageBenchTable } from "./storage-bench.ts";

describe("storage bench", () => {
  it("sets drivers side by side, and says who couldn't be measured", async () => {
    await using api = await serveFake();
    const { text } = await api.call("POST /onggi/v1/storage/bench", {
      Drivers: ["overlay", "btrfs"],
      LargeBytes: 2 ** 20,
    });
    const measures = text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as StorageMeasureBody);
    assert.deepEqual(
      storageBenchTable(measures).map((line) => line.split(/ {3,}/)),
      [
        ["WHAT", "overlay", "btrfs"],
        ["a clone is made", "0.25 ms", "0.25 ms"],
        ["a file of the lowest layer is looked up (1 layer)", "4.00 µs", "4.00 µs"],
        ["a file of the lowest layer is looked up (10 layers)", "12 µs", "12 µs"],
        ["what the first byte takes on the disk", "2KiB", "2KiB"],
        ["zfs wasn't measured: there is no zfs here"],
      ],
    );
  });

  it("refuses what it can't measure with", async () => {
    await using api = await serveFake();
    for (const body of [{ Drivers: "overlay" }, { LargeBytes: 12 }, { LargeBytes: 2 ** 20 + 0.5 }]) {
      assert.equal((await api.call("POST /onggi/v1/storage/bench", body)).status, 400);
    }
  });
});
