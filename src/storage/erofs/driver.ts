import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { isErrno } from "../../base/errno.ts";
import { OnggiError } from "../../base/error.ts";
import { copyTree } from "../copy-tree.ts";
import { imageMeans, SizedImages } from "../sized-image.ts";
import type { DriverCandidate, SnapshotDriver } from "../snapshotter.ts";
import { treeUsage } from "../tree-usage.ts";
import { Chains } from "./chain.ts";
import { freezeTree, type StartWorker } from "./freeze-tree.ts";
import { importArchive } from "./import-layer.ts";
import { layerFile } from "./layer-files.ts";
import { erofsMounts } from "./mounts.ts";
import { probeErofs } from "./probe.ts";
import { SharedImages } from "./shared-images.ts";
import { verifyLayer } from "./verify.ts";

export const erofsCandidate: DriverCandidate = {
  name: "erofs",
  probe: probeErofs,
  async open(directory, tools) {
    const { work } = tools;
    if (work === undefined) throw new OnggiError("unsupported", "the storage driver erofs needs the executor");
    const shared = await SharedImages.open(directory, tools);
    return openErofs(directory, work, await SizedImages.open(directory, tools), shared);
  },
};

/** Between the end of a freeze and the end of what was frozen: by then its record says so. */
const thawableMs = 5000;

/**
 * Layers as files that the kernel mounts: the archive as it came, and a small image that says what lies where in it.
 *
 * ```
 * <id>/{diff,work}                 a writable tree, as overlay has it
 * <id>/{tar,layer.erofs,layer.json}   a layer; `data` beside or instead of `tar` where contents had to be copied
 * <id>/{merged.erofs,merged.json}  the image of it and all below it, once something stands on it
 * shared/<id>/                     where containers find that image, mounted once for all, in the executor's mount namespace
 * lower/                           where who can't see that mounts the image for himself; on the host both are empty
 * ```
 *
 * A container has one lower directory, however many layers its image has.
 */
