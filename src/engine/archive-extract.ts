import { OnggiError } from "../base/error.ts";
import type { Worker } from "../executor/executor.ts";
import { StepFailure } from "../executor/step-failure.ts";
import { decompress } from "../image/decompress.ts";
import type { TarEntry } from "../image/tar-entry.ts";
import { TarReader, type TarVisitor } from "../image/tar-reader.ts";
import { openFlags, S_IFBLK, S_IFCHR, S_IFIFO } from "../program/kernel.ts";
import type { ErrnoName, Op } from "../program/op.ts";
import type { HostFacts } from "../runtime/compile/host-facts.ts";
import { isPortable } from "./archive-write.ts";

export interface ExtractOptions {
  /** Refuses to put a directory in the place of anything else, and the reverse. */
  readonly keepsTypes: boolean;
  /** Whose all files become; those of the archive unless given. */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
  readonly architecture: HostFacts["architecture"];
  readonly signal?: AbortSignal | undefined;
}

const batchBytes = 768 << 10;
const batchOps = 4000;
const opBytes = 256;
const smallFile = 128 << 10;
const specialBits = 0o7000;
const fileSlot = "file";
const folderSlot = "folder";

/**
 * Unpacks an archive, plain or compressed, into a folder that is there, through a worker in a jail.
 *
 * What lies there already is replaced, folders are completed. Links in the folders' names are followed inside the worker's root.
 *
 * @throws OnggiError `corrupt` for a damaged archive, `invalid` for names that lead out and types that would change, `exhausted`
 */
export async function extractArchive(
  worker: Pick<Worker, "run">,
  folder: string,
  archive: AsyncIterable<Uint8Array>,
  options: ExtractOptions,
): Promise<void> {
  const ops = new ExtractOps(folder, options);
  const reader = new TarReader(ops);
  let isEmpty = true;
  let under: Promise<unknown> = Promise.resolve();
  // One batch is written while the next is read.
  const send = async () => {
    await under;
    const batch = ops.take();
    under = worker.run(batch).catch((error: unknown) => {
      throw explained(error);
    });
    under.catch(() => {});
  };
  try {
    for await (const chunk of decompress(archive, { signal: options.signal })) {
      options.signal?.throwIfAborted();
      isEmpty &&= chunk.length === 0;
      reader.write(chunk);
      if (ops.bytes >= batchBytes) await send();
    }
    if (!isEmpty && ops.hasMembers) reader.end();
    ops.finish();
    await send();
    await under;
  } catch (error) {
    await under.catch(() => {});
    throw error;
  }
}

/** Turns an archive's members into operations. */
class ExtractOps implements TarVisitor {
  readonly #folder: string;
  readonly #options: ExtractOptions;
  readonly #known = new Set<string>();
  readonly #times: Op[] = [];
  #ops: Op[] = [];
  #bytes = 0;
  #file: { readonly path: string; readonly entry: TarEntry; chunks: Buffer[] | undefined } | undefined;
  hasMembers = false;

  constructor(folder: string, options: ExtractOptions) {
    this.#folder = folder === "/" ? "" : folder;
    this.#options = options;
  }

  get bytes(): number {
    return this.#bytes + (this.#ops.length >= batchOps ? batchBytes : 0);
  }

  take(): readonly Op[] {
    const ops = this.#ops;
    this.#ops = [];
    this.#bytes = 0;
    return ops;
  }

  /** Times of folders, once all that is in them was made. */
  finish(): void {
    this.#ops.push(...this.#times);
  }

  entry(entry: TarEntry): void {
    this.hasMembers = true;
    const parts = partsOf(entry.path);
    // The folder itself is there, and stays as it is.
    if (parts.length === 0) return;
    this.#parents(parts);
    const path = `${this.#folder}/${parts.join("/")}`;
    if (entry.type === "directory") this.#directory(path, entry);
    else this.#other(path, entry);
  }

  data(bytes: Buffer, hole: number): void {
    const file = this.#file;
    if (file === undefined) return;
    this.#bytes += bytes.length;
    if (file.chunks !== undefined) file.chunks.push(...(hole === 0 ? [bytes] : [Buffer.alloc(hole), bytes]));
    else this.#add({ op: "append", slot: fileSlot, ...(hole === 0 ? {} : { skip: hole }), data: bytes });
  }

  end(): void {
    const file = this.#file;
    if (file === undefined) return;
    this.#file = undefined;
    const { path, entry, chunks } = file;
    if (chunks === undefined) this.#add({ op: "closeSlot", slot: fileSlot });
    else this.#add({ op: "writeFile", path, data: Buffer.concat(chunks), mode: entry.mode, exclusive: true });
    this.#attributes(path, entry);
  }

