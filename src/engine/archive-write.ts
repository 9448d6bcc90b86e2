import { StepFailure } from "../executor/step-failure.ts";
import { OpenFile, readFiles, type TreeEntry, type TreeWorker } from "../executor/tree-reader.ts";
import { type TarEntry, tarEntry } from "../image/tar-entry.ts";
import { encodeSparseHeader, encodeTarHeader, tarEnd, tarPadding } from "../image/tar-writer.ts";

/** One thing to put into an archive: what lies at `path` of the worker's tree, under another name there. */
export interface ArchiveItem {
  readonly name: string;
  readonly path: string;
  readonly entry: TreeEntry;
}

/** A layer's word for what is no longer there. */
export interface Whiteout {
  /** Its path; the archive's name is made of it. */
  readonly deleted: string;
}

const smallBytes = 128 * 1024;
const groupBytes = 1024 * 1024;
const groupItems = 200;
const chunkBytes = 64 * 1024;
const maxPieces = 10_000;

/**
 * A tree's entries as a tar, while they are read: with hard links, holes, extended attributes and all times. What is gone when it is
 * its turn is left out, as are sockets, which no archive can hold.
 */
export async function* writeArchive(
  worker: TreeWorker,
  items: AsyncIterable<ArchiveItem | Whiteout>,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const archive = new ArchiveWriter(worker);
  for await (const chunk of coalesced(archive.members(items))) {
    signal?.throwIfAborted();
    yield chunk;
  }
}

interface Group {
  readonly items: readonly (ArchiveItem | Whiteout)[];
  /** By item. */
  readonly contents: Promise<ReadonlyMap<unknown, Uint8Array | string>>;
}

class ArchiveWriter {
  readonly #worker: TreeWorker;
  /** Names of files with several links, by device and inode. */
  readonly #linked = new Map<string, string>();

  constructor(worker: TreeWorker) {
    this.#worker = worker;
  }

  async *members(items: AsyncIterable<ArchiveItem | Whiteout>): AsyncGenerator<Uint8Array> {
    let before: Group | undefined;
    for await (const group of grouped(items)) {
      // The worker reads the next ones while these go out.
      const next = { items: group, contents: this.#contentsOf(group) };
      next.contents.catch(() => {});
      if (before !== undefined) yield* this.#group(before);
      before = next;
    }
    if (before !== undefined) yield* this.#group(before);
    yield tarEnd();
  }

  /** Small files' contents come in one go. */
  async #contentsOf(group: readonly (ArchiveItem | Whiteout)[]): Promise<ReadonlyMap<unknown, Uint8Array | string>> {
    const small = group.filter((item) => isSmallFile(item));
    const files = small.map(({ path, entry }) => ({ path, maxBytes: entry.size }));
    const contents = await readFiles(this.#worker, files);
    return new Map(small.map((item, index) => [item, contents[index] ?? "ENOENT"]));
  }

  async *#group(group: Group): AsyncGenerator<Uint8Array> {
    const contentOf = await group.contents;
    for (const item of group.items) {
      if ("deleted" in item) {
        yield encodeTarHeader(tarEntry({ type: "file", path: whiteoutName(item.deleted), mode: 0 }));
        continue;
      }
      const target = this.#linkTarget(item);
      const content = contentOf.get(item);
      if (item.entry.type === "socket") continue;
      if (target !== undefined)
        yield encodeTarHeader({ ...headerOf(item), type: "hardlink", size: 0, linkPath: target });
      else if (item.entry.type !== "file") yield encodeTarHeader(headerOf(item));
      // It has grown since it was told of.
      else if (content === undefined || content === "EFBIG") {
        yield* this.#large(item);
        continue;
      } else if (typeof content !== "string") yield* wholeMember(item, content);
      else if (!isGone(content)) throw unreadable(item, content);
      else continue;
      this.#remember(item);
    }
  }

