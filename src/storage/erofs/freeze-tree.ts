import { closeSync, ftruncateSync, mkdirSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { OnggiError } from "../../base/error.ts";
import type { Worker } from "../../executor/executor.ts";
import { OpenFile, readFiles, scanPages, type TreeEntry, type TreeEntryType } from "../../executor/tree-reader.ts";
import type { Op } from "../../program/op.ts";
import { ContentMap, spillDevice } from "./contents.ts";
import { deviceOf, digestOfFile, finished } from "./import-layer.ts";
import { type DataFile, layerFile, writeLayer, writeWhole } from "./layer-files.ts";
import { unmark } from "./marks.ts";
import {
  type Content,
  type Node,
  newNode,
  noAttributes,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFREG,
  S_IFSOCK,
  toBytes,
} from "./tree.ts";
import { isStorable } from "./xattrs.ts";

/** Starts a process of the executor's that performs operations in a place of its choice. */
export type StartWorker = (prelude: readonly Op[]) => Promise<Worker>;

const typeBits: Readonly<Record<TreeEntryType, number>> = {
  file: S_IFREG,
  directory: S_IFDIR,
  symlink: S_IFLNK,
  char: S_IFCHR,
  block: S_IFBLK,
  fifo: S_IFIFO,
  socket: S_IFSOCK,
};

/** Files up to this size are read many at a time. */
const smallFile = 64 * 1024;
const batchBytes = 4 * 1024 * 1024;
const nsPerSecond = 1_000_000_000n;

/** Makes a layer of what overlay wrote to a folder: contents are copied to one file, and an image points into it. */
export async function freezeTree(
  startWorker: StartWorker,
  from: string,
  folder: string,
  isLowest: boolean,
): Promise<void> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, layerFile.data);
  const worker = await startWorker([{ op: "chroot", path: from }, { op: "chdir", path: "/" }, { op: "jail" }]);
  const file = openSync(path, "w", 0o600);
  try {
    const reader = new FolderReader(worker, file);
    const root = await reader.read();
    ftruncateSync(file, reader.bytes);
    unmark(root);
    const devices: DataFile[] =
      reader.bytes === 0 ? [] : [{ file: layerFile.data, bytes: reader.bytes, sha256: digestOfFile(path) }];
    if (reader.bytes === 0) rmSync(path);
    await writeLayer(folder, finished({ root, devices: devices.map(deviceOf) }, isLowest), devices);
  } finally {
    closeSync(file);
    await worker.close();
  }
}

interface SmallFile {
  readonly path: string;
  readonly offset: number;
  readonly size: number;
}

/** Reads a folder's tree and copies its contents to an open file. */
class FolderReader {
  readonly #worker: Worker;
  readonly #file: number;
  /** Nothing can be pointed to where it lies, so all is copied. */
  readonly #contents = new ContentMap(0);
  readonly #folders = new Map<string, Node>();
  /** Files with several names, by device and inode. */
  readonly #linked = new Map<string, Node>();
  readonly #small: SmallFile[] = [];
  #smallBytes = 0;

  constructor(worker: Worker, file: number) {
    this.#worker = worker;
    this.#file = file;
  }

  get bytes(): number {
    return this.#contents.spillBytes;
  }

