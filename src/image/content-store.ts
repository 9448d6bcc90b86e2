import { createHash, type Hash, randomBytes } from "node:crypto";
import { createReadStream, existsSync, readdirSync, statSync, unlinkSync } from "node:fs";
import { type FileHandle, mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { diskError, sweepTemporaryFiles, syncDirectory, temporaryPath } from "../base/atomic-file.ts";
import { OnggiError } from "../base/error.ts";
import { type Digest, hexOf, parseDigest } from "../oci/digest.ts";

const writeSize = 1 << 20;
const readSize = 1 << 20;

/** A blob in the store. */
export interface Blob {
  readonly digest: Digest;
  readonly size: number;
}

/**
 * Keeps blobs under their digests: `DIRECTORY/sha256/HEX`.
 *
 * A blob is whole and on disk before it has its name, so what has a name is good after any crash. A hold keeps a blob
 * from being deleted while something that isn't written down yet needs it.
 */
export class ContentStore {
  readonly #directory: string;
  readonly #holds = new Map<Digest, number>();

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** Opens the store and removes what a crash left half-written. */
  static async open(directory: string): Promise<ContentStore> {
    const blobs = join(directory, "sha256");
    await mkdir(blobs, { recursive: true, mode: 0o700 });
    await sweepTemporaryFiles(blobs);
    return new ContentStore(blobs);
  }

  path(digest: Digest): string {
    return join(this.#directory, hexOf(digest));
  }

  has(digest: Digest): boolean {
    return existsSync(this.path(digest));
  }

  /** @throws OnggiError `not_found` */
  size(digest: Digest): number {
    const stat = statSync(this.path(digest), { throwIfNoEntry: false });
    if (stat === undefined) throw missing(digest);
    return stat.size;
  }

  list(): readonly Digest[] {
    return readdirSync(this.#directory)
      .filter((name) => /^[0-9a-f]{64}$/.test(name))
      .map((name) => parseDigest(`sha256:${name}`));
  }

  /** Stores bytes in memory. */
  async put(bytes: string | Uint8Array): Promise<Blob> {
    const ingest = await this.begin();
    try {
      await ingest.write(Buffer.from(bytes as Uint8Array));
      return await ingest.commit();
    } catch (error) {
      await ingest.abort();
      throw error;
    }
  }

  /**
   * Stores a stream while hashing it.
   *
   * @throws OnggiError `corrupt` when digest or size are not the expected ones; nothing is kept then
   */
  async ingest(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, expected: Partial<Blob> = {}): Promise<Blob> {
    const ingest = await this.begin();
    try {
      for await (const chunk of chunks) await ingest.write(chunk);
      return await ingest.commit(expected);
    } catch (error) {
      await ingest.abort();
      throw error;
    }
  }

  /** Starts a blob whose bytes come bit by bit; ends with its commit or abort. */
  async begin(): Promise<Ingest> {
    const path = temporaryPath(join(this.#directory, randomBytes(4).toString("hex")));
    const file = await open(path, "wx+", 0o600).catch((error: unknown) => {
      throw diskError(error, this.#directory);
    });
    return new Ingest(this.#directory, path, file);
  }

  /** A name in the store's folder that a later opening removes if it is still there. */
  temporaryPath(): string {
    return temporaryPath(join(this.#directory, randomBytes(4).toString("hex")));
  }

  /** Reads a small blob whole. @throws OnggiError `not_found`, `corrupt` when it is larger than `maxBytes` */
  async read(digest: Digest, maxBytes = 16 << 20): Promise<Buffer> {
    if (this.size(digest) > maxBytes) {
      throw new OnggiError("corrupt", `blob ${digest} is larger than the ${maxBytes} bytes that its kind may have`);
    }
    return await readFile(this.path(digest));
  }

  /** @throws OnggiError `not_found` */
  stream(digest: Digest): AsyncIterable<Uint8Array> {
    if (!this.has(digest)) throw missing(digest);
    return createReadStream(this.path(digest), { highWaterMark: readSize });
  }

  /** Keeps a blob, there already or yet to come, from being deleted until the returned function is called. */
  hold(digest: Digest): () => void {
    this.#holds.set(digest, (this.#holds.get(digest) ?? 0) + 1);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const left = (this.#holds.get(digest) ?? 1) - 1;
      if (left === 0) this.#holds.delete(digest);
      else this.#holds.set(digest, left);
    };
  }

  isHeld(digest: Digest): boolean {
    return this.#holds.has(digest);
  }

  /** Deletes a blob unless it is held. @returns the bytes that were freed */
  delete(digest: Digest): number {
    if (this.#holds.has(digest)) return 0;
    const stat = statSync(this.path(digest), { throwIfNoEntry: false });
    if (stat === undefined) return 0;
    unlinkSync(this.path(digest)); // in one turn with the look at the holds
    return stat.size;
  }
}

/** A blob that is being written. */
export class Ingest {
  readonly #directory: string;
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #hash: Hash = createHash("sha256");
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #size = 0;
  #open = true;

  constructor(directory: string, path: string, file: FileHandle) {
    this.#directory = directory;
    this.#path = path;
    this.#file = file;
  }

  /** Bytes written so far. */
  get size(): number {
    return this.#size;
  }

  /** Takes bytes, which the caller leaves unchanged from now on. */
  async write(chunk: Uint8Array): Promise<void> {
    this.#hash.update(chunk);
    this.#size += chunk.length;
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.length;
    if (this.#pendingBytes >= writeSize) await this.#flush();
  }

  /** Names the blob by its digest once it is on disk. @throws OnggiError `corrupt` when it isn't what was expected */
  async commit(expected: Partial<Blob> = {}): Promise<Blob> {
    if (expected.size !== undefined && expected.size !== this.#size) {
      throw new OnggiError(
        "corrupt",
        `blob ${expected.digest ?? ""} has ${this.#size} bytes instead of ${expected.size}`,
      );
    }
    const digest = parseDigest(`sha256:${this.#hash.digest("hex")}`);
    if (expected.digest !== undefined && expected.digest !== digest) {
      throw new OnggiError("corrupt", `blob ${expected.digest} has the digest ${digest}`, {
        hint: "What was received isn't what was promised; try again, and if it stays so, the source is damaged.",
      });
    }
    await this.#flush();
    await this.#file.sync().catch(this.#tell);
    await this.#close();
    await rename(this.#path, join(this.#directory, hexOf(digest)));
    await syncDirectory(this.#directory);
    return { digest, size: this.#size };
  }

  /** Forgets it. Harmless after a commit. */
  async abort(): Promise<void> {
    await this.#close();
    await rm(this.#path, { force: true });
  }

  async #flush(): Promise<void> {
    const chunks = this.#pending;
    let left = this.#pendingBytes;
    this.#pending = [];
    this.#pendingBytes = 0;
    if (left === 0) return;
    try {
      const { bytesWritten } = await this.#file.writev(chunks);
      left -= bytesWritten;
      if (left > 0) await this.#file.writeFile(Buffer.concat(chunks).subarray(bytesWritten));
    } catch (error) {
      this.#tell(error);
    }
  }

  readonly #tell = (error: unknown): never => {
    throw diskError(error, this.#directory);
  };

  async #close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#file.close();
  }
}

function missing(digest: Digest): OnggiError {
  return new OnggiError("not_found", `blob ${digest} is not in the store`);
}
