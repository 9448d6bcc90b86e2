import { OnggiError } from "../../base/error.ts";
import type { LayerEntry } from "../layer-archive.ts";
import type { ContentMap } from "./contents.ts";
import { maxNameBytes } from "./format.ts";
import {
  type Attributes,
  type ByteString,
  impliedFolder,
  isWhiteout,
  type Node,
  newNode,
  noAttributes,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  toBytes,
  toText,
  whiteout,
} from "./tree.ts";
import { isStorable } from "./xattrs.ts";

const typeBits: Readonly<Record<Exclude<LayerEntry["type"], "hardlink">, number>> = {
  file: S_IFREG,
  directory: S_IFDIR,
  symlink: S_IFLNK,
  char: S_IFCHR,
  block: S_IFBLK,
  fifo: S_IFIFO,
};

const whiteoutPrefix = ".wh.";
/** What aufs kept for itself. */
const metaPrefix = ".wh..wh.";
const opaqueMarker = ".wh..wh..opq";
/** As many links as the kernel follows in one path: MAXSYMLINKS. */
const maxFollowed = 40;
const maxTargetBytes = 4095;
/** Deeper than a path can be that the kernel takes whole; links in an archive could lead on and on. */
const maxDepth = 2048;
const nsPerSecond = 1_000_000_000n;

/**
 * The tree that a layer's archive makes, with whiteouts and opaque folders as overlay has them.
 *
 * A later member replaces an earlier one. Links in folders' names are followed inside the layer, so that each thing has one
 * place whatever way an archive writes it, and nothing leads out.
 */
export class ArchiveTree {
  readonly root = impliedFolder();
  readonly #contents: ContentMap;
  /** The folder found last: an archive tells of a folder's entries one after the other. */
  #last: { readonly path: ByteString; readonly folder: Node } | undefined;

  constructor(contents: ContentMap) {
    this.#contents = contents;
  }

  /** @throws OnggiError `corrupt` for what no layer can hold */
  add(entry: LayerEntry): void {
    const { parts, name } = splitPath(entry.path);
    if (name === undefined) {
      this.#setRoot(entry);
      return;
    }
    if (name.startsWith(metaPrefix) && name !== opaqueMarker) return;
    if (parts.includes(metaPrefix) && parts.split("/").some((part) => part.startsWith(metaPrefix))) return;
    if (name.length > maxNameBytes)
      throw corrupt(`${quoted(entry.path)} has a name of more than ${maxNameBytes} bytes`);
    const folder = this.#folder(parts);
    if (name === opaqueMarker) folder.opaque = true;
    else if (name.startsWith(whiteoutPrefix)) hide(folder, name.slice(whiteoutPrefix.length), entry.path);
    else if (entry.type === "directory") this.#setFolder(folder, name, entry);
    else this.#setFile(folder, name, entry);
  }

  #setRoot(entry: LayerEntry): void {
    if (entry.type !== "directory") throw corrupt("the layer's root is not a folder");
    describe(this.root, entry);
  }

  #setFolder(parent: Node, name: ByteString, entry: LayerEntry): void {
    const before = childrenOf(parent).get(name);
    if (before?.children !== undefined) {
      describe(before, entry);
      return;
    }
    const folder = newNode({ mode: S_IFDIR });
    // It stood for a deletion of what lies below: the new folder must not show it again.
    if (before !== undefined && isWhiteout(before)) folder.opaque = true;
    describe(folder, entry);
    this.#put(parent, name, folder);
  }

  #setFile(parent: Node, name: ByteString, entry: LayerEntry): void {
    if (entry.type === "hardlink") {
      const target = this.#linkTarget(entry);
      if (childrenOf(parent).get(name) !== target) this.#put(parent, name, target);
      return;
    }
    const target = entry.type === "symlink" ? toBytes(entry.linkPath) : "";
    if (entry.type === "symlink" && target === "")
      throw corrupt(`the symbolic link ${quoted(entry.path)} points nowhere`);
    if (target.length > maxTargetBytes) throw corrupt(`the symbolic link ${quoted(entry.path)} is too long`);
    const isDevice = entry.type === "char" || entry.type === "block";
    const { seconds, nanos } = timeOf(entry);
    const node = newNode({
      mode: typeBits[entry.type] | (entry.type === "symlink" ? 0o777 : entry.mode & 0o7777),
      uid: entry.uid,
      gid: entry.gid,
      seconds,
      nanos,
      attributes: attributesOf(entry, noAttributes),
      size: entry.type === "file" ? entry.size : 0,
      content: entry.type === "file" ? this.#contents.contentOf(entry) : undefined,
      target,
      major: isDevice ? entry.major : 0,
      minor: isDevice ? entry.minor : 0,
    });
    this.#put(parent, name, node);
  }

  #put(parent: Node, name: ByteString, node: Node): void {
    const children = childrenOf(parent);
    if (children.get(name)?.children !== undefined) this.#last = undefined;
    children.set(name, node);
  }

  #linkTarget(entry: LayerEntry): Node {
    const { parts, name } = splitPath(entry.linkPath);
    const target = name === undefined ? this.root : this.#find(parts)?.children?.get(name);
    if (target === undefined || isWhiteout(target)) {
      throw corrupt(`${quoted(entry.path)} is a hard link to ${quoted(entry.linkPath)}, which the layer doesn't have`);
    }
    if (target.children !== undefined) {
      throw corrupt(`${quoted(entry.path)} is a hard link to the folder ${quoted(entry.linkPath)}`);
    }
    return target;
  }

  #folder(path: ByteString): Node {
    if (this.#last?.path === path) return this.#last.folder;
    const folder = this.#walk(path, (parent, name) => {
      const before = childrenOf(parent).get(name);
      const made = impliedFolder();
      if (before !== undefined && isWhiteout(before)) made.opaque = true;
      this.#put(parent, name, made);
      return made;
    });
    if (folder === undefined) throw corrupt(`there is no folder ${quoted(path)}`);
    this.#last = { path, folder };
    return folder;
  }

  #find(path: ByteString): Node | undefined {
    return this.#last?.path === path ? this.#last.folder : this.#walk(path, () => undefined);
  }

  /** Goes down a path, following links without leaving the layer; `missing` makes what isn't a folder. */
  #walk(path: ByteString, missing: (parent: Node, name: ByteString) => Node | undefined): Node | undefined {
    const trail = [this.root];
    const todo = path.split("/").reverse();
    let followed = 0;
    for (let part = todo.pop(); part !== undefined; part = todo.pop()) {
      if (part === "" || part === ".") continue;
      if (part === "..") {
        if (trail.length > 1) trail.pop();
        continue;
      }
      const at = trail.at(-1) ?? this.root;
      const found = at.children?.get(part);
      if (found !== undefined && (found.mode & S_IFMT) === S_IFLNK) {
        if (++followed > maxFollowed) throw corrupt(`the path ${quoted(toText(path))} leads in a circle`);
        if (found.target.startsWith("/")) trail.length = 1;
        todo.push(...found.target.split("/").reverse());
        continue;
      }
      if (part.length > maxNameBytes)
        throw corrupt(`${quoted(toText(path))} has a name of more than ${maxNameBytes} bytes`);
      const next = found?.children === undefined ? missing(at, part) : found;
      if (next === undefined) return undefined;
      if (trail.push(next) > maxDepth) throw corrupt(`the path ${quoted(toText(path))} is too deep`);
    }
    return trail.at(-1);
  }
}

