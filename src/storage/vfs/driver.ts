import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { isErrno } from "../../base/errno.ts";
import type { Mount } from "../../program/mount.ts";
import { copyTree } from "../copy-tree.ts";
import { syncFileSystem } from "../file-system.ts";
import { copyIntoImage, usageBeyondCopy } from "../image-copy.ts";
import { checkSize, imageMeans, SizedImages } from "../sized-image.ts";
import type { DriverCandidate, SnapshotDriver } from "../snapshotter.ts";
import { treeUsage } from "../tree-usage.ts";

export const vfsCandidate: DriverCandidate = {
  name: "vfs",
  probe: async () => undefined,
  open: async (directory, tools) => openVfs(directory, await SizedImages.open(directory, tools)),
};

/**
 * Snapshots as whole copies: works on any file system, slowly, and takes the image's size for each container unless the
 * file system shares blocks between copies (xfs with reflink, btrfs).
 */
export function openVfs(directory: string, images: SizedImages): SnapshotDriver {
  const means = imageMeans();
  const place = (id: string) => join(directory, id);
  const tree = (id: string) => (images.has(id) ? join(place(id), "tree") : place(id));
  return {
    name: "vfs",
    traits: { write: "copy", unit: "file", limits: { bytes: means, inodes: means } },
    list: () => readdirSync(directory).filter((name) => /^[0-9a-f]{4,}$/.test(name)),
    isWhole: (id) => images.isBroken(id) || existsSync(tree(id)),

    async create(id, parents, { durable, limit }) {
      const nearest = parents[0];
      if (limit !== undefined) {
        checkSize(limit);
        const below = nearest === undefined ? undefined : tree(nearest);
        return copyIntoImage(images, id, { limit, durable, below, tree: join(place(id), "tree") });
      }
      mkdirSync(tree(id), { recursive: true, mode: 0o755 });
      if (nearest === undefined) return chmodSync(tree(id), 0o755); // mkdir's mode is subject to the umask
      await copyTree(tree(nearest), tree(id));
      if (durable) await syncFileSystem(directory);
    },

    copy: (from, to) => copyTree(tree(from), tree(to)),
    layerTree: tree,
    async freeze(id) {
      if (images.has(id)) await images.flatten(id, (from, to) => copyTree(join(from, "tree"), to));
      await syncFileSystem(directory);
    },

    discard(id, trash) {
      if (images.has(id)) return images.discard(id, trash).then(() => renameTolerant(place(id), trash));
      return renameTolerant(place(id), trash);
    },

    mounts(id, parents, { writable }): readonly Mount[] {
      images.check(id);
      if (writable) return [{ type: "bind", source: tree(id), options: [] }];
      return [{ type: "bind", source: tree(parents[0] ?? id), options: [], readonly: true }];
    },

    writable: (id) => ({ directory: tree(id), whiteouts: "remove" }),
    usage: async (id) => (images.has(id) ? usageBeyondCopy(images, id, tree(id)) : treeUsage(tree(id))),
    describe: () => ({}),
    close: () => images.close(),
  };
}

function renameTolerant(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}
