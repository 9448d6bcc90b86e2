import {
  closeSync,
  constants,
  createReadStream,
  fstatSync,
  openSync,
  readSync,
  rmSync,
  writev as writevInto,
} from "node:fs";
import { posix } from "node:path";
import { setImmediate as breathe } from "node:timers/promises";
import { promisify } from "node:util";
import { diskError } from "../base/atomic-file.ts";
import { messageOf, OnggiError } from "../base/error.ts";
import { type Digest, digestOf, hexOf, isDigest } from "../oci/digest.ts";
import type { ContentStore } from "./content-store.ts";
import { decompress, detectCompression } from "./decompress.ts";
import type { FileRange } from "./layer-job.ts";
import { corrupt } from "./tar-header.ts";
import { TarReader } from "./tar-reader.ts";
import { checkUnfolding, type UnpackLimits } from "./unpack-limits.ts";

const writev = promisify(writevInto);
const maxJsonBytes = 16 << 20;
const maxLinks = 8;
const maxFiles = 100_000;
/** Files up to this size that are named for a digest are compared with it at once; layers are when they are unpacked. */
const smallBlob = 1 << 20;
const windowBytes = 64 << 10;
const writeBytes = 1 << 20;

/** An archive that lies in a file. */
export interface ArchiveFile {
  readonly path: string;
  /** Device and inode that whoever named it saw there: another file at that path is refused. */
  readonly identity?: { readonly device: bigint; readonly inode: bigint };
}

/** An archive of images as a plain tar in a file, with the places of its files. */
export class ArchiveFiles implements Disposable {
  readonly #fd: number;
  readonly #path: string;
  readonly #files: ReadonlyMap<string, FileRange>;
  readonly #links: ReadonlyMap<string, string>;

  private constructor(fd: number, path: string, index: ArchiveIndex) {
    this.#fd = fd;
    this.#path = path;
    this.#files = index.files;
    this.#links = index.links;
  }