  async read(): Promise<Node> {
    // The walk is one of the worker's, and so is an open file: what is large waits for its end.
    const large: TreeEntry[] = [];
    for await (const page of scanPages(this.#worker, "/", { xattrs: true, oneFileSystem: true })) {
      for (const entry of page) {
        if (entry.unreadable !== undefined) throw unreadable(entry.path, entry.unreadable);
        if (isLarge(entry) && !this.#isKnown(entry)) large.push(entry);
        else this.#add(entry, this.#smallContent(entry));
      }
      if (this.#smallBytes > batchBytes) await this.#copySmall();
    }
    await this.#copySmall();
    for (const entry of large) this.#add(entry, this.#isKnown(entry) ? undefined : await this.#copyLarge(entry));
    const root = this.#folders.get("");
    if (root === undefined) throw unreadable("/", "ENOENT");
    return root;
  }

  #add(entry: TreeEntry, content: Content | undefined): void {
    const node = this.#linked.get(inodeOf(entry)) ?? nodeOf(entry, content);
    if (entry.links > 1 && entry.type !== "directory") this.#linked.set(inodeOf(entry), node);
    if (entry.type === "directory") this.#folders.set(entry.path, node);
    if (entry.path === "") return;
    const slash = entry.path.lastIndexOf("/");
    const parent = this.#folders.get(slash === -1 ? "" : entry.path.slice(0, slash));
    parent?.children?.set(toBytes(entry.path.slice(slash + 1)), node);
  }

  #isKnown(entry: TreeEntry): boolean {
    return entry.links > 1 && this.#linked.has(inodeOf(entry));
  }

  #smallContent(entry: TreeEntry): Content | undefined {
    const { type, path, size } = entry;
    if (type !== "file" || size === 0 || this.#isKnown(entry)) return undefined;
    const offset = this.#contents.spillBytes;
    const content = this.#contents.contentOf({ path, size, extents: [{ offset: 0, archiveOffset: 0, length: size }] });
    this.#contents.takeSpilled();
    this.#small.push({ path, offset, size });
    this.#smallBytes += size;
    return content;
  }

  async #copySmall(): Promise<void> {
    const files = this.#small.splice(0);
    this.#smallBytes = 0;
    const contents = await readFiles(
      this.#worker,
      files.map(({ path, size }) => ({ path, maxBytes: size })),
    );
    for (const [index, content] of contents.entries()) {
      const file = files[index];
      if (file === undefined) continue;
      if (typeof content === "string") throw unreadable(file.path, content);
      writeWhole(this.#file, content, file.offset);
    }
  }

  async #copyLarge({ path, size, diskBytes }: TreeEntry): Promise<Content | undefined> {
    const open = await OpenFile.open(this.#worker, path);
    try {
      const whole = [{ offset: 0, length: size }];
      const extents = diskBytes < size ? await open.extents() : whole;
      const content = this.#contents.contentOf({
        path,
        size,
        extents: extents.map(({ offset, length }) => ({ offset, archiveOffset: offset, length })),
      });
      for (const { archiveOffset, offset, length } of this.#contents.takeSpilled()) {
        let at = offset;
        for await (const data of open.read({ offset: archiveOffset, length })) {
          writeWhole(this.#file, data, at);
          at += data.length;
        }
      }
      return content;
    } finally {
      await open.close();
    }
  }
}

function nodeOf(entry: TreeEntry, content: Content | undefined): Node {
  const nanos = ((entry.mtimeNs % nsPerSecond) + nsPerSecond) % nsPerSecond;
  const isDevice = entry.type === "char" || entry.type === "block";
  const attributes = new Map([...entry.xattrs].map(([name, value]) => [toBytes(name), value] as const));
  for (const name of attributes.keys()) if (!isStorable(name)) attributes.delete(name);
  const node = newNode({
    mode: typeBits[entry.type] | entry.mode,
    uid: entry.uid,
    gid: entry.gid,
    seconds: Number((entry.mtimeNs - nanos) / nsPerSecond),
    nanos: Number(nanos),
    attributes: attributes.size === 0 ? noAttributes : attributes,
    size: entry.type === "file" ? entry.size : 0,
    content,
    target: entry.type === "symlink" ? toBytes(entry.linkPath) : "",
    major: isDevice ? entry.major : 0,
    minor: isDevice ? entry.minor : 0,
  });
  // The copy is the layer's only file, so its first.
  const chunks = node.content?.chunks ?? [];
  for (let index = 0; index < chunks.length; index += 2) if (chunks[index] === spillDevice) chunks[index] = 1;
  return node;
}

function isLarge({ type, size }: TreeEntry): boolean {
  return type === "file" && size > smallFile;
}

function inodeOf({ device, inode }: TreeEntry): string {
  return `${device}:${inode}`;
}

function unreadable(path: string, errno: string): OnggiError {
  return new OnggiError("internal", `the file ${JSON.stringify(path)} of the snapshot can't be read: ${errno}`);
}
