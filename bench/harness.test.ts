import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { measureTable, pairedGroups, quantile, table } from "./harness.ts";
import { markdownTable, replaceSection, rounded } from "./report.ts";

describe("quantile", () => {
  it("takes the nearest rank", () => {
    const values = [5, 1, 4, 2, 3, 6, 7, 8, 9, 10];

    assert.deepEqual(
      [0, 0.5, 0.9, 1].map((q) => quantile(values, q)),
      [1, 5, 9, 10],
    );
    assert.ok(Number.isNaN(quantile([], 0.5)));
  });
});

describe("pairedGroups", () => {
  it("keeps together what is paired, also over another", () => {
    const rows = [
      { name: "a", options: {} },
      { name: "b", options: {} },
      { name: "a2", options: { pairedWith: "a" } },
      { name: "a3", options: { pairedWith: "a2" } },
    ];

    assert.deepEqual(
      pairedGroups(rows).map((group) => group.map((row) => row.name)),
      [["a", "a2", "a3"], ["b"]],
    );
  });

  it("refuses a partner that isn't there", () => {
    assert.throws(() => pairedGroups([{ name: "b", options: { pairedWith: "a" } }]), /paired with "a"/);
  });
});

describe("measureTable", () => {
  it("measures pairs in turns, tells their ratio, and clears up", async () => {
    const order: string[] = [];
    const takes = (name: string, value: number) => () => {
      order.push(name);
      return value;
    };
    let cleared = false;
    const measured = await measureTable(
      table({
        title: "Start",
        define({ row, missing }) {
          row("slow", takes("slow", 8), { n: 3, warmUps: 0 });
          row("fast", takes("fast", 2), { pairedWith: "slow", warmUps: 0 });
          missing("docker", "docker is not installed");
          return () => {
            cleared = true;
          };
        },
      }),
    );

    assert.deepEqual(order, ["slow", "fast", "fast", "slow", "slow", "fast"]);
    assert.deepEqual(measured.results[1], {
      name: "fast",
      n: 3,
      p50: 2,
      p90: 2,
      min: 2,
      ratio: { to: "slow", factor: 0.25 },
    });
    assert.ok(cleared);
    assert.ok(
      markdownTable(measured).includes(
        "| fast | 2 | 2 | 2 | 3 | 0.25 × slow |\n| docker | | | | | not measured: docker is not installed |",
      ),
    );
  });
});

describe("rounded", () => {
  it("keeps three digits", () => {
    assert.deepEqual([0.012345, 2.34567, 23.4567, 1234.5].map(rounded), ["0.0123", "2.35", "23.5", "1,235"]);
  });
});

describe("replaceSection", () => {
  it("replaces what is between the markers and nothing else", () => {
    const page = replaceSection("# Page\n", "Start", "old");

    assert.equal(
      replaceSection(`${page}after\n`, "Start", "new"),
      "# Page\n\n<!-- bench Start -->\nnew\n<!-- /bench Start -->\nafter\n",
    );
  });
});
