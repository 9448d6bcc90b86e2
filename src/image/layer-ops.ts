import { basename, dirname } from "node:path";
import { bytesOf } from "../base/byte-text.ts";
import { OnggiError } from "../base/error.ts";
import type { ErrnoName, Op } from "../program/op.ts";
import type { WhiteoutStyle } from "./layer-sink.ts";
import { LayerTree } from "./layer-tree.ts";
import type { TarEntry } from "./tar-entry.ts";
import { corrupt } from "./tar-header.ts";
import type { TarVisitor } from "./tar-reader.ts";

const S_IFCHR = 0o020000;
const S_IFBLK = 0o060000;
const S_IFIFO = 0o010000;
const specialBits = 0o7000;
const opaqueMarker = ".wh..wh..opq";
const whiteoutPrefix = ".wh.";
const metaPrefix = ".wh..wh.";
const maxNameBytes = 255;
/** With the slash before it and the NUL behind it, what the kernel takes as a path. */
const maxPathBytes = 4094;

/** The slot that the worker finds the layer's plain tar in, opened before it was jailed. */
export const tarSlot = "tar";

interface Pending {
  readonly path: string;
  readonly entry: TarEntry;
  /** Counts the layer's files with content. */
  readonly ordinal: number;
  /** Offset in the file, offset in the tar, length: three numbers a piece. */
  readonly extents: number[];
  /** Where in the file the next byte goes. */
  offset: number;
}

/**
 * Turns a layer's tar into file operations. Content isn't in them: files are made of ranges of the tar.
 *
 * As the reader's visitor it collects ops until {@link take} hands them out. It knows what the layer made so far, so that a
 * later member replaces an earlier one, links in folders' names are followed inside the layer, and nothing leads out of it.
 * Times, and setgid bits that new files would inherit from, are set on folders at the very end.
 */
export class LayerOps implements TarVisitor {
  /** Files whose content a later member took away again. */
  readonly gone = new Set<number>();
  readonly #style: WhiteoutStyle;
  /** Where the tar begins in the file that {@link tarSlot} is. */
  readonly #base: number;
  readonly #tree = new LayerTree();
  /** The files that are there, by path. */
  readonly #files = new Map<string, number>();
  /** Folders to finish, by path; the root is "". */
  readonly #directories = new Map<string, TarEntry>();
  #ops: Op[] = [];
  #pending: Pending | undefined;
  #contentBytes = 0;
  #ordinal = 0;

  constructor(style: WhiteoutStyle, base = 0) {
    this.#style = style;
    this.#base = base;
  }

  /** How many ops wait to be taken. */
  get waiting(): number {
    return this.#ops.length;
  }

  /** Whether the layer says what owner and mode its root has. */
  get hasRoot(): boolean {
    return this.#directories.has("");
  }

  /** The file whose content is being told, and where in it the next byte goes; undefined for what isn't kept. */
  get file(): { readonly path: string; readonly ordinal: number; readonly offset: number } | undefined {
    return this.#pending;
  }

  /** Bytes of all files so far: the layer's size. */
  get contentBytes(): number {
    return this.#contentBytes;
  }

  /** Hands out the collected ops. */
  take(): readonly Op[] {
    const ops = this.#ops;
    this.#ops = [];
    return ops;
  }

  /** The ops that finish the layer, once all members were read. */
  finish(): void {
    for (const [path, entry] of this.#directories) {
      const place = path === "" ? "/" : path;
      if ((entry.mode & specialBits) !== 0) this.#add({ op: "chmod", path: place, mode: entry.mode });
      this.#add({ op: "utimens", path: place, atimeNs: entry.mtimeNs, mtimeNs: entry.mtimeNs });
    }
  }

  entry(entry: TarEntry): void {
    const path = this.#tree.resolve(entry.path);
    checkNames(path);
    const name = basename(path);
    if (name.startsWith(whiteoutPrefix)) {
      this.#whiteout(dirname(path) === "/" ? "" : dirname(path), name);
      return;
    }
    // What aufs kept in such folders is no part of the image.
    if (path.includes(`/${metaPrefix}`)) return;
    this.#parents(path);
    if (entry.type === "directory") this.#directory(path, entry);
    else this.#file(path, entry);
  }

