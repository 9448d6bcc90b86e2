import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseSignal, signalName } from "./signal.ts";

describe("parseSignal", () => {
  it("reads names with and without SIG, in any case, and numbers", () => {
    assert.deepEqual(["SIGTERM", "term", "15", "KILL"].map(parseSignal), [15, 15, 15, 9]);
  });

  it("reads real-time signals from either end", () => {
    assert.deepEqual(["RTMIN", "SIGRTMIN+3", "rtmax-1"].map(parseSignal), [34, 37, 63]);
  });

  it("refuses what is no signal", () => {
    for (const text of ["", "0", "65", "TERMINATE", "RTMIN-1", "-9"])
      assert.throws(() => parseSignal(text), /invalid signal/);
  });
});

describe("signalName", () => {
  it("names what has a name", () => {
    assert.deepEqual([9, 40].map(signalName), ["SIGKILL", "40"]);
  });
});