  #directory(path: string, entry: TarEntry): void {
    if (!this.#options.keepsTypes) this.#add({ op: "remove", path, onlyFile: true, ignore: ["ENOENT", "EISDIR"] });
    this.#add({ op: "mkdir", path, mode: entry.mode & 0o777, ignore: ["EEXIST"] });
    const { O_PATH, O_DIRECTORY, O_NOFOLLOW } = openFlags[this.#options.architecture];
    this.#add({ op: "open", slot: folderSlot, path, flags: O_PATH | O_DIRECTORY | O_NOFOLLOW });
    this.#known.add(path);
    this.#owner(path, entry);
    this.#add({ op: "chmod", path, mode: entry.mode });
    this.#xattrs(path, entry);
    this.#times.push({ op: "utimens", path, atimeNs: entry.mtimeNs, mtimeNs: entry.mtimeNs, ignore: ["ENOENT"] });
  }

  #other(path: string, entry: TarEntry): void {
    if (this.#options.keepsTypes) this.#add({ op: "remove", path, onlyFile: true, ignore: ["ENOENT"] });
    else this.#add({ op: "remove", path, recursive: true, ignore: ["ENOENT"] });
    switch (entry.type) {
      case "file": {
        const isSmall = entry.size <= smallFile;
        this.#file = { path, entry, chunks: isSmall ? [] : undefined };
        if (!isSmall) this.#add({ op: "createFile", slot: fileSlot, path, mode: entry.mode });
        return;
      }
      case "hardlink":
        this.#add({ op: "link", target: `${this.#folder}/${partsOf(entry.linkPath).join("/")}`, path });
        return;
      case "symlink":
        this.#add({ op: "symlink", target: entry.linkPath, path });
        break;
      case "fifo":
        this.#add({ op: "mknod", path, mode: S_IFIFO | entry.mode, major: 0, minor: 0 });
        break;
      default: {
        const kind = entry.type === "char" ? S_IFCHR : S_IFBLK;
        this.#add({ op: "mknod", path, mode: kind | entry.mode, major: entry.major, minor: entry.minor });
      }
    }
    this.#attributes(path, entry);
  }

  /** Owner before mode, since it clears setuid bits; both before attributes, since they clear capabilities; times last. */
  #attributes(path: string, entry: TarEntry): void {
    this.#owner(path, entry);
    // Permissions were given when it was made; a new owner takes the other bits away.
    if (entry.type !== "symlink" && (entry.mode & specialBits) !== 0)
      this.#add({ op: "chmod", path, mode: entry.mode });
    this.#xattrs(path, entry);
    this.#add({ op: "utimens", path, atimeNs: entry.mtimeNs, mtimeNs: entry.mtimeNs });
  }

  #owner(path: string, entry: TarEntry): void {
    const { uid, gid } = this.#options.owner ?? entry;
    this.#add({ op: "chown", path, uid, gid });
  }

  #xattrs(path: string, { xattrs, type }: TarEntry): void {
    const ignore: readonly ErrnoName[] =
      type === "file" || type === "directory" ? ["EOPNOTSUPP"] : ["EOPNOTSUPP", "EPERM"];
    for (const [name, value] of xattrs) if (isPortable(name)) this.#add({ op: "setxattr", path, name, value, ignore });
  }

  /** Folders that the archive doesn't tell of. */
  #parents(parts: readonly string[]): void {
    for (let count = 1; count < parts.length; count++) {
      const path = `${this.#folder}/${parts.slice(0, count).join("/")}`;
      if (this.#known.has(path)) continue;
      this.#known.add(path);
      this.#add({ op: "mkdir", path, mode: 0o755, ignore: ["EEXIST"] });
    }
  }

  #add(op: Op): void {
    this.#ops.push(op);
    this.#bytes += opBytes;
  }
}

/** @throws OnggiError `invalid` for a name that leads out of the folder */
function partsOf(name: string): readonly string[] {
  const parts: string[] = [];
  for (const part of name.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined) {
      throw new OnggiError(
        "invalid",
        `the archive's name ${JSON.stringify(name)} leads out of the folder it is put into`,
      );
    }
  }
  return parts;
}

/** In Docker's words where it has some. */
function explained(error: unknown): unknown {
  if (!(error instanceof StepFailure) || error.op === undefined) return error;
  const { op, errno } = error;
  const path = "path" in op ? op.path : "";
  if (errno === "ENOSPC" || errno === "EDQUOT") {
    return new OnggiError("exhausted", `no space left on device: writing ${path}`, {
      hint: "Free space in the container's file system, or raise its limit.",
      cause: error,
    });
  }
  if (op.op === "remove" && errno === "EISDIR")
    return new OnggiError("invalid", `cannot overwrite directory "${path}" with non-directory "${path}"`, {
      cause: error,
    });
  if (op.op === "open" && (errno === "ENOTDIR" || errno === "ELOOP"))
    return new OnggiError("invalid", `cannot overwrite non-directory "${path}" with directory "${path}"`, {
      cause: error,
    });
  if (errno === "EROFS") return new OnggiError("invalid", `${path} is on a read-only file system`, { cause: error });
  return error;
}
