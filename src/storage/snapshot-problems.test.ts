import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type SnapshotFacts, type SnapshotNode, snapshotProblems } from "./snapshot-problems.ts";

function aNode(id: string, change: Partial<SnapshotNode> = {}): SnapshotNode {
  const record = { id, kind: "committed" as const, name: `sha256:${id}`, parent: undefined, durable: true };
  return { record, parent: undefined, children: 0, kept: "synced", ...change };
}

function look(change: Partial<SnapshotFacts<SnapshotNode>>) {
  const done: string[] = [];
  const facts = { trees: [], records: [], nodes: [], underway: new Set<string>(), isWhole: () => true, ...change };
  const problems = [
    ...snapshotProblems(facts, {
      discard: async (id) => void done.push(`discard ${id}`),
      forget: async (id) => void done.push(`forget ${id}`),
      write: async ({ record }) => void done.push(`write ${record.id}`),
      create: async ({ record }) => void done.push(`create ${record.id}`),
    }),
  ];
  return { problems, done };
}

describe("snapshotProblems", () => {
  it("finds none where all is as it should be", () => {
    assert.deepEqual(look({ trees: ["a"], records: ["a"], nodes: [aNode("a")] }).problems, []);
  });

  it("removes a tree that nobody knows, but not one that is being made", async () => {
    const { problems, done } = look({ trees: ["a", "b"], underway: new Set(["b"]) });
    assert.equal(problems.length, 1);
    await problems[0]?.repair?.();
    assert.deepEqual(done, ["discard a"]);
  });

  it("keeps a tree whose record is there though it can't be used", () => {
    const { problems } = look({ trees: ["a"], records: ["a"] });
    assert.equal(problems[0]?.repair, undefined);
  });

  it("removes a record without a tree, and writes one that is missing", async () => {
    const { problems, done } = look({ trees: ["b"], records: ["a"], nodes: [aNode("b")] });
    for (const { repair } of problems) await repair?.();
    assert.deepEqual(done, ["forget a", "write b"]);
  });

  it("expects no record of what its caller remembers", () => {
    assert.deepEqual(look({ trees: ["a"], nodes: [aNode("a", { kept: "remembered" })] }).problems, []);
  });

  it("makes a writable tree again, and can't do so with a layer", async () => {
    const active = aNode("a", { record: { ...aNode("a").record, kind: "active" } });
    const { problems, done } = look({ trees: [], records: ["a", "b"], nodes: [active, aNode("b")] });
    assert.equal(problems.length, 2);
    for (const { repair } of problems) await repair?.();
    assert.deepEqual(done, ["create a"]);
  });

  it("puts counts right", async () => {
    const parent = aNode("a", { children: 3 });
    const { problems } = look({ trees: ["a", "b"], records: ["a", "b"], nodes: [parent, aNode("b", { parent })] });
    assert.equal(problems.length, 1);
    await problems[0]?.repair?.();
    assert.equal(parent.children, 1);
  });
});