  /**
   * Opens an archive: one that lies in a file where it lies, if it is plain; otherwise its plain tar is written to a file without a name first.
   *
   * @throws OnggiError `corrupt` when it is damaged, `exhausted` beyond a limit or on a full disk, `not_found`
   */
  static async open(
    archive: AsyncIterable<Uint8Array> | ArchiveFile,
    content: ContentStore,
    limits: UnpackLimits,
    signal: AbortSignal,
  ): Promise<ArchiveFiles> {
    const fd = await openPlain(archive, content, limits, signal);
    try {
      const path = `/proc/${process.pid}/fd/${fd}`;
      const index = await indexOf(fd, path, signal);
      checkSmallBlobs(fd, index.files);
      return new ArchiveFiles(fd, path, index);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** Where a file lies, links followed. */
  find(path: string): FileRange | undefined {
    let at = clean(path);
    for (let hops = 0; hops < maxLinks; hops++) {
      const file = this.#files.get(at);
      const next = this.#links.get(at);
      if (file !== undefined || next === undefined) return file;
      at = next;
    }
    return undefined;
  }

  /** Where the blob of a layout lies. */
  blob(digest: Digest): FileRange | undefined {
    return this.#files.get(`blobs/sha256/${hexOf(digest)}`);
  }

  /** A small file's content. @throws OnggiError `corrupt` when it is larger than its kind may be */
  read(file: FileRange): Buffer {
    if (file.bytes > maxJsonBytes) throw corrupt(`a file of ${file.bytes} bytes is no JSON of an image`);
    return readAt(this.#fd, file);
  }

  /** The first bytes of a file. */
  start(file: FileRange): Buffer {
    return readAt(this.#fd, { ...file, bytes: Math.min(6, file.bytes) });
  }

  /** A file bit by bit. */
  async *stream({ offset, bytes }: FileRange): AsyncGenerator<Buffer> {
    for (let done = 0; done < bytes; done += writeBytes) {
      yield readAt(this.#fd, { path: this.#path, offset: offset + done, bytes: Math.min(writeBytes, bytes - done) });
      await breathe();
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

interface ArchiveIndex {
  readonly files: ReadonlyMap<string, FileRange>;
  readonly links: ReadonlyMap<string, string>;
}

async function openPlain(
  archive: AsyncIterable<Uint8Array> | ArchiveFile,
  content: ContentStore,
  limits: UnpackLimits,
  signal: AbortSignal,
): Promise<number> {
  if (!("path" in archive)) return await spool(archive, content, limits, signal);
  const fd = openFile(archive);
  const { path } = archive;
  try {
    const compression = detectCompression(readAt(fd, { path, offset: 0, bytes: Math.min(6, fstatSync(fd).size) }));
    if (compression === "none") return fd;
    const stored = createReadStream(path, { fd, autoClose: false, start: 0, highWaterMark: writeBytes / 4 });
    const plain = await spool(stored, content, limits, signal);
    closeSync(fd);
    return plain;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function openFile({ path, identity }: ArchiveFile): number {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw new OnggiError("not_found", `the archive ${path} can't be opened: ${messageOf(cause)}`, { cause });
  }
  const stat = fstatSync(fd, { bigint: true });
  const isSame = identity === undefined || (identity.device === stat.dev && identity.inode === stat.ino);
  if (stat.isFile() && isSame) return fd;
  closeSync(fd);
  if (isSame) throw new OnggiError("invalid", `the archive ${path} is no file`);
  throw new OnggiError("not_found", `the daemon has another file at ${path}`, { hint: "Send the archive on stdin." });
}

/** Writes an archive's plain tar to a file of the data root, which goes when its descriptor is closed. */
async function spool(
  archive: AsyncIterable<Uint8Array>,
  content: ContentStore,
  limits: UnpackLimits,
  signal: AbortSignal,
): Promise<number> {
  const path = content.temporaryPath();
  let stored = 0;
  let plain = 0;
  const counted = async function* () {
    for await (const chunk of archive) {
      stored += chunk.length;
      yield chunk;
    }
  };
  const fd = openSync(path, "wx+", 0o600);
  // Written beside the event loop: a write may wait for the disk.
  let pending: Uint8Array[] = [];
  let pendingBytes = 0;
  const flush = async () => {
    const chunks = pending;
    [pending, pendingBytes] = [[], 0];
    await writeAll(fd, chunks);
  };
  try {
    rmSync(path);
    for await (const chunk of decompress(counted(), { signal })) {
      signal.throwIfAborted();
      plain += chunk.length;
      checkUnfolding(plain, stored, limits);
      pending.push(chunk);
      pendingBytes += chunk.length;
      if (pendingBytes >= writeBytes) await flush();
    }
    await flush();
    return fd;
  } catch (error) {
    closeSync(fd);
    throw diskError(error, path);
  }
}

async function writeAll(fd: number, chunks: readonly Uint8Array[]): Promise<void> {
  if (chunks.length === 0) return;
  const bytes = chunks.reduce((sum, { length }) => sum + length, 0);
  const { bytesWritten } = await writev(fd, chunks);
  if (bytesWritten < bytes) await writeAll(fd, [Buffer.concat(chunks).subarray(bytesWritten)]);
}

/** Reads headers only: content is passed over. */
async function indexOf(fd: number, path: string, signal: AbortSignal): Promise<ArchiveIndex> {
  const files = new Map<string, FileRange>();
  const links = new Map<string, string>();
  let members = 0;
  const reader = new TarReader({
    entry: (entry) => {
      if (++members > maxFiles) throw corrupt(`it has more than ${maxFiles} files`);
      const name = clean(entry.path);
      if (entry.type === "file") files.set(name, { path, offset: reader.position, bytes: entry.size });
      // A symbolic link is relative to its folder, a hard link to the archive.
      else if (entry.type === "symlink") links.set(name, clean(posix.join(posix.dirname(name), entry.linkPath)));
      else if (entry.type === "hardlink") links.set(name, clean(entry.linkPath));
    },
    data: (_, hole, at) => {
      if (hole > 0 || at < 0) throw corrupt("a file of the archive has a hole");
    },
    end: () => {},
  });
  const { size } = fstatSync(fd);
  const window = Buffer.allocUnsafe(windowBytes);
  for (let turns = 0; reader.position < size; turns++) {
    const passed = Math.min(reader.skippable, size - reader.position);
    if (passed > windowBytes) {
      reader.skip(passed);
      continue;
    }
    const got = readSync(fd, window, 0, window.length, reader.position);
    if (got === 0) break;
    reader.write(window.subarray(0, got));
    if (turns % 64 !== 63) continue;
    signal.throwIfAborted();
    await breathe();
  }
  reader.end();
  return { files, links };
}

/** A blob's path in a layout tells its digest. */
function checkSmallBlobs(fd: number, files: ReadonlyMap<string, FileRange>): void {
  for (const [path, file] of files) {
    const expected = path.replace(/^blobs\/sha256\//, "sha256:");
    if (file.bytes > smallBlob || !isDigest(expected)) continue;
    const found = digestOf(readAt(fd, file));
    if (found !== expected)
      throw new OnggiError("corrupt", `${path} in the archive is damaged: it has the digest ${found}`);
  }
}

function readAt(fd: number, { offset, bytes }: FileRange): Buffer {
  const buffer = Buffer.allocUnsafe(bytes);
  for (let at = 0; at < bytes; ) {
    const got = readSync(fd, buffer, at, bytes - at, offset + at);
    if (got === 0) throw corrupt("it is cut short");
    at += got;
  }
  return buffer;
}

function clean(path: string): string {
  return posix.join("/", path).slice(1);
}
