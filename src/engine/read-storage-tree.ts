import type { ContainerNames } from "./container-names.ts";
import { baseOf } from "./container-record.ts";
import type { Rootfs } from "./rootfs.ts";
import type { StorageTreeNode } from "./snapshot-model.ts";
import type { SnapshotTrees } from "./snapshot-trees.ts";
import { buildStorageTree, type StorageTreeInput } from "./storage-tree.ts";

export interface StorageTreeParts {
  readonly trees: SnapshotTrees;
  readonly rootfs: Rootfs;
  readonly names: ContainerNames;
  images(): Promise<StorageTreeInput["images"]>;
}

/** Measures what there is and puts it under what it stands on. */
export async function readStorageTree(
  { trees, rootfs, names, images }: StorageTreeParts,
  snapshots: readonly Omit<StorageTreeInput["snapshots"][number], "sizeBytes">[],
): Promise<readonly StorageTreeNode[]> {
  const containers = [...names.all].map(async ({ id, record, status }) => ({
    id,
    name: record.name,
    status,
    base: baseOf(record),
    imageId: record.image.id,
    sizeBytes: (await rootfs.size(record).catch(() => ({ writableBytes: 0 }))).writableBytes,
  }));
  const measured = snapshots.map(async (one) => ({ ...one, sizeBytes: await trees.bytes(one.tree) }));
  const starts = [...names.all].map(({ record }) => baseOf(record));
  return buildStorageTree({
    images: await images(),
    snapshots: await Promise.all(measured),
    containers: await Promise.all(containers),
    parentOf: (tree) => (trees.has(tree) ? trees.parentOf(tree) : undefined),
    bytesOf: await sizesBelow(trees, [...starts, ...snapshots.map(({ tree }) => tree)]),
  });
}

/** Sizes of trees and of all that they stand on; what forks share has no other name. */
async function sizesBelow(
  trees: SnapshotTrees,
  starts: readonly (string | undefined)[],
): Promise<(tree: string) => number> {
  const sizes = new Map<string, number>();
  for (const start of starts) {
    for (let tree = start; tree !== undefined && trees.has(tree) && !sizes.has(tree); tree = trees.parentOf(tree))
      sizes.set(tree, await trees.bytes(tree));
  }
  return (tree) => sizes.get(tree) ?? 0;
}