/** What a folder's own entry says of it; attributes of an earlier one stay where this one doesn't name them. */
function describe(folder: Node, entry: LayerEntry): void {
  const { seconds, nanos } = timeOf(entry);
  folder.mode = S_IFDIR | (entry.mode & 0o7777);
  folder.uid = entry.uid;
  folder.gid = entry.gid;
  folder.seconds = seconds;
  folder.nanos = nanos;
  folder.attributes = attributesOf(entry, folder.attributes);
  folder.implied = false;
}

/** A whiteout is about the layers below, never about what its own layer brings. */
function hide(folder: Node, name: ByteString, written: string): void {
  if (name === "" || name === "." || name === "..") throw corrupt(`the whiteout ${quoted(written)} names nothing`);
  const children = childrenOf(folder);
  if (!children.has(name)) children.set(name, whiteout());
}

function childrenOf(folder: Node): Map<ByteString, Node> {
  if (folder.children === undefined) throw new TypeError("a file has no entries");
  return folder.children;
}

/** Those that the format can hold, without the ones that would steer overlay itself. */
function attributesOf({ path, xattrs }: LayerEntry, before: Attributes): Attributes {
  if (xattrs.size === 0) return before;
  const attributes = new Map(before);
  for (const [text, value] of xattrs) {
    const name = toBytes(text);
    if (name.startsWith("trusted.overlay.") || name.startsWith("user.overlay.") || !isStorable(name)) continue;
    if (name.length > maxNameBytes || value.length > 0xffff)
      throw corrupt(`an attribute of ${quoted(path)} is too large`);
    attributes.set(name, value);
  }
  return attributes.size === 0 ? noAttributes : attributes;
}

function timeOf({ mtimeNs }: LayerEntry): { readonly seconds: number; readonly nanos: number } {
  const nanos = ((mtimeNs % nsPerSecond) + nsPerSecond) % nsPerSecond;
  return { seconds: Number((mtimeNs - nanos) / nsPerSecond), nanos: Number(nanos) };
}

/**
 * The folders and the name of what an archive calls `written`: absolute is taken as relative to the layer.
 *
 * @throws OnggiError `corrupt` when `..` leads out of the layer
 */
function splitPath(written: string): { readonly parts: ByteString; readonly name: ByteString | undefined } {
  let path = toBytes(written);
  if (awkward.test(path)) path = cleaned(path, written);
  while (path.endsWith("/")) path = path.slice(0, -1);
  if (path.startsWith("./")) path = path.slice(2);
  if (path === "" || path === ".") return { parts: "", name: undefined };
  const slash = path.lastIndexOf("/");
  return { parts: slash === -1 ? "" : path.slice(0, slash), name: path.slice(slash + 1) };
}

/** An empty, `.` or `..` part anywhere but in front. */
const awkward = /^\/|\/\/|\/\.\.?(\/|$)|^\.\.(\/|$)|^\.\/\.\.?(\/|$)/;

function cleaned(path: ByteString, written: string): ByteString {
  const parts: ByteString[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined) throw corrupt(`the path ${quoted(written)} leads out of the layer`);
  }
  return parts.join("/");
}

function quoted(path: string): string {
  return JSON.stringify(path);
}

function corrupt(reason: string): OnggiError {
  return new OnggiError("corrupt", `the archive is damaged: ${reason}`, {
    hint: "Make or fetch the archive again; it must be a tar, plain or compressed with gzip or zstd.",
  });
}
