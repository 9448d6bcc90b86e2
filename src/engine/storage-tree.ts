import type { StorageTreeNode } from "./snapshot-model.ts";
import { isOwnTree } from "./snapshot-trees.ts";

export interface StorageTreeInput {
  readonly images: readonly {
    readonly id: string;
    readonly references: readonly string[];
    readonly sizeBytes: number;
  }[];
  readonly snapshots: readonly {
    readonly id: string;
    readonly name: string;
    readonly tree: string;
    readonly imageId: string;
    readonly sizeBytes: number;
  }[];
  readonly containers: readonly {
    readonly id: string;
    readonly name: string;
    readonly status: string;
    readonly base: string | undefined;
    readonly imageId: string;
    readonly sizeBytes: number;
  }[];
  /** What a committed tree stands on. */
  parentOf(tree: string): string | undefined;
  bytesOf(tree: string): number;
}

interface Draft extends Omit<StorageTreeNode, "children"> {
  readonly children: Draft[];
}

/** Puts images, snapshots and containers under what they stand on: an image, a snapshot, or a base that only forks share. */
export function buildStorageTree(input: StorageTreeInput): readonly StorageTreeNode[] {
  const { images, snapshots, containers, parentOf, bytesOf } = input;
  const roots = new Map<string, Draft>();
  const byTree = new Map<string, Draft>();
  const image = (id: string): Draft => {
    const known = roots.get(id);
    if (known !== undefined) return known;
    // It was removed by force: its layers stay as long as they are needed.
    const gone: Draft = { kind: "image", id, name: "", sizeBytes: 0, status: "", children: [] };
    roots.set(id, gone);
    return gone;
  };
  const below = (tree: string | undefined, imageId: string): Draft => {
    if (tree === undefined || !isOwnTree(tree)) return image(imageId);
    const known = byTree.get(tree);
    if (known !== undefined) return known;
    const base: Draft = { kind: "base", id: tree, name: "", sizeBytes: bytesOf(tree), status: "", children: [] };
    byTree.set(tree, base);
    below(parentOf(tree), imageId).children.push(base);
    return base;
  };

  for (const { id, references, sizeBytes } of images)
    roots.set(id, { kind: "image", id, name: references.join(", "), sizeBytes, status: "", children: [] });
  const drafts = snapshots.map(({ id, name, tree, imageId, sizeBytes }) => {
    const draft: Draft = { kind: "snapshot", id, name, sizeBytes, status: "", children: [] };
    byTree.set(tree, draft);
    return { draft, tree, imageId };
  });
  for (const { draft, tree, imageId } of drafts) below(parentOf(tree), imageId).children.push(draft);
  for (const { id, name, status, base, imageId, sizeBytes } of containers)
    below(base, imageId).children.push({ kind: "container", id, name, sizeBytes, status, children: [] });
  return sorted([...roots.values()]);
}

function sorted(nodes: readonly Draft[]): readonly Draft[] {
  return nodes
    .map((node) => ({ ...node, children: [...sorted(node.children)] }))
    .sort((a, b) => a.name.localeCompare(b.name, "en") || a.id.localeCompare(b.id, "en"));
}
