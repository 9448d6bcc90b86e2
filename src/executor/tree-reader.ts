import { textOf } from "../base/byte-text.ts";
import type { Op } from "../program/op.ts";
import { errnoName } from "./errno.ts";
import type { Worker } from "./executor.ts";
import { StepFailure } from "./step-failure.ts";

/** What lies at one place of a tree, as stat(2) and its like tell. */
export interface TreeEntry {
  /** Below the folder that is read, without a slash at either end; "" for that itself. Bytes that are no UTF-8 as in `base/byte-text.ts`. */
  readonly path: string;
  readonly type: TreeEntryType;
  /** Permission bits with setuid, setgid and sticky; no file type. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly inode: bigint;
  readonly device: bigint;
  readonly links: number;
  readonly major: number;
  readonly minor: number;
  /** Bytes on the disk: fewer than `size` where a file has holes. */
  readonly diskBytes: number;
  /** Where a symbolic link points. */
  readonly linkPath: string;
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
  /** Why what is in a folder couldn't be read: an errno name. */
  readonly unreadable: string | undefined;
}

export type TreeEntryType = "file" | "directory" | "symlink" | "char" | "block" | "fifo" | "socket";

export interface ScanOptions {
  /** Folders of other file systems are told of, but not entered. */
  readonly oneFileSystem?: boolean;
  readonly xattrs?: boolean;
}

/** What a tree is read with: a worker in a place of its choice, best in a `jail`. */
export type TreeWorker = Pick<Worker, "run">;

const pageBytes = 256 * 1024;
const pieceBytes = 1024 * 1024;
const maxExtents = 4096;
const headerBytes = 100;
const slot = "tree-content";

/**
 * All that is in a tree: folders before what is in them, the names of a folder in the order of their bytes. What others remove
 * meanwhile is left out, links are not followed, nothing is opened but folders.
 */
export async function* scanTree(
  worker: TreeWorker,
  path: string,
  options: ScanOptions = {},
): AsyncGenerator<TreeEntry> {
  for await (const page of scanPages(worker, path, options)) yield* page;
}

/** The same, some hundred entries at a time. One walk at a time for each worker. */
export async function* scanPages(
  worker: TreeWorker,
  path: string,
  options: ScanOptions = {},
): AsyncGenerator<readonly TreeEntry[]> {
  await worker.run([{ op: "openScan", path, ...options }]);
  for (;;) {
    const page = entriesOf(await onlyAnswer(worker, { op: "scan", maxBytes: pageBytes }));
    if (page.length === 0) return;
    yield page;
  }
}

/**
 * What lies at a path; undefined for nothing.
 *
 * @param options.follow - of a link, what it leads to; of that neither attributes nor a link's target are told
 */
export async function readEntry(
  worker: TreeWorker,
  path: string,
  options: { readonly follow?: boolean; readonly xattrs?: boolean } = {},
): Promise<TreeEntry | undefined> {
  try {
    const ops: Op[] = [
      { op: "openScan", path, selfOnly: true, ...options },
      { op: "scan", maxBytes: pageBytes },
    ];
    const [page] = await worker.run(ops);
    return entriesOf(page ?? new Uint8Array())[0];
  } catch (error) {
    if (error instanceof StepFailure && (error.errno === "ENOENT" || error.errno === "ENOTDIR")) return undefined;
    throw error;
  }
}

/** Where data lies in a file. */
export interface DataExtent {
  readonly offset: number;
  readonly length: number;
}

/** An ordinary file that is open to be read: one at a time for each worker. */
export class OpenFile {
  readonly #worker: TreeWorker;

  private constructor(worker: TreeWorker) {
    this.#worker = worker;
  }

  /** @throws StepFailure `ENXIO` for what is no ordinary file */
  static async open(worker: TreeWorker, path: string): Promise<OpenFile> {
    await worker.run([{ op: "openRegular", slot, path }]);
    return new OpenFile(worker);
  }

