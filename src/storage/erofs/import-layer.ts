import { createHash } from "node:crypto";
import { closeSync, copyFileSync, ftruncateSync, linkSync, mkdirSync, openSync, readSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { isErrno } from "../../base/errno.ts";
import { OnggiError } from "../../base/error.ts";
import type { LayerArchive } from "../layer-archive.ts";
import { ArchiveTree } from "./archive-tree.ts";
import { ContentMap, type SpilledPiece } from "./contents.ts";
import { type DataFile, layerFile, writeLayer, writeWhole } from "./layer-files.ts";
import { mark } from "./marks.ts";
import { settle } from "./merge.ts";
import type { Device, Tree } from "./tree.ts";

/** Other work gets its turn after so many entries: a tenth of a second or less. */
const entriesAtOnce = 10_000;

/**
 * Makes a layer of its archive: the archive itself under another name, and a small image that points into it.
 *
 * @param isLowest - nothing is below it, so that its whiteouts hide nothing
 */
export async function importArchive(folder: string, layer: LayerArchive, isLowest: boolean): Promise<void> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const archive = join(folder, layerFile.archive);
  linkOrCopy(layer.path, archive);
  const contents = new ContentMap(layer.bytes);
  const tree = new ArchiveTree(contents);
  let count = 0;
  for (const entry of layer.entries()) {
    tree.add(entry);
    if (++count % entriesAtOnce === 0) await setImmediate();
  }
  const devices: DataFile[] = [{ file: layerFile.archive, bytes: layer.bytes, sha256: hexOf(layer.digest) }];
  const spilled = contents.takeSpilled();
  if (contents.spillBytes > 0) devices.push(spill(archive, join(folder, layerFile.data), spilled, contents.spillBytes));
  await writeLayer(folder, finished({ root: tree.root, devices: devices.map(deviceOf) }, isLowest), devices);
}

/** A layer's tree as its own image has it. */
export function finished(tree: Tree, isLowest: boolean): Tree {
  if (isLowest) return settle(tree);
  mark(tree.root);
  return tree;
}

export function deviceOf({ sha256, bytes }: DataFile): Device {
  return { tag: sha256, bytes };
}

function linkOrCopy(from: string, to: string): void {
  rmSync(to, { force: true });
  try {
    linkSync(from, to);
  } catch (error) {
    if (!isErrno(error, "EXDEV", "EPERM", "EMLINK")) throw error;
    copyFileSync(from, to);
  }
}

const pieceBytes = 1024 * 1024;

/** Copies pieces of the archive to a file in which each chunk begins at a block; what is between is a hole. */
function spill(archive: string, path: string, pieces: readonly SpilledPiece[], bytes: number): DataFile {
  const from = openSync(archive, "r");
  const to = openSync(path, "w", 0o600);
  try {
    const buffer = Buffer.alloc(pieceBytes);
    for (const { archiveOffset, offset, length } of pieces) {
      for (let at = 0; at < length; ) {
        const read = readSync(from, buffer, 0, Math.min(buffer.length, length - at), archiveOffset + at);
        if (read === 0) throw new OnggiError("corrupt", `the archive ${archive} ends in the middle of a file`);
        writeWhole(to, buffer.subarray(0, read), offset + at);
        at += read;
      }
    }
    ftruncateSync(to, bytes);
  } finally {
    closeSync(from);
    closeSync(to);
  }
  return { file: layerFile.data, bytes, sha256: digestOfFile(path) };
}

/** Hexadecimal SHA-256 of a file, read piece by piece. */
export function digestOfFile(path: string): string {
  const hash = createHash("sha256");
  const file = openSync(path, "r");
  try {
    const buffer = Buffer.alloc(pieceBytes);
    for (let read = readSync(file, buffer); read > 0; read = readSync(file, buffer))
      hash.update(buffer.subarray(0, read));
  } finally {
    closeSync(file);
  }
  return hash.digest("hex");
}

function hexOf(digest: string): string {
  return digest.slice(digest.indexOf(":") + 1);
}