  data(bytes: Buffer, hole: number, at: number): void {
    const pending = this.#pending;
    if (pending === undefined) return;
    const { extents } = pending;
    const offset = pending.offset + hole;
    pending.offset = offset + bytes.length;
    if (at < 0) return; // a hole at the end
    const last = extents.length - 3;
    const length = extents[last + 2] ?? 0;
    const continues = hole === 0 && last >= 0 && (extents[last + 1] ?? 0) + length === this.#base + at;
    if (continues) extents[last + 2] = length + bytes.length;
    else extents.push(offset, this.#base + at, bytes.length);
  }

  end(): void {
    const pending = this.#pending;
    if (pending === undefined) return;
    this.#pending = undefined;
    const { path, entry, extents } = pending;
    const { uid, gid, size, mtimeNs, mode } = entry;
    const owner = this.#isOwned(entry) ? { owner: [uid, gid] as const } : {};
    this.#add({ op: "placeFile", from: tarSlot, path, mode, ...owner, mtimeNs, size, extents });
    this.#xattrs(path, entry);
  }

  #file(path: string, entry: TarEntry): void {
    if (path === "") throw corrupt("the layer's root is not a folder");
    const target = entry.type === "hardlink" ? this.#linkTarget(entry) : "";
    if (target === path) return;
    this.#clear(path);
    this.#tree.set(path, entry.type === "symlink" ? { kind: "symlink", target: entry.linkPath } : { kind: "other" });
    switch (entry.type) {
      case "hardlink":
        // Its owner, mode and times are those of the file it shares.
        this.#add({ op: "link", target, path });
        return;
      case "symlink":
        if (entry.linkPath === "") throw corrupt(`the symbolic link ${path} points nowhere`);
        if (bytesOf(entry.linkPath).length > maxPathBytes) throw corrupt(`the link ${path} points too far`);
        this.#add({ op: "symlink", target: entry.linkPath, path });
        break;
      case "file":
        this.#contentBytes += entry.size;
        this.#files.set(path, this.#ordinal);
        this.#pending = { path, entry, ordinal: this.#ordinal++, extents: [], offset: 0 };
        return;
      case "fifo":
        this.#add({ op: "mknod", path, mode: S_IFIFO | entry.mode, major: 0, minor: 0 });
        break;
      default: {
        if (entry.type === "char" && entry.major === 0 && entry.minor === 0) throw deletionMark(path);
        const kind = entry.type === "char" ? S_IFCHR : S_IFBLK;
        this.#add({ op: "mknod", path, mode: kind | entry.mode, major: entry.major, minor: entry.minor });
      }
    }
    this.#attributes(path, entry);
  }

  #directory(path: string, entry: TarEntry): void {
    const before = this.#tree.get(path);
    const mode = entry.mode & ~specialBits;
    if (path === "") this.#add({ op: "chmod", path: "/", mode });
    else if (before?.kind === "directory") this.#add({ op: "chmod", path, mode });
    else {
      if (before !== undefined) this.#clear(path);
      else if (this.#style === "remove") this.#clearForDirectory(path);
      this.#makeDirectory(path, mode);
      // It stood for a deletion of what lies below: the new folder must not show it again.
      if (before?.kind === "whiteout" && this.#style === "overlay") this.#opaque(path);
    }
    this.#tree.set(path, { kind: "directory" });
    const place = path === "" ? "/" : path;
    this.#owner(place, entry, before !== undefined || path === "");
    this.#xattrs(place, entry);
    this.#directories.set(path, entry);
  }

  /** Owner before mode, since it clears setuid bits; both before attributes, since they clear capabilities; times last. */
  #attributes(path: string, entry: TarEntry): void {
    this.#owner(path, entry, false);
    if (entry.type !== "symlink" && (entry.mode & specialBits) !== 0)
      this.#add({ op: "chmod", path, mode: entry.mode });
    this.#xattrs(path, entry);
    this.#add({ op: "utimens", path, atimeNs: entry.mtimeNs, mtimeNs: entry.mtimeNs });
  }

  /** What is new belongs to root; in a copy of other layers, a folder may hand its own group to it. */
  #owner(path: string, { uid, gid }: TarEntry, always: boolean): void {
    if (always || this.#isOwned({ uid, gid })) this.#add({ op: "chown", path, uid, gid });
  }