  /** Where its data lies, ascending; a file without holes is one extent. */
  async extents(): Promise<readonly DataExtent[]> {
    const all: DataExtent[] = [];
    for (let offset = 0; ; ) {
      const answer = viewOf(await onlyAnswer(this.#worker, { op: "dataExtents", slot, offset, maxCount: maxExtents }));
      for (let at = 0; at < answer.byteLength; at += 16) {
        all.push({
          offset: Number(answer.getBigUint64(at, true)),
          length: Number(answer.getBigUint64(at + 8, true)),
        });
      }
      const last = all.at(-1);
      if (answer.byteLength < maxExtents * 16 || last === undefined) return all;
      offset = last.offset + last.length;
    }
  }

  /** The bytes of a range; fewer where the file is shorter by now. */
  async *read({ offset, length }: DataExtent): AsyncGenerator<Uint8Array> {
    const end = offset + length;
    let next = this.#readAt(offset, end);
    for (let at = offset; at < end; ) {
      const data = await next;
      at += data.length;
      if (data.length === 0) return;
      // The next piece is read while this one is used.
      if (at < end) next = this.#readAt(at, end);
      next.catch(() => {});
      yield data;
    }
  }

  async close(): Promise<void> {
    await this.#worker.run([{ op: "closeSlot", slot }]);
  }

  #readAt(offset: number, end: number): Promise<Uint8Array> {
    return onlyAnswer(this.#worker, { op: "readSlot", slot, offset, maxBytes: Math.min(pieceBytes, end - offset) });
  }
}

/** The whole content of small files, all in one go; an errno name for those that can't be read. */
export async function readFiles(
  worker: TreeWorker,
  files: readonly { readonly path: string; readonly maxBytes: number }[],
): Promise<readonly (Uint8Array | string)[]> {
  if (files.length === 0) return [];
  const answers = await worker.run(files.map(({ path, maxBytes }) => ({ op: "readRegular", path, maxBytes })));
  return answers.map((answer) => {
    const errno = viewOf(answer).getUint32(0, true);
    return errno === 0 ? answer.subarray(4) : errnoName(errno);
  });
}

async function onlyAnswer(worker: TreeWorker, op: Op): Promise<Uint8Array> {
  const [answer] = await worker.run([op]);
  return answer ?? new Uint8Array();
}

const types: ReadonlyMap<number, TreeEntryType> = new Map([
  [0o100000, "file"],
  [0o040000, "directory"],
  [0o120000, "symlink"],
  [0o020000, "char"],
  [0o060000, "block"],
  [0o010000, "fifo"],
  [0o140000, "socket"],
]);

/** The records of a page; `native/scan.c` says how they are laid out. */
function entriesOf(page: Uint8Array): TreeEntry[] {
  const entries: TreeEntry[] = [];
  const view = viewOf(page);
  for (let at = 0; at < page.length; at += view.getUint32(at, true)) entries.push(entryAt(page, view, at));
  return entries;
}

const noXattrs: ReadonlyMap<string, Uint8Array> = new Map();

function entryAt(page: Uint8Array, view: DataView, at: number): TreeEntry {
  const number = (offset: number) => view.getUint32(at + offset, true);
  const large = (offset: number) => view.getBigUint64(at + offset, true);
  const time = (offset: number) =>
    view.getBigInt64(at + offset, true) * 1_000_000_000n + BigInt(view.getUint32(at + offset + 8, true));
  const mode = number(4);
  const pathEnd = at + headerBytes + number(88);
  const linkEnd = pathEnd + number(92);
  const errno = number(76);
  return {
    path: textOf(page.subarray(at + headerBytes, pathEnd)),
    type: types.get(mode & 0o170000) ?? "file",
    mode: mode & 0o7777,
    uid: number(8),
    gid: number(12),
    size: Number(large(16)),
    mtimeNs: time(24),
    links: number(36),
    inode: large(40),
    device: large(48),
    ctimeNs: time(56),
    major: number(68),
    minor: number(72),
    diskBytes: Number(large(80)),
    linkPath: textOf(page.subarray(pathEnd, linkEnd)),
    xattrs: number(96) === 0 ? noXattrs : xattrsAt(page, view, linkEnd, number(96)),
    // A folder that was removed while it was read is empty.
    unreadable: errno === 0 || errnoName(errno) === "ENOENT" ? undefined : errnoName(errno),
  };
}

function xattrsAt(page: Uint8Array, view: DataView, start: number, count: number): ReadonlyMap<string, Uint8Array> {
  const xattrs = new Map<string, Uint8Array>();
  let at = start;
  const take = () => {
    const length = view.getUint32(at, true);
    at += 4 + length;
    return page.subarray(at - length, at);
  };
  for (let index = 0; index < count; index++) xattrs.set(textOf(take()), Uint8Array.from(take()));
  return xattrs;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
