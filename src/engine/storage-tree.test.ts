import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { StorageTreeNode } from "./snapshot-model.ts";
import { buildStorageTree, type StorageTreeInput } from "./storage-tree.ts";

const layer = "sha256:top";
const parents: Readonly<Record<string, string>> = { "snap-1": layer, "snap-2": "fork-1", "fork-1": "snap-1" };

function build(input: Partial<StorageTreeInput>): readonly string[] {
  const roots = buildStorageTree({
    images: [{ id: "sha256:image", references: ["host:latest"], sizeBytes: 100 }],
    snapshots: [],
    containers: [],
    parentOf: (tree) => parents[tree],
    bytesOf: () => 7,
    ...input,
  });
  const lines = (node: StorageTreeNode, depth: number): string[] => [
    `${" ".repeat(depth)}${node.kind} ${node.name || node.id} ${node.sizeBytes}`,
    ...node.children.flatMap((child) => lines(child, depth + 1)),
  ];
  return roots.flatMap((root) => lines(root, 0));
}

const container = (name: string, base: string | undefined, imageId = "sha256:image") => ({
  id: name,
  name,
  status: "running",
  base,
  imageId,
  sizeBytes: 1,
});
const snapshot = (name: string, tree: string) => ({ id: name, name, tree, imageId: "sha256:image", sizeBytes: 2 });

describe("buildStorageTree", () => {
  it("puts each under what it stands on", () => {
    const snapshots = [snapshot("fork@later", "snap-2"), snapshot("web@now", "snap-1")];
    const containers = [container("web", layer), container("fork", "fork-1"), container("back", "snap-1")];
    assert.deepEqual(build({ snapshots, containers }), [
      "image host:latest 100",
      " container web 1",
      " snapshot web@now 2",
      "  base fork-1 7",
      "   container fork 1",
      "   snapshot fork@later 2",
      "  container back 1",
    ]);
  });

  it("names an image that was removed under its containers, and containers without layers", () => {
    assert.deepEqual(build({ containers: [container("left", layer, "sha256:gone"), container("bare", undefined)] }), [
      "image sha256:gone 0",
      " container left 1",
      "image host:latest 100",
      " container bare 1",
    ]);
  });
});