  async *#large(item: ArchiveItem): AsyncGenerator<Uint8Array> {
    const file = await OpenFile.open(this.#worker, item.path).catch((error: unknown) => {
      if (error instanceof StepFailure && isGone(error.errno)) return undefined;
      throw error;
    });
    if (file === undefined) return;
    this.#remember(item);
    try {
      const { size } = item.entry;
      const extents = await file.extents();
      const hasHoles = extents.length <= maxPieces && extents.reduce((sum, { length }) => sum + length, 0) < size;
      if (hasHoles) {
        const map = extents
          .filter(({ offset }) => offset < size)
          .map(({ offset, length }) => cut(offset, length, size));
        yield encodeSparseHeader({ ...headerOf(item), size }, map);
        for (const [offset, length] of map) yield* exactly(file.read({ offset, length }), length);
        yield tarPadding(map.reduce((sum, [, length]) => sum + length, 0));
      } else {
        yield encodeTarHeader({ ...headerOf(item), size });
        yield* exactly(file.read({ offset: 0, length: size }), size);
        yield tarPadding(size);
      }
    } finally {
      await file.close();
    }
  }

  #linkTarget({ entry }: ArchiveItem): string | undefined {
    return hasSiblings(entry) ? this.#linked.get(inodeOf(entry)) : undefined;
  }

  #remember({ entry, name }: ArchiveItem): void {
    if (hasSiblings(entry) && !this.#linked.has(inodeOf(entry))) this.#linked.set(inodeOf(entry), name);
  }
}

/** What a member's header says of an entry, but for the size. */
function headerOf({ name, entry }: ArchiveItem): TarEntry {
  const { type, mode, uid, gid, mtimeNs, linkPath, major, minor } = entry;
  return tarEntry({
    type: type === "socket" ? "file" : type,
    path: name,
    mode,
    uid,
    gid,
    mtimeNs,
    linkPath,
    major: type === "char" || type === "block" ? major : 0,
    minor: type === "char" || type === "block" ? minor : 0,
    xattrs: new Map([...entry.xattrs].filter(([xattr]) => isPortable(xattr))),
  });
}

/** Not what steers overlayfs, nor this host's labels. */
export function isPortable(xattr: string): boolean {
  return !/^(trusted|user)\.overlay\.|^security\.(selinux|ima|evm)$/.test(xattr);
}

function* wholeMember(item: ArchiveItem, content: Uint8Array): Generator<Uint8Array> {
  yield encodeTarHeader({ ...headerOf(item), size: content.length });
  yield content;
  yield tarPadding(content.length);
}

/** As many bytes as were announced, whatever the file has become meanwhile. */
async function* exactly(pieces: AsyncIterable<Uint8Array>, length: number): AsyncGenerator<Uint8Array> {
  let left = length;
  for await (const piece of pieces) {
    yield piece.subarray(0, left);
    left -= Math.min(left, piece.length);
  }
  for (; left > 0; left -= Math.min(left, chunkBytes)) yield zeros.subarray(0, Math.min(left, chunkBytes));
}

const zeros = new Uint8Array(chunkBytes);

function cut(offset: number, length: number, size: number): readonly [number, number] {
  return [offset, Math.min(length, size - offset)];
}

async function* grouped(
  items: AsyncIterable<ArchiveItem | Whiteout>,
): AsyncGenerator<readonly (ArchiveItem | Whiteout)[]> {
  let group: (ArchiveItem | Whiteout)[] = [];
  let bytes = 0;
  for await (const item of items) {
    group.push(item);
    bytes += isFile(item) ? item.entry.size : 0;
    if (group.length < groupItems && bytes < groupBytes) continue;
    yield group;
    group = [];
    bytes = 0;
  }
  if (group.length > 0) yield group;
}

function isFile(item: ArchiveItem | Whiteout): item is ArchiveItem {
  return "entry" in item && item.entry.type === "file";
}

function isSmallFile(item: ArchiveItem | Whiteout): item is ArchiveItem {
  return isFile(item) && item.entry.size <= smallBytes;
}

function whiteoutName(path: string): string {
  const slash = path.lastIndexOf("/") + 1;
  return `${path.slice(0, slash)}.wh.${path.slice(slash)}`;
}

/** Many small pieces as few larger ones. */
async function* coalesced(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let waiting: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of pieces) {
    if (piece.length === 0) continue;
    waiting.push(piece);
    bytes += piece.length;
    if (bytes < chunkBytes) continue;
    yield waiting.length === 1 ? piece : Buffer.concat(waiting);
    waiting = [];
    bytes = 0;
  }
  if (bytes > 0) yield Buffer.concat(waiting);
}

function hasSiblings({ type, links }: TreeEntry): boolean {
  return links > 1 && type !== "directory";
}

function inodeOf({ device, inode }: TreeEntry): string {
  return `${device}:${inode}`;
}

/** Removed since it was told of, or something else by now. */
function isGone(errno: string): boolean {
  return ["ENOENT", "ENOTDIR", "ENXIO", "ELOOP", "ESTALE"].includes(errno);
}

function unreadable({ path }: ArchiveItem, errno: string): StepFailure {
  const op = { op: "readRegular", path, maxBytes: smallBytes } as const;
  return new StepFailure({ part: "batch", index: 0, op, errno }, `can't read ${path}: ${errno}`);
}
