import { execFile } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { isErrno } from "../../base/errno.ts";
import { messageOf, OnggiError } from "../../base/error.ts";
import type { Mount } from "../../program/mount.ts";
import { syncFileSystem } from "../file-system.ts";
import type { DriverCandidate, SnapshotDriver } from "../snapshotter.ts";
import { treeUsage } from "../tree-usage.ts";

const run = promisify(execFile);

export const vfsCandidate: DriverCandidate = {
  name: "vfs",
  probe: async () => undefined,
  open: async (directory) => openVfs(directory),
};

/**
 * Snapshots as whole copies: works on any file system, slowly, and takes the image's size for each container unless the
 * file system shares blocks between copies (xfs with reflink, btrfs).
 *
 * The copying is coreutils' `cp`, since Node knows neither extended attributes nor devices nor holes.
 */
export function openVfs(directory: string): SnapshotDriver {
  const tree = (id: string) => join(directory, id);
  return {
    name: "vfs",
    traits: { write: "copy", unit: "file" },
    list: () => readdirSync(directory).filter((name) => /^[0-9a-f]{4,}$/.test(name)),
    isWhole: (id) => existsSync(tree(id)),

    async create(id, parents, { durable }) {
      const nearest = parents[0];
      mkdirSync(tree(id), { recursive: true, mode: 0o755 });
      if (nearest === undefined) return chmodSync(tree(id), 0o755); // mkdir's mode is subject to the umask
      await copyTree(tree(nearest), tree(id));
      if (durable) await syncFileSystem(directory);
    },

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

async function copyTree(from: string, to: string): Promise<void> {
  try {
    await run("cp", ["--archive", "--reflink=auto", "--sparse=auto", "--no-target-directory", "--", from, to]);
  } catch (cause) {
    const full = /No space left on device|Disk quota exceeded/.test(messageOf(cause));
    const hint = full
      ? "The vfs driver copies whole images: free space, or choose another driver with --storage-driver."
      : undefined;
    throw new OnggiError(full ? "exhausted" : "internal", `copying the layer ${from} failed`, { hint, cause });
  }
}
