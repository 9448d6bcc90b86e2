import { createHash } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isErrno } from "../../base/errno.ts";
import { OnggiError } from "../../base/error.ts";
import { blockBytes } from "./contents.ts";
import type { Node, Tree } from "./tree.ts";
import { writeImage } from "./write-image.ts";

/** The files of a frozen layer in its folder. */
export const layerFile = {
  /** The layer's archive. */
  archive: "tar",
  /** What is pointed to elsewhere than in the archive; of a layer that was frozen from a folder, all contents. */
  data: "data",
  /** Its own image, with whiteouts and opaque folders. That of a lowest layer has none, and is mounted. */
  image: "layer.erofs",
  /** What {@link readLayer} reads; there once all else is on the disk. */
  index: "layer.json",
  /** The image of it and all below it. */
  merged: "merged.erofs",
  mergedIndex: "merged.json",
} as const;

/** A file that images point into. */
export interface DataFile {
  readonly file: string;
  readonly bytes: number;
  /** Hexadecimal SHA-256. */
  readonly sha256: string;
}

/** What an image's digest and its tree's root are, so that neither must be read to mount it. */
export interface ImageSummary {
  /** Hexadecimal SHA-256 of the image. */
  readonly sha256: string;
  readonly bytes: number;
  readonly root: { readonly mode: number; readonly uid: number; readonly gid: number };
}

export interface LayerIndex {
  readonly image: ImageSummary;
  readonly devices: readonly DataFile[];
}

export interface MergedIndex {
  readonly image: ImageSummary;
  /** The devices in the image's order, as paths below the driver's folder. */
  readonly devices: readonly string[];
}

/** @throws OnggiError `corrupt` where it isn't there */
export function readLayer(folder: string): LayerIndex {
  const index = readIndex<LayerIndex>(join(folder, layerFile.index));
  if (index !== undefined) return index;
  throw new OnggiError("corrupt", `the layer in ${folder} is not whole`, {
    hint: "Remove the image and load or pull it again; onggi system check names what else is damaged.",
  });
}

/** Undefined when the layer has no image of itself and those below it, or one that a power cut tore. */
export function readMerged(folder: string): MergedIndex | undefined {
  const index = readIndex<MergedIndex>(join(folder, layerFile.mergedIndex));
  if (index === undefined || sizeOf(join(folder, layerFile.merged)) !== index.image.bytes) return undefined;
  return index;
}

/**
 * Writes a layer's image and its index beside the files that they tell of, and brings all of it to the disk: the contents side by side, so that
 * the disk is waited for once, then the name by which a layer is known to be whole.
 */
export async function writeLayer(folder: string, tree: Tree, devices: readonly DataFile[]): Promise<void> {
  const path = join(folder, layerFile.image);
  const { bytes, summary } = encodeImage(path, tree);
  const index = join(folder, layerFile.index);
  const temporary = `${index}.tmp`;
  writeFileSync(path, bytes, { mode: 0o600 });
  writeFileSync(temporary, JSON.stringify({ image: summary, devices }), { mode: 0o600 });
  await Promise.all([path, temporary, ...devices.map(({ file }) => join(folder, file))].map(syncPath));
  renameSync(temporary, index);
  await Promise.all([folder, dirname(folder)].map(syncPath));
}

export function writeMerged(folder: string, tree: Tree, devices: readonly string[]): MergedIndex {
  const path = join(folder, layerFile.merged);
  const { bytes, summary } = encodeImage(path, tree);
  writeSynced(path, [bytes]);
  const index = { image: summary, devices };
  writeSynced(join(folder, layerFile.mergedIndex), [Buffer.from(JSON.stringify(index))]);
  return index;
}

/** Our tars are cut in blocks of 512 bytes. */
const blockBits = Math.log2(blockBytes);

function encodeImage(path: string, tree: Tree): { readonly bytes: Buffer; readonly summary: ImageSummary } {
  // No two images are mounted at one place, so that the place tells them apart.
  const bytes = writeImage(tree, { blockBits, uuid: createHash("sha256").update(path).digest() });
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { bytes, summary: { sha256, bytes: bytes.length, root: rootOf(tree.root) } };
}

function rootOf({ mode, uid, gid }: Node): ImageSummary["root"] {
  return { mode: mode & 0o7777, uid, gid };
}

function writeSynced(path: string, pieces: Iterable<Uint8Array>): void {
  const temporary = `${path}.tmp`;
  const file = openSync(temporary, "w", 0o600);
  try {
    for (const piece of pieces) writeWhole(file, piece);
    fsyncSync(file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}

/** write(2) may take less than it is given. */
export function writeWhole(file: number, bytes: Uint8Array, position?: number): void {
  for (let at = 0; at < bytes.length; ) {
    at += writeSync(file, bytes, at, bytes.length - at, position === undefined ? null : position + at);
  }
}

async function syncPath(path: string): Promise<void> {
  const file = await open(path, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

export function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}

function readIndex<T>(path: string): T | undefined {
  try {
    // It was written by us, whole or not at all: what it holds is checked by its own digests.
    return JSON.parse(readFileSync(path, "utf8")) as T;
  } catch (error) {
    if (isErrno(error, "ENOENT") || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
