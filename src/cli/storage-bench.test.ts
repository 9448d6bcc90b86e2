import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { StorageMeasureBody } from "../api/wire.ts";
import { storageBenchTable } from "./storage-bench.ts";

const aMeasure = (measure: Partial<StorageMeasureBody>): StorageMeasureBody => ({
  Driver: "overlay",
  Measure: "found",
  Title: "a file is looked up",
  Layers: 1,
  Value: 4,
  Unit: "µs",
  ...measure,
});

describe("storageBenchTable", () => {
  it("sets drivers side by side, and says who couldn't be measured", () => {
    const lines = storageBenchTable([
      aMeasure({ Measure: "clone", Title: "a clone is made", Value: 0.25, Unit: "ms" }),
      aMeasure({}),
      aMeasure({ Layers: 10, Value: 12.3 }),
      aMeasure({ Driver: "btrfs" }),
      aMeasure({ Driver: "btrfs", Measure: "written", Title: "what it takes", Value: 2048, Unit: "bytes" }),
      aMeasure({ Driver: "zfs", Value: null, Reason: "there is no zfs here" }),
    ]);
    assert.deepEqual(
      lines.map((line) => line.split(/ {3,}/)),
      [
        ["WHAT", "overlay", "btrfs"],
        ["a clone is made", "0.25 ms", "-"],
        ["a file is looked up (1 layer)", "4.00 µs", "4.00 µs"],
        ["a file is looked up (10 layers)", "12 µs", "-"],
        ["what it takes", "-", "2KiB"],
        ["zfs wasn't measured: there is no zfs here"],
      ],
    );
  });
});
