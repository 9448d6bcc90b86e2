import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { isErrno } from "../../base/errno.ts";
import { OnggiError } from "../../base/error.ts";
import type { Mount } from "../../program/mount.ts";
import { command } from "../../program/quote.ts";
import { copyTree } from "../copy-tree.ts";
import { syncFileSystem } from "../file-system.ts";
import { copyIntoImage, usageBeyondCopy } from "../image-copy.ts";
import { shareMounts, unshareMounts } from "../share-mounts.ts";
import { imageMeans, SizedImages } from "../sized-image.ts";
import type { DriverCandidate, DriverTools, SnapshotDriver } from "../snapshotter.ts";
import { destroyDataset, listDatasets, numberOf } from "./datasets.ts";
import { baseDataset } from "./pool.ts";
import { probeZfs } from "./probe.ts";
import { runZfs, runZfsWhenFree } from "./programs.ts";

export const zfsCandidate: DriverCandidate = {
  name: "zfs",
  probe: probeZfs,
  open: openZfs,
};

/** The file in a folder of the trash that names the dataset to delete. */
const doomedName = "dataset";
/** At the end of the name of a mount point whose dataset isn't whole yet. */
const halfMade = "-new";
/** How many files a dataset had when it was made, but for its root. */
const inheritedFiles = "onggi:files";
/** What is counted is what was written out: asking makes that happen, this often at most. */
const flushEveryMs = 10_000;

/**
 * Snapshots as datasets of a ZFS pool: a frozen one has a snapshot `@frozen`, of which others are clones.
 *
 * ```
 * BASE/<id>, mounted at <id>   the dataset of a snapshot
 * BASE/<id>@frozen             what clones stand on
 * trash/<name>/dataset         the name of one that is to be deleted
 * pool.json                    the pool that was made for this data root
 * images/…, <id>/tree          see SizedImages: a dataset can't be held to a number of inodes, so a copy in one of these is
 * ```
 */
