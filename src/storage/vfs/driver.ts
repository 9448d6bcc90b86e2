import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { isErrno } from "../../base/errno.ts";
import type { Mount } from "../../program/mount.ts";
import { copyTree } from "../copy-tree.ts";
import { syncFileSystem } from "../file-system.ts";
import type { DriverCandidate, SnapshotDriver } from "../snapshotter.ts";
import { treeUsage } from "../tree-usage.ts";

export const vfsCandidate: DriverCandidate = {
  name: "vfs",
  probe: async () => undefined,
  open: async (directory) => openVfs(directory),
};

/**
 * Snapshots as whole copies: works on any file system, slowly, and takes the image's size for each container unless the
 * file system shares blocks between copies (xfs with reflink, btrfs).
 */
export function openVfs(directory: string): SnapshotDriver {
  const tree = (id: string) => join(directory, id);
  return {
    name: "vfs",
    traits: { write: "copy", unit: "file", limits: { bytes: "none", inodes: "none" } },
    list: () => readdirSync(directory).filter((name) => /^[0-9a-f]{4,}$/.test(name)),
    isWhole: (id) => existsSync(tree(id)),

    async create(id, parents, { durable }) {
      const nearest = parents[0];
      mkdirSync(tree(id), { recursive: true, mode: 0o755 });
      if (nearest === undefined) return chmodSync(tree(id), 0o755); // mkdir's mode is subject to the umask
      await copyTree(tree(nearest), tree(id));
      if (durable) await syncFileSystem(directory);
    },

    copy: (from, to) => copyTree(tree(from), tree(to)),
    freeze: () => syncFileSystem(directory),

    discard(id, trash) {
      try {
        renameSync(tree(id), trash);
      } catch (error) {
        if (!isErrno(error, "ENOENT")) throw error;
      }
    },

    mounts(id, parents, { writable }): readonly Mount[] {
      if (writable) return [{ type: "bind", source: tree(id), options: [] }];
      return [{ type: "bind", source: tree(parents[0] ?? id), options: [], readonly: true }];
    },

    writable: (id) => ({ directory: tree(id), whiteouts: "remove" }),
    usage: (id) => treeUsage(tree(id)),
    describe: () => ({}),
  };
}