export function openErofs(
  directory: string,
  startWorker: StartWorker,
  images: SizedImages,
  shared: SharedImages,
): SnapshotDriver {
  const means = imageMeans();
  const tree = (id: string) => join(directory, id);
  const diff = (id: string) => join(directory, id, "diff");
  const work = (id: string) => join(directory, id, "work");
  const lower = join(directory, "lower");
  const isFrozen = (id: string) => existsSync(join(tree(id), layerFile.index));
  const hasFolders = (id: string) => existsSync(diff(id)) && existsSync(work(id));
  const chains = new Chains(directory);
  /** Frozen trees whose folders are still there. */
  const thawable = new Map<string, NodeJS.Timeout | undefined>();

  const dropFolders = async (id: string): Promise<void> => {
    clearTimeout(thawable.get(id));
    if (!thawable.delete(id)) return;
    await rm(diff(id), { recursive: true, force: true });
    await rm(work(id), { recursive: true, force: true });
  };
  const freeze = async (from: string, to: string, parents: readonly string[]): Promise<void> => {
    await freezeTree(startWorker, from, tree(to), parents.length === 0);
    if (parents.length > 0) chains.soon([to, ...parents]);
  };

  mkdirSync(lower, { recursive: true, mode: 0o755 });

  return {
    name: "erofs",
    traits: { write: "copy-on-write", unit: "file", limits: { bytes: means, inodes: means } },

    list() {
      const ids = readdirSync(directory).filter((name) => /^[0-9a-f]{4,}$/.test(name));
      for (const id of ids) if (isFrozen(id) && hasFolders(id)) thawable.set(id, undefined);
      return ids;
    },

    isWhole: (id) => images.isBroken(id) || isFrozen(id) || hasFolders(id),

    async create(id, parents, { durable, limit }) {
      const [nearest] = parents;
      const image = nearest === undefined ? undefined : chains.imageOf(parents);
      if (nearest !== undefined) await dropFolders(nearest);
      if (nearest !== undefined && image !== undefined) await shared.share(nearest, image);
      mkdirSync(tree(id), { recursive: true, mode: 0o700 });
      if (limit !== undefined) await images.create(id, limit, { durable });
      makeRoot(diff(id), image?.root ?? emptyRoot);
      mkdirSync(work(id), { recursive: true, mode: 0o700 });
    },

    copy: (from, to, parents) => freeze(diff(from), to, parents),

    async importLayer(id, parents, layer) {
      await importArchive(tree(id), layer, parents.length === 0);
      if (parents.length > 0) chains.soon([id, ...parents]);
    },

    async freeze(id, parents) {
      if (isFrozen(id) && !hasFolders(id)) return;
      if (images.has(id)) await images.flatten(id, copyFolders);
      await freeze(diff(id), id, parents);
      // Until its record says that it is frozen, what was written in it must stay in reach.
      const timer = setTimeout(() => void dropFolders(id).catch(() => {}), thawableMs);
      timer.unref();
      thawable.set(id, timer);
    },

    discard(id, trash) {
      chains.forget(id);
      clearTimeout(thawable.get(id));
      thawable.delete(id);
      const vanish = () => renameTolerant(tree(id), trash);
      if (isFrozen(id)) return shared.drop(id).then(vanish);
      return images.has(id) ? images.discard(id, trash).then(vanish) : vanish();
    },

    mounts(id, parents, how) {
      images.check(id);
      if (!how.durable && how.writable) forgetVolatile(work(id));
      const [nearest] = parents;
      const image = nearest === undefined ? undefined : chains.imageOf(parents);
      const places = { upper: diff(id), work: work(id), lower, image };
      if (nearest === undefined || image === undefined || how.atOnce !== true) return erofsMounts(places, how);
      // For the next one, where this executor is a new one.
      void shared.share(nearest, image);
      return erofsMounts({ ...places, shared: shared.find(nearest) }, how);
    },

    writable: (id) => ({ directory: diff(id), whiteouts: "overlay" }),

    layerTar(id) {
      const path = join(tree(id), layerFile.archive);
      return existsSync(path) ? path : undefined;
    },

    usage: async (id) => (images.has(id) ? images.usage(id) : treeUsage(tree(id))),

    describe(id, parents) {
      if (isFrozen(id)) return { Image: join(tree(id), layerFile.image) };
      const image = parents.length === 0 ? undefined : chains.imageOf(parents);
      return {
        // Docker's names. What is mounted is in the container's own mount namespace, so on the host nothing is there.
        ...(image === undefined ? {} : { LowerDir: lower, Image: image.path, Devices: image.devices.join(":") }),
        MergedDir: join(tree(id), "merged"),
        UpperDir: diff(id),
        WorkDir: work(id),
      };
    },

    verify: (id) => verifyLayer(tree(id)),

    async close() {
      chains.close();
      for (const [id, timer] of [...thawable]) if (timer !== undefined) await dropFolders(id);
      await shared.close();
      await images.close();
    },
  };
}

const emptyRoot = { mode: 0o755, uid: 0, gid: 0 };

/** The merged root has the mode and owner of the upper directory, so that is made like the one below it. */
function makeRoot(directory: string, { mode, uid, gid }: typeof emptyRoot): void {
  mkdirSync(directory, { recursive: true, mode: mode & 0o777 });
  chmodSync(directory, mode); // mkdir's mode is subject to the umask
  if (uid !== 0 || gid !== 0) chownSync(directory, uid, gid);
}

/** What is frozen must not stand on a file system of its own, which would have to be mounted for ever. */
async function copyFolders(from: string, to: string): Promise<void> {
  mkdirSync(to, { recursive: true, mode: 0o700 });
  await copyTree(join(from, "diff"), join(to, "diff"));
  mkdirSync(join(to, "work"), { mode: 0o700 });
}

/** A `volatile` mount leaves a mark that forbids the next one; who asks for it has said that a power cut may take all of it. */
function forgetVolatile(work: string): void {
  rmSync(join(work, "work", "incompat"), { recursive: true, force: true });
}

function renameTolerant(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}
