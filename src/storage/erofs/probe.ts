import { mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../base/error.ts";
import { StepFailure } from "../../executor/step-failure.ts";
import { CLONE_NEWNS, MS_PRIVATE, MS_RDONLY, MS_REC } from "../../program/kernel.ts";
import type { Mount } from "../../program/mount.ts";
import type { Op } from "../../program/op.ts";
import { fileSystemOf } from "../file-system.ts";
import type { DriverTools } from "../snapshotter.ts";
import { blockBytes } from "./contents.ts";
import { erofsMounts } from "./mounts.ts";
import { newNode, S_IFCHR, S_IFDIR, S_IFREG } from "./tree.ts";
import { writeImage } from "./write-image.ts";

/** Where a trial is made when the data root's disk is full: images that are there must stay in reach, be it to make room. */
const elsewhere = "/run";
const trialBytes = 256 * 1024;
const trialInodes = 32;
const content = "read through image and overlay\n";

const trials = new Map<number, Promise<string | undefined>>();

/** Why images can't be mounted from files below a directory; undefined where they can. Asks the kernel, once a process and file system. */
export function probeErofs(directory: string, tools: DriverTools): Promise<string | undefined> {
  const { dev } = statSync(directory);
  const done = trials.get(dev) ?? mountTrial(directory, tools);
  trials.set(dev, done);
  return done;
}

/** Mounts a tiny image with its content in another file, and overlay on it, for a process of its own. */
async function mountTrial(directory: string, tools: DriverTools): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return "mounting images needs root";
  const place = mkdtempSync(join(hasRoom(directory) ? directory : elsewhere, "onggi-trial-"));
  try {
    const mounts = writeTrial(place);
    const merged = join(place, "merged");
    const steps: Op[] = [
      { op: "unshare", flags: CLONE_NEWNS },
      { op: "mount", source: "none", target: "/", type: "", flags: MS_REC | MS_PRIVATE, data: "" },
      ...mounts.map((mount) => asOp(mount, merged)),
      { op: "mknod", path: join(place, "upper", "whiteout"), mode: S_IFCHR, major: 0, minor: 0 },
      { op: "readFile", path: join(merged, "file"), maxBytes: 4096 },
    ];
    const [read] = await tools.perform(steps);
    const isRight = read !== undefined && Buffer.from(read).toString() === content;
    return isRight ? undefined : "the kernel reads wrong content from an image in a file";
  } catch (error) {
    return reasonOf(error, directory);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

function writeTrial(place: string): readonly Mount[] {
  for (const name of ["lower", "upper", "work", "merged"]) mkdirSync(join(place, name));
  const image = join(place, "image");
  const data = join(place, "data");
  const root = newNode({ mode: S_IFDIR | 0o755 });
  // The second block, so that a kernel that takes no blocks of 512 bytes would read something else.
  const chunks = { chunkBits: 0, chunks: [1, 1] };
  root.children?.set("file", newNode({ mode: S_IFREG | 0o644, size: content.length, content: chunks }));
  const tree = { root, devices: [{ tag: "trial", bytes: 2 * blockBytes }] };
  writeFileSync(image, writeImage(tree, { blockBits: Math.log2(blockBytes), uuid: Buffer.alloc(16) }));
  writeFileSync(data, Buffer.alloc(2 * blockBytes).fill(content, blockBytes, blockBytes + content.length));
  return erofsMounts(
    {
      upper: join(place, "upper"),
      work: join(place, "work"),
      lower: join(place, "lower"),
      image: { path: image, devices: [data], root: { mode: 0o755, uid: 0, gid: 0 } },
    },
    { writable: true, durable: true },
  );
}

function asOp({ type, source, options, readonly, at }: Mount, target: string): Op {
  const flags = readonly === true ? MS_RDONLY : 0;
  return { op: "mount", source, target: at ?? target, type, flags, data: options.join(",") };
}

function reasonOf(error: unknown, directory: string): string {
  const fileSystem = fileSystemOf(directory);
  if (!(error instanceof StepFailure)) return messageOf(error);
  if (error.op?.op === "mount" && error.op.type === "erofs") {
    if (!/\berofs$/m.test(readFileSync("/proc/filesystems", "utf8"))) {
      return "the kernel has no erofs (CONFIG_EROFS_FS), and no module of that name could be loaded";
    }
    if (error.errno === "ENOTBLK") {
      return "the kernel mounts erofs from disks alone: from files Linux 6.12 and newer do, with CONFIG_EROFS_FS_BACKED_BY_FILE";
    }
    return `the kernel refused to mount an image in a file on ${fileSystem} (${error.errno}); files on overlay, or blocks of 512 bytes on old kernels, can't be`;
  }
  if (error.op?.op === "mount" && error.op.type === "overlay") {
    return `the kernel refused an overlay with its writable folder on ${fileSystem} and an image below (${error.errno})`;
  }
  return error.message;
}

function hasRoom(directory: string): boolean {
  const { bavail, bsize, files, ffree } = statfsSync(directory);
  return bavail * bsize >= trialBytes && (files === 0 || ffree >= trialInodes);
}