async function openZfs(directory: string, tools: DriverTools): Promise<SnapshotDriver> {
  const base = await baseDataset(directory, tools.options?.["zfs.fsname"]);
  if (base === undefined) throw new OnggiError("unsupported", `there is no ZFS pool for ${directory}`);
  await shareMounts(directory, tools);
  const images = await SizedImages.open(directory, tools);
  const place = (id: string) => join(directory, id);
  const tree = (id: string) => (images.has(id) ? join(place(id), "tree") : place(id));
  const dataset = (id: string) => `${base}/${id}`;
  const trash = join(directory, "trash");
  const known = await openDatasets(base, directory);
  const isDoomed = (name: string) => doomedDatasets(trash).includes(name);

  let flushedAt = Number.NEGATIVE_INFINITY;

  const clone = async (snapshot: string, id: string, options: readonly string[]): Promise<void> => {
    await runZfs("zfs", "clone", "-o", `mountpoint=${tree(id)}`, ...options, snapshot, dataset(id));
    known.add(id);
  };
  const options = (property: string, value: number | undefined): readonly string[] =>
    value === undefined ? [] : ["-o", `${property}=${value}`];

  const makeEmpty = async (id: string, mountPoint: string, more: readonly string[] = []): Promise<void> => {
    await runZfs("zfs", "create", "-o", `mountpoint=${mountPoint}`, ...more, dataset(id));
    await runZfs("zfs", "set", `${inheritedFiles}=${filesIn(mountPoint) - 1}`, dataset(id));
    known.add(id);
  };

  /** Puts a copy in the place of an image. */
  const flatten = async (id: string): Promise<void> => {
    await makeEmpty(id, place(`${id}${halfMade}`));
    await copyTree(tree(id), place(`${id}${halfMade}`));
    await images.discard(id, join(trash, id));
    rmdirTolerant(place(id));
    await runZfsWhenFree("zfs", "set", `mountpoint=${place(id)}`, dataset(id));
    rmdirTolerant(place(`${id}${halfMade}`));
  };

  return {
    name: "zfs",
    traits: { write: "redirect-on-write", unit: "block", limits: { bytes: "native", inodes: imageMeans() } },

    list() {
      const doomed = new Set(doomedDatasets(trash));
      const folders = readdirSync(directory).filter((name) => /^[0-9a-f]{4,}$/.test(name));
      return [...new Set([...folders, ...known])].filter((id) => !doomed.has(dataset(id)));
    },

    isWhole: (id) => images.isBroken(id) || (images.has(id) ? existsSync(tree(id)) : known.has(id)),

    async create(id, [nearest], { durable, limit }) {
      if (limit?.inodes !== undefined) {
        const below = nearest === undefined ? undefined : tree(nearest);
        return copyIntoImage(images, id, { limit, durable, below, tree: join(place(id), "tree") });
      }
      if (nearest === undefined) return makeEmpty(id, place(id), options("refquota", limit?.bytes));
      const below = `${dataset(nearest)}@frozen`;
      const quota = limit?.bytes === undefined ? undefined : limit.bytes + (await numberOf(below, "referenced"));
      const files = options(inheritedFiles, filesIn(tree(nearest)) - 1);
      await clone(below, id, [...files, ...options("refquota", quota)]);
    },

    async copy(from, to) {
      await syncFileSystem(tree(from));
      if (images.has(from)) {
        await makeEmpty(to, place(to));
        return copyTree(tree(from), tree(to));
      }
      const snapshot = `${dataset(from)}@${to}`;
      await runZfs("zfs", "snapshot", snapshot);
      await clone(snapshot, to, options(inheritedFiles, await numberOf(dataset(from), inheritedFiles)));
    },

    layerTree: tree,

    async freeze(id) {
      if (images.has(id)) await flatten(id);
      await syncFileSystem(tree(id));
      // A snapshot waits for the disk. One that an earlier try made is older than what was written since.
      await runZfs("zfs", "destroy", `${dataset(id)}@frozen`).catch(() => {});
      await runZfs("zfs", "snapshot", `${dataset(id)}@frozen`);
      await runZfs("zfs", "set", "readonly=on", dataset(id));
    },

    discard(id, trashed) {
      if (images.has(id)) return images.discard(id, trashed).then(() => renameTolerant(place(id), trashed));
      if (!known.has(id)) return renameTolerant(place(id), trashed);
      mkdirSync(trashed, { mode: 0o700 });
      writeFileSync(join(trashed, doomedName), dataset(id), { mode: 0o600 });
      known.delete(id);
    },

    async empty(trashed) {
      const name = doomedDataset(trashed);
      if (name === undefined) return false;
      try {
        await destroyDataset(base, name, isDoomed);
      } catch {
        return true; // Its name stays, for the next time that the trash is emptied.
      }
      rmdirTolerant(place(name.slice(base.length + 1)));
      return false;
    },

    mounts(id, parents, { writable }): readonly Mount[] {
      images.check(id);
      if (writable) return [{ type: "bind", source: tree(id), options: [] }];
      return [{ type: "bind", source: tree(parents[0] ?? id), options: [], readonly: true }];
    },

    writable: (id) => ({ directory: tree(id), whiteouts: "remove" }),

    /** ZFS knows how many files a dataset shows, not how many are its own: those of its parent were noted when it was made. */
    async usage(id) {
      if (images.has(id)) return usageBeyondCopy(images, id, tree(id));
      if (performance.now() - flushedAt > flushEveryMs) {
        await syncFileSystem(tree(id));
        flushedAt = performance.now();
      }
      const inherited = await numberOf(dataset(id), inheritedFiles);
      return { bytes: await numberOf(dataset(id), "used"), inodes: Math.max(1, filesIn(tree(id)) - inherited) };
    },

    /** Docker's names. */
    describe: (id) => ({ ...(images.has(id) ? {} : { Dataset: dataset(id) }), Mountpoint: tree(id) }),

    cloneByHand([nearest = ""], place) {
      const name = `${base}/explain-${basename(place)}`;
      const source = join(place, "tree");
      return {
        make: [
          `# The image is the snapshot ${dataset(nearest)}@frozen; a container is a clone of it.`,
          command("zfs", "clone", "-o", `mountpoint=${source}`, `${dataset(nearest)}@frozen`, name),
        ],
        // What was mounted is let go of a moment later.
        drop: [
          `for _ in 1 2 3 4 5 6 7 8 9; do ${command("zfs", "destroy", name)} 2> /dev/null && break; sleep 0.1; done`,
        ],
        mount: { type: "bind", source, options: [] },
      };
    },

    async close() {
      await images.close();
      await unshareMounts(directory);
    },
  };
}

/** Makes the base where it isn't there, and mounts what isn't mounted. @returns the ids of this data root's datasets */
async function openDatasets(base: string, directory: string): Promise<Set<string>> {
  const isThere = await runZfs("zfs", "list", "-H", "-o", "name", base).then(
    () => true,
    () => false,
  );
  if (!isThere) await runZfs("zfs", "create", "-o", "mountpoint=none", "-o", "canmount=off", base);
  const ids = new Set<string>();
  for (const { name, mountPoint, isMounted } of await listDatasets(base)) {
    const id = name.slice(base.length + 1);
    if (mountPoint === join(directory, `${id}${halfMade}`)) await runZfsWhenFree("zfs", "destroy", "-r", name);
    // Another data root may have its datasets in the same place.
    if (mountPoint !== join(directory, id)) continue;
    ids.add(id);
    if (!isMounted) await runZfsWhenFree("zfs", "mount", name);
  }
  return ids;
}

function doomedDatasets(trash: string): readonly string[] {
  if (!existsSync(trash)) return [];
  return readdirSync(trash).flatMap((name) => doomedDataset(join(trash, name)) ?? []);
}

function doomedDataset(trashed: string): string | undefined {
  try {
    return readFileSync(join(trashed, doomedName), "utf8");
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}

function filesIn(directory: string): number {
  const { files, ffree } = statfsSync(directory);
  return files - ffree;
}

function renameTolerant(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}

function rmdirTolerant(directory: string): void {
  try {
    rmdirSync(directory);
  } catch (error) {
    if (!isErrno(error, "ENOENT", "ENOTEMPTY", "EBUSY")) throw error;
  }
}
