import { randomBytes } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { isErrno } from "../../base/errno.ts";
import type { Mount } from "../../program/mount.ts";
import { command } from "../../program/quote.ts";
import { copyTree } from "../copy-tree.ts";
import { copyIntoImage, usageBeyondCopy } from "../image-copy.ts";
import { imageMeans, SizedImages } from "../sized-image.ts";
import type { DriverCandidate, DriverTools, SnapshotDriver, Usage } from "../snapshotter.ts";
import { probeBtrfs } from "./probe.ts";
import { Quotas } from "./quotas.ts";
import {
  createSnapshot,
  createSubvolume,
  makeReadOnly,
  parseSubvolumeInfo,
  subvolumeInfo,
  subvolumeRootInode,
  syncAll,
} from "./requests.ts";
import { Stock } from "./stock.ts";
import { subvolumeUsage } from "./subvolume-usage.ts";
import { destroyTree, nestedSubvolumes, subvolumeIdOf } from "./subvolumes.ts";

export const btrfsCandidate: DriverCandidate = {
  name: "btrfs",
  probe: async (directory) => probeBtrfs(directory),
  open: async (directory, tools) => openBtrfs(directory, tools, await SizedImages.open(directory, tools)),
};

/** Counting sees what was written out: asking makes that happen, this often at most. */
const flushEveryMs = 10_000;

/**
 * Snapshots as subvolumes of a btrfs file system, each a snapshot of its parent's.
 *
 * ```
 * <id>/tree     the subvolume: the whole file system, which shares all that it has in common with others
 * <id>/since    for a copy: the transaction from which on its writes are its own
 * stock/<id>/n  clones of the layer <id> that nobody has asked for yet
 * images/…      see SizedImages: a subvolume can't be held to a number of inodes, so <id>/tree is a copy in one of these then
 * ```
 *
 * The folder around it lets a read-only subvolume be renamed to the trash.
 */