  #isOwned({ uid, gid }: Pick<TarEntry, "uid" | "gid">): boolean {
    return uid !== 0 || gid !== 0 || this.#style === "remove";
  }

  #xattrs(path: string, { xattrs, type }: TarEntry): void {
    for (const [name, value] of xattrs) {
      // These would steer overlayfs itself.
      if (name.startsWith("trusted.overlay.") || name.startsWith("user.overlay.")) continue;
      const ignore: ErrnoName[] = type === "file" || type === "directory" ? ["EOPNOTSUPP"] : ["EOPNOTSUPP", "EPERM"];
      this.#add({ op: "setxattr", path, name, value, ignore });
    }
  }

  #whiteout(directory: string, name: string): void {
    if (name === opaqueMarker) {
      this.#parents(`${directory}/x`);
      this.#opaque(directory);
      return;
    }
    if (name.startsWith(metaPrefix)) return;
    const hidden = name.slice(whiteoutPrefix.length);
    if (hidden === "" || hidden === "." || hidden === "..")
      throw corrupt(`the whiteout ${directory}/${name} names nothing`);
    const path = `${directory}/${hidden}`;
    // A whiteout is about the layers below, never about what its own layer brings.
    if (this.#tree.get(path) !== undefined) return;
    if (this.#style === "remove") {
      this.#add({ op: "remove", path, recursive: true, ignore: ["ENOENT", "ENOTDIR"] });
      return;
    }
    this.#parents(path);
    this.#add({ op: "mknod", path, mode: S_IFCHR, major: 0, minor: 0 });
    this.#tree.set(path, { kind: "whiteout" });
  }

  #opaque(directory: string): void {
    const place = directory === "" ? "/" : directory;
    if (this.#style === "overlay") {
      this.#add({ op: "setxattr", path: place, name: "trusted.overlay.opaque", value: Buffer.from("y") });
      return;
    }
    if (directory === "" || this.#tree.children(directory).size > 0) {
      throw new OnggiError("unsupported", `the layer makes ${place} opaque after filling it`, {
        hint: "This storage driver can't do that; use the overlay driver.",
      });
    }
    this.#add({ op: "remove", path: directory, recursive: true, ignore: ["ENOENT"] });
    this.#add({ op: "mkdir", path: directory, mode: 0o755 });
    const entry = this.#directories.get(directory);
    if (entry === undefined) return;
    this.#add({ op: "chmod", path: directory, mode: entry.mode & ~specialBits });
    this.#owner(directory, entry, true);
    this.#xattrs(directory, entry);
  }

  /** Folders that the archive doesn't tell of. */
  #parents(path: string): void {
    const parent = path.slice(0, path.lastIndexOf("/"));
    if (parent === "" || this.#tree.get(parent)?.kind === "directory") return;
    this.#parents(parent);
    const before = this.#tree.get(parent);
    if (before !== undefined) this.#clear(parent);
    if (before === undefined && this.#style === "remove") {
      this.#add({ op: "mkdir", path: parent, mode: 0o755, ignore: ["EEXIST"] });
    } else this.#makeDirectory(parent, 0o755);
    if (before?.kind === "whiteout" && this.#style === "overlay") this.#opaque(parent);
    this.#tree.set(parent, { kind: "directory" });
  }

  #makeDirectory(path: string, mode: number): void {
    const ignore: { ignore?: ErrnoName[] } = this.#style === "remove" ? { ignore: ["EEXIST"] } : {};
    this.#add({ op: "mkdir", path, mode, ...ignore });
  }

  /** Makes way for something that isn't a folder. */
  #clear(path: string): void {
    const before = this.#tree.get(path);
    if (before === undefined && this.#style === "overlay") return;
    const isTree = before === undefined || before.kind === "directory";
    this.#add({ op: "remove", path, ...(isTree ? { recursive: true } : {}), ignore: ["ENOENT"] });
    for (const gone of this.#tree.delete(path)) {
      this.#directories.delete(gone);
      const ordinal = this.#files.get(gone);
      if (ordinal === undefined) continue;
      this.#files.delete(gone);
      this.gone.add(ordinal);
    }
  }

  /** Of the layers below a folder stays and anything else goes; an empty one may be made again. */
  #clearForDirectory(path: string): void {
    this.#add({ op: "remove", path, ignore: ["ENOENT", "ENOTEMPTY"] });
  }

  #linkTarget(entry: TarEntry): string {
    const target = this.#tree.resolve(entry.linkPath);
    const node = this.#tree.get(target);
    if (node === undefined && this.#style === "remove") return target;
    if (node === undefined || node.kind === "whiteout") {
      throw corrupt(`${entry.path} is a hard link to ${entry.linkPath}, which the layer doesn't have`);
    }
    if (node.kind === "directory") throw corrupt(`${entry.path} is a hard link to the folder ${entry.linkPath}`);
    return target;
  }

  #add(op: Op): void {
    this.#ops.push(op);
  }
}

function checkNames(path: string): void {
  // A character has three bytes at most here: nearly all paths need no closer look.
  if (path.length * 3 <= maxNameBytes) return;
  if (bytesOf(path).length > maxPathBytes) throw corrupt(`a path has more than ${maxPathBytes} bytes`);
  const long = path.split("/").find((name) => bytesOf(name).length > maxNameBytes);
  if (long === undefined) return;
  const bytes = bytesOf(long).length;
  throw corrupt(`the name ${long.slice(0, 40)}… has ${bytes} bytes, a file's has ${maxNameBytes} at most`);
}

function deletionMark(path: string): OnggiError {
  return new OnggiError(
    "unsupported",
    `the layer has the device 0:0 at ${path}, which overlayfs takes for a deletion`,
    {
      hint: "Make the image without it: no driver of the kernel has that number.",
    },
  );
}
