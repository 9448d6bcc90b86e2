import { createReadStream, lstatSync, readlinkSync, type Stats } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { OnggiError } from "../base/error.ts";
import { type TarEntry, tarEntry } from "./tar-entry.ts";
import { encodeTarHeader, tarEnd, tarPadding } from "./tar-writer.ts";

const maxLinks = 40;

type Node =
  | { readonly kind: "entry"; readonly entry: TarEntry; readonly data?: Uint8Array }
  | { readonly kind: "host"; readonly entry: TarEntry; readonly source: string };

/**
 * A file tree put together from the host's files and made-up ones, written out as a tar.
 *
 * The tar depends on the files' content, owner, mode and time alone: names are sorted, folders and made-up files have
 * the time 0.
 */
export class HostTree {
  readonly #nodes = new Map<string, Node>();

  /**
   * Adds a file of the host with the folders and symbolic links that lead to it, so that it has the same path inside.
   *
   * @returns false when the host has no such file
   */
  addHost(path: string): boolean {
    return this.#walk(path, 0);
  }

  addDirectory(path: string, mode = 0o755): void {
    this.#parents(path);
    this.#nodes.set(path, { kind: "entry", entry: tarEntry({ type: "directory", path: path.slice(1), mode }) });
  }

  addFile(path: string, content: string | Uint8Array, mode = 0o644): void {
    const data = Buffer.from(content as Uint8Array);
    this.#parents(path);
    const entry = tarEntry({ type: "file", path: path.slice(1), mode, size: data.length });
    this.#nodes.set(path, { kind: "entry", entry, data });
  }

  addSymlink(path: string, target: string): void {
    this.#parents(path);
    this.#nodes.set(path, {
      kind: "entry",
      entry: tarEntry({ type: "symlink", path: path.slice(1), linkPath: target }),
    });
  }

  /** The newest time of a file of the host: when the tree last changed, as far as its content tells. */
  newestMs(): number {
    let newest = 0n;
    for (const { kind, entry } of this.#nodes.values()) {
      if (kind === "host" && entry.mtimeNs > newest) newest = entry.mtimeNs;
    }
    return Number(newest / 1_000_000n);
  }

  async *tar(): AsyncGenerator<Uint8Array> {
    for (const path of [...this.#nodes.keys()].sort(byParts)) {
      const node = this.#nodes.get(path);
      if (node === undefined) continue;
      yield encodeTarHeader(node.entry);
      if (node.kind === "host") yield* readExactly(node.source, node.entry.size);
      else if (node.data !== undefined) yield node.data;
      yield tarPadding(node.entry.size);
    }
    yield tarEnd();
  }

  /** Folders and links on the way are recorded as they are met; a link is followed from where it lies. */
  #walk(path: string, links: number): boolean {
    if (links > maxLinks) return false;
    const parts = resolve("/", path).split("/").slice(1);
    let at = "";
    for (const [index, part] of parts.entries()) {
      at = `${at}/${part}`;
      const stat = statOf(at);
      if (stat === undefined) return false;
      if (stat.isSymbolicLink()) {
        const target = readlinkSync(at);
        this.#nodes.set(at, {
          kind: "entry",
          entry: { ...describe(stat, at), type: "symlink", mode: 0o777, linkPath: target },
        });
        return this.#walk(join(resolve(dirname(at), target), ...parts.slice(index + 1)), links + 1);
      }
      if (stat.isDirectory()) this.#addHostDirectory(at, stat);
      else if (stat.isFile() && index === parts.length - 1) this.#addHostFile(at, stat);
      else return false;
    }
    return true;
  }

  #addHostDirectory(path: string, stat: Stats): void {
    if (this.#nodes.has(path)) return;
    this.#nodes.set(path, { kind: "entry", entry: { ...describe(stat, path), type: "directory", mtimeNs: 0n } });
  }

  #addHostFile(path: string, stat: Stats): void {
    if (this.#nodes.has(path)) return;
    this.#nodes.set(path, { kind: "host", entry: { ...describe(stat, path), size: stat.size }, source: path });
  }

  #parents(path: string): void {
    for (let parent = dirname(path); parent !== "/"; parent = dirname(parent)) {
      if (this.#nodes.has(parent)) continue;
      const stat = statOf(parent);
      if (stat?.isDirectory()) this.#addHostDirectory(parent, stat);
      else if (stat?.isSymbolicLink()) this.addHost(parent);
      else this.#nodes.set(parent, { kind: "entry", entry: tarEntry({ type: "directory", path: parent.slice(1) }) });
    }
  }
}

function describe(stat: Stats, path: string): TarEntry {
  return tarEntry({
    type: "file",
    path: path.slice(1),
    mode: stat.mode & 0o7777,
    uid: stat.uid,
    gid: stat.gid,
    mtimeNs: BigInt(Math.floor(stat.mtimeMs / 1000)) * 1_000_000_000n,
  });
}

/** A folder before what is in it, whatever other characters sort before a slash. */
function byParts(a: string, b: string): number {
  const left = a.replaceAll("/", "\0");
  const right = b.replaceAll("/", "\0");
  return left < right ? -1 : left > right ? 1 : 0;
}

async function* readExactly(path: string, size: number): AsyncGenerator<Uint8Array> {
  let left = size;
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
    left -= chunk.length;
    yield chunk;
  }
  if (left !== 0) {
    throw new OnggiError("conflict", `${path} changed while it was read`, { hint: "Make the image again." });
  }
}

function statOf(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}
