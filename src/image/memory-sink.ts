import { closeSync, openSync, readSync } from "node:fs";
import { dirname } from "node:path";
import { OnggiError } from "../base/error.ts";
import type { ChainId } from "../oci/digest.ts";
import type { Op } from "../program/op.ts";
import type { ApplyLayer, LayerMaterial, LayerSink, WhiteoutStyle } from "./layer-sink.ts";

/** A file of a {@link MemoryTree}; hard links share one. */
export interface MemoryFile {
  kind: "file" | "directory" | "symlink" | "device";
  mode: number;
  uid: number;
  gid: number;
  mtimeNs: bigint;
  data: Buffer;
  target: string;
  device: string;
  xattrs: Map<string, Buffer>;
}

/** Performs file operations on a tree in memory, as strictly as a kernel: what tests unpack into. */
export class MemoryTree {
  readonly files = new Map<string, MemoryFile>();
  readonly #tarPath: string;

  /** @param tarPath - the tar that files are made of */
  constructor(tarPath = "/dev/null") {
    this.#tarPath = tarPath;
    this.files.set("/", file("directory", 0o755));
  }

  async run(ops: readonly Op[]): Promise<readonly Uint8Array[]> {
    for (const op of ops) {
      const errno = this.#perform(op);
      if (errno !== undefined && !op.ignore?.some((one) => one === errno)) {
        throw new OnggiError("step_failed", `${op.op} ${"path" in op ? op.path : ""}: ${errno}`);
      }
    }
    return [];
  }

  #perform(op: Op): string | undefined {
    switch (op.op) {
      case "placeFile": {
        const made = file("file", op.mode);
        made.data = Buffer.alloc(op.size);
        for (let at = 0; at < op.extents.length; at += 3) {
          const [offset = 0, from = 0, length = 0] = op.extents.slice(at, at + 3);
          if (readAt(this.#tarPath, made.data.subarray(offset, offset + length), from) !== length) return "ENODATA";
        }
        if (op.owner !== undefined) Object.assign(made, { uid: op.owner[0], gid: op.owner[1] });
        const errno = this.#make(op.path, made);
        made.mtimeNs = op.mtimeNs;
        return errno;
      }
      case "mkdir":
        return this.#make(op.path, file("directory", op.mode));
      case "symlink":
        return this.#make(op.path, { ...file("symlink", 0o777), target: op.target });
      case "mknod":
        return this.#make(op.path, { ...file("device", op.mode), device: `${op.major}:${op.minor}` });
      case "link": {
        const shared = this.files.get(op.target);
        return shared === undefined ? "ENOENT" : this.#make(op.path, shared);
      }
      case "remove":
        return this.#remove(op.path, op.recursive ?? false);
      case "chown":
      case "chmod":
      case "utimens":
      case "setxattr":
        return this.#change(op);
      default:
        throw new Error(`an unpacked layer needs no ${op.op}`);
    }
  }

  #change(op: Extract<Op, { op: "chown" | "chmod" | "utimens" | "setxattr" }>): string | undefined {
    const found = this.files.get(op.path);
    if (found === undefined) return "ENOENT";
    if (op.op === "chown") {
      Object.assign(found, { uid: op.uid, gid: op.gid });
      if (found.kind === "file") found.mode &= ~0o6000;
      found.xattrs.delete("security.capability");
    } else if (op.op === "chmod") found.mode = op.mode;
    else if (op.op === "utimens") found.mtimeNs = op.mtimeNs;
    else found.xattrs.set(op.name, Buffer.from(op.value));
    return undefined;
  }

  #make(path: string, made: MemoryFile): string | undefined {
    const parent = this.files.get(dirname(path));
    if (parent === undefined) return "ENOENT";
    if (parent.kind !== "directory") return "ENOTDIR";
    if (this.files.has(path)) return "EEXIST";
    this.files.set(path, made);
    parent.mtimeNs = -1n; // the folder was touched
    return undefined;
  }

  #remove(path: string, recursive: boolean): string | undefined {
    if (!this.files.has(path)) return "ENOENT";
    const below = [...this.files.keys()].filter((one) => one.startsWith(`${path}/`));
    if (below.length > 0 && !recursive) return "ENOTEMPTY";
    for (const one of [path, ...below]) this.files.delete(one);
    return undefined;
  }
}

/** Keeps layers in memory, for tests of what stands above storage. */
export class MemorySink implements LayerSink {
  readonly layers = new Map<ChainId, { readonly parent: ChainId | undefined; readonly tree: MemoryTree }>();
  readonly whiteouts: WhiteoutStyle;

  constructor(whiteouts: WhiteoutStyle = "overlay") {
    this.whiteouts = whiteouts;
  }

  async has(chainId: ChainId): Promise<boolean> {
    return this.layers.has(chainId);
  }

  async layer(
    chainId: ChainId,
    parent: ChainId | undefined,
    apply: ApplyLayer,
    { tarPath, below }: LayerMaterial,
  ): Promise<void> {
    await below;
    if (parent !== undefined && !this.layers.has(parent))
      throw new OnggiError("not_found", `layer ${parent} is missing`);
    const tree = new MemoryTree(tarPath);
    if (this.whiteouts === "remove" && parent !== undefined) {
      for (const [path, one] of this.layers.get(parent)?.tree.files ?? []) tree.files.set(path, structuredCopy(one));
    }
    await apply(tree);
    this.layers.set(chainId, { parent, tree });
  }

  async remove(chainId: ChainId): Promise<boolean> {
    if ([...this.layers.values()].some(({ parent }) => parent === chainId)) return false;
    this.layers.delete(chainId);
    return true;
  }

  async list(): Promise<readonly ChainId[]> {
    return [...this.layers.keys()];
  }
}

function structuredCopy(one: MemoryFile): MemoryFile {
  return { ...one, xattrs: new Map(one.xattrs) };
}

function file(kind: MemoryFile["kind"], mode: number): MemoryFile {
  return { kind, mode, uid: 0, gid: 0, mtimeNs: -1n, data: Buffer.alloc(0), target: "", device: "", xattrs: new Map() };
}

function readAt(path: string, into: Buffer, at: number): number {
  const fd = openSync(path, "r");
  try {
    return into.length === 0 ? 0 : readSync(fd, into, 0, into.length, at);
  } finally {
    closeSync(fd);
  }
}
