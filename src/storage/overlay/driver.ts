import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { isErrno } from "../../base/errno.ts";
import { copyTree } from "../copy-tree.ts";
import { syncFileSystem } from "../file-system.ts";
import { imageMeans, SizedImages } from "../sized-image.ts";
import type { DriverCandidate, SnapshotDriver } from "../snapshotter.ts";
import { treeUsage } from "../tree-usage.ts";
import { lowerFile, type OverlayFeatures, overlayMounts } from "./mounts.ts";
import { overlayFeatures, probeOverlay } from "./probe.ts";
import { ProjectQuota } from "./project-quota.ts";

export const overlayCandidate: DriverCandidate = {
  name: "overlay",
  probe: probeOverlay,
  async open(directory, tools) {
    const [features, images, quota] = await Promise.all([
      overlayFeatures(directory),
      SizedImages.open(directory, tools),
      ProjectQuota.open(directory, tools),
    ]);
    return openOverlay(directory, features, images, quota);
  },
};

/**
 * Snapshots as plain directories that the kernel lays over each other.
 *
 * ```
 * <id>/diff   what the snapshot changes          <id>/work   the kernel's own, for the writable one
 * and once it is frozen:
 * <id>/link   its short name                     <id>/lower  its parents, nearest first
 * l/<link> -> ../<id>/diff
 * ```
 *
 * A container's tree is three directories and no file: its start and its end cost little.
 */
export function openOverlay(
  directory: string,
  features: OverlayFeatures,
  images: SizedImages,
  quota: ProjectQuota | undefined,
): SnapshotDriver {
  const means = quota === undefined ? imageMeans() : "native";
  const diff = (id: string) => join(directory, id, "diff");
  const work = (id: string) => join(directory, id, "work");
  const short = (id: string) => join(directory, "l", shortName(id));
  const treeOf = (id: string, parents: readonly string[]) => ({
    upper: diff(id),
    work: work(id),
    lowers: parents.map(short),
  });

  mkdirSync(join(directory, "l"), { recursive: true, mode: 0o700 });
  sweepLinks(directory);

  return {
    name: "overlay",
    traits: { write: "copy-on-write", unit: "file", limits: { bytes: means, inodes: means } },
    list: () => readdirSync(directory).filter((name) => /^[0-9a-f]{4,}$/.test(name)),
    isWhole: (id) => images.isBroken(id) || (existsSync(diff(id)) && existsSync(work(id))),

    async create(id, parents, { durable, limit }) {
      mkdirSync(join(directory, id), { recursive: true, mode: 0o700 });
      if (limit !== undefined) {
        if (quota !== undefined && !images.has(id)) await quota.create(id, limit);
        else await images.create(id, limit, { durable });
      }
      makeRoot(diff(id), parents[0] === undefined ? undefined : diff(parents[0]));
      mkdirSync(work(id), { recursive: true, mode: 0o700 });
    },

    async copy(from, to) {
      mkdirSync(join(directory, to), { recursive: true, mode: 0o700 });
      await copyTree(diff(from), diff(to));
      mkdirSync(work(to), { recursive: true, mode: 0o700 });
    },

    rebase(id, [nearest], ownRoot) {
      if (nearest !== undefined && !ownRoot) makeRoot(diff(id), diff(nearest));
    },

    layerTree: diff,

    async freeze(id, parents) {
      if (images.has(id)) await images.flatten(id, copyDiff);
      if (quota?.has(id)) await quota.release(id);
      if (parents.length > 0) {
        writeFileSync(join(directory, id, "lower"), lowerFile(parents.map(shortName)), { mode: 0o600 });
      }
      writeFileSync(join(directory, id, "link"), shortName(id), { mode: 0o600 });
      linkShort(id, short(id));
      await syncFileSystem(directory);
    },

    discard(id, trash) {
      const vanish = () => {
        renameTolerant(join(directory, id), trash);
        rmSync(short(id), { force: true });
      };
      if (images.has(id)) return images.discard(id, trash).then(vanish);
      if (quota?.has(id)) return quota.release(id).then(vanish);
      return vanish();
    },

    mounts(id, parents, how) {
      images.check(id);
      if (!how.durable && how.writable) forgetVolatile(work(id));
      return overlayMounts(treeOf(id, parents), how, features);
    },

    writable: (id) => ({ directory: diff(id), whiteouts: "overlay" }),
    async usage(id) {
      if (images.has(id)) return images.usage(id);
      return quota?.has(id) ? quota.usage(id) : treeUsage(join(directory, id));
    },

    /** Docker's names. MergedDir is in the container's own mount namespace, so on the host nothing is there. */
    describe: (id, parents) => ({
      ...(parents.length > 0 ? { LowerDir: parents.map(diff).join(":") } : {}),
      MergedDir: join(directory, id, "merged"),
      UpperDir: diff(id),
      WorkDir: work(id),
    }),

    close: () => images.close(),
  };
}

/** What is frozen must not stand on an image, which would have to be mounted for ever. */
async function copyDiff(from: string, to: string): Promise<void> {
  mkdirSync(to, { recursive: true, mode: 0o700 });
  await copyTree(join(from, "diff"), join(to, "diff"));
  mkdirSync(join(to, "work"), { mode: 0o700 });
}

/** The name in `l/`: 48 random bits in base 36, so at most 10 characters. */
function shortName(id: string): string {
  return Number.parseInt(id, 16).toString(36).toUpperCase();
}

/** The merged root has the mode and owner of the upper directory, so that is made like the one below it. */
function makeRoot(directory: string, below: string | undefined): void {
  const like = below === undefined ? { mode: 0o755, uid: 0, gid: 0 } : statSync(below);
  mkdirSync(directory, { recursive: true, mode: like.mode & 0o777 });
  chmodSync(directory, like.mode & 0o7777); // mkdir's mode is subject to the umask
  if (like.uid !== 0 || like.gid !== 0) chownSync(directory, like.uid, like.gid);
}

function linkShort(id: string, path: string): void {
  try {
    symlinkSync(join("..", id, "diff"), path);
  } catch (error) {
    if (!isErrno(error, "EEXIST")) throw error;
  }
}

function renameTolerant(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}

/**
 * A `volatile` mount leaves a mark that forbids the next one, lest somebody trusts data that a power cut may have torn.
 * Who asks for it has said that a power cut may take it all, and start-up after one drops it.
 */
function forgetVolatile(work: string): void {
  rmSync(join(work, "work", "incompat"), { recursive: true, force: true });
}

/** Removes short names whose tree went while its name could not. */
function sweepLinks(directory: string): void {
  for (const name of readdirSync(join(directory, "l"))) {
    const path = join(directory, "l", name);
    if (!existsSync(join(directory, "l", readlinkSync(path)))) rmSync(path);
  }
}