export function openBtrfs(directory: string, tools: DriverTools, images: SizedImages): SnapshotDriver {
  const tree = (id: string) => join(directory, id, "tree");
  const since = (id: string) => join(directory, id, "since");
  const quotas = new Quotas(directory, tools);
  const stock = new Stock({
    directory: join(directory, "stock"),
    clone: (layer, path) => tools.perform(createSnapshot(tree(layer), path)),
  });
  mkdirSync(join(directory, "trash"), { recursive: true, mode: 0o700 });
  for (const folder of stock.leftovers()) renameSync(folder, inTrash(directory, folder));
  let flushedAt = Number.NEGATIVE_INFINITY;

  /** The subvolume of a tree, and from which transaction on its writes are its own. */
  const ownPart = async (id: string): Promise<{ readonly subvolume: bigint; readonly first: bigint }> => {
    const [answer = new Uint8Array()] = await tools.perform([subvolumeInfo(tree(id))]);
    const { id: subvolume, isSnapshot, madeIn } = parseSubvolumeInfo(answer);
    if (existsSync(since(id))) return { subvolume, first: BigInt(readFileSync(since(id), "utf8")) };
    return { subvolume, first: isSnapshot ? madeIn + 1n : 0n };
  };

  const discardStock = async (id: string, trash: string): Promise<void> => {
    const folder = await stock.give(id);
    if (folder !== undefined) renameSync(folder, trash);
  };

  const makeEmpty = (path: string) => tools.perform([createSubvolume(path), { op: "chmod", path, mode: 0o755 }]);

  const copyIntoSubvolume = async (from: string, to: string): Promise<void> => {
    mkdirSync(dirname(to), { recursive: true, mode: 0o700 });
    await makeEmpty(to);
    await copyTree(from, to);
  };

  return {
    name: "btrfs",
    traits: { write: "redirect-on-write", unit: "extent", limits: { bytes: "native", inodes: imageMeans() } },
    list: () => readdirSync(directory).filter((name) => /^[0-9a-f]{4,}$/.test(name)),
    isWhole: (id) => images.isBroken(id) || (images.has(id) ? existsSync(tree(id)) : isSubvolume(tree(id))),

    async create(id, [nearest], { durable, limit }) {
      if (limit?.inodes !== undefined) {
        const below = nearest === undefined ? undefined : tree(nearest);
        return copyIntoImage(images, id, { limit, durable, below, tree: tree(id) });
      }
      mkdirSync(join(directory, id), { recursive: true, mode: 0o700 });
      if (nearest === undefined) {
        await makeEmpty(tree(id));
      } else if (!stock.take(nearest, tree(id))) {
        await tools.perform(createSnapshot(tree(nearest), tree(id)));
      }
      if (limit?.bytes !== undefined) await quotas.limit(await subvolumeIdOf(tools, tree(id)), limit.bytes);
    },

    async copy(from, to) {
      if (images.has(from)) return copyIntoSubvolume(tree(from), tree(to));
      const { first } = await ownPart(from);
      mkdirSync(join(directory, to), { recursive: true, mode: 0o700 });
      writeFileSync(since(to), String(first), { mode: 0o600 });
      await tools.perform(createSnapshot(tree(from), tree(to)));
    },

    async freeze(id) {
      if (images.has(id))
        await images.flatten(id, (from, to) => copyIntoSubvolume(join(from, "tree"), join(to, "tree")));
      await tools.perform([makeReadOnly(tree(id)), syncAll(tree(id))]);
    },

    discard(id, trash) {
      if (images.has(id)) return images.discard(id, trash).then(() => renameTolerant(join(directory, id), trash));
      renameTolerant(join(directory, id), trash);
      return stock.isStocked(id) ? discardStock(id, `${trash}-stock`) : undefined;
    },

    async empty(trashed) {
      if (!statSync(trashed).isDirectory()) return false;
      for (const name of readdirSync(trashed)) {
        if (isSubvolume(join(trashed, name))) await destroyTree(tools, join(trashed, name));
      }
      return false;
    },

    mounts(id, parents, { writable }): readonly Mount[] {
      images.check(id);
      if (writable) return [{ type: "bind", source: tree(id), options: [] }];
      return [{ type: "bind", source: tree(parents[0] ?? id), options: [], readonly: true }];
    },

    layerTree: tree,
    writable: (id) => ({ directory: tree(id), whiteouts: "remove" }),

    async usage(id) {
      if (images.has(id)) return usageBeyondCopy(images, id, tree(id));
      if (performance.now() - flushedAt > flushEveryMs) {
        await tools.perform([syncAll(directory)]);
        flushedAt = performance.now();
      }
      const { subvolume, first } = await ownPart(id);
      const own = await subvolumeUsage(tools, { path: directory, subvolume, since: first });
      const inside = await nestedSubvolumes(tools, directory, subvolume);
      const all = inside.map((nested) => subvolumeUsage(tools, { path: directory, subvolume: nested, since: 0n }));
      return (await Promise.all(all)).reduce(sum, own);
    },

    describe: (id) => ({ Subvolume: tree(id) }),

    cloneByHand([nearest = ""], place) {
      const source = join(directory, `explain-${basename(place)}`);
      return {
        make: [`${command("btrfs", "subvolume", "snapshot", tree(nearest), source)} > /dev/null`],
        drop: [`${command("btrfs", "subvolume", "delete", source)} > /dev/null`],
        mount: { type: "bind", source, options: [] },
      };
    },

    async close() {
      await images.close();
      await stock.close();
      for (const folder of stock.leftovers()) {
        for (const name of readdirSync(folder)) await destroyTree(tools, join(folder, name));
        rmdirSync(folder);
      }
    },
  };
}

function inTrash(directory: string, folder: string): string {
  return join(directory, "trash", `${basename(folder)}-stock-${randomBytes(6).toString("hex")}`);
}

function renameTolerant(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}

function sum(a: Usage, b: Usage): Usage {
  return { bytes: a.bytes + b.bytes, inodes: a.inodes + b.inodes };
}

function isSubvolume(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.ino === subvolumeRootInode;
}
