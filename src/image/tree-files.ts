import { closeSync, constants, fstatSync, lstatSync, openSync, readlinkSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { bytesOf, textOf } from "../base/byte-text.ts";
import { isErrno } from "../base/errno.ts";
import { OnggiError } from "../base/error.ts";

const maxLinks = 40;
/** O_PATH isn't needed: what is opened is looked at before it is read, and nothing of what can lie there waits. */
const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;

/**
 * Opens the regular files of an unpacked tree by the paths that they have inside. The tree is frozen, so that nothing changes between looking and
 * opening; links in folders' names are followed inside the tree, whatever they say.
 */
export class TreeFiles {
  readonly #root: string;
  /** Folders by the path they have inside, as the host has them. */
  readonly #folders = new Map<string, string>();

  constructor(root: string) {
    this.#root = root;
    this.#folders.set("/", "/");
  }

  /** @returns a descriptor @throws OnggiError `corrupt` when no regular file lies there */
  open(path: string): number {
    const folder = this.#folder(dirname(path), 0);
    let fd: number;
    try {
      fd = openSync(bytesOf(join(this.#root, folder, posix.basename(path))), flags);
    } catch (cause) {
      if (isErrno(cause, "ENOENT", "ELOOP", "ENOTDIR", "ENXIO")) throw changed(path, cause);
      throw cause;
    }
    if (fstatSync(fd).isFile()) return fd;
    closeSync(fd);
    throw changed(path);
  }

  /** The folder's path without links, below the root. */
  #folder(path: string, links: number): string {
    const known = this.#folders.get(path);
    if (known !== undefined) return known;
    if (links > maxLinks) throw changed(path);
    const inside = join(this.#folder(dirname(path), links), posix.basename(path));
    const place = bytesOf(join(this.#root, inside));
    const stat = lstatSync(place, { throwIfNoEntry: false });
    if (stat === undefined) throw changed(path);
    // An absolute target is one of the tree, and ".." at its root stays there.
    const found = stat.isSymbolicLink()
      ? this.#folder(posix.resolve("/", dirname(inside), textOf(readlinkSync(place, "buffer"))), links + 1)
      : inside;
    this.#folders.set(path, found);
    return found;
  }
}

function changed(path: string, cause?: unknown): OnggiError {
  return new OnggiError("corrupt", `the unpacked file ${path} isn't there any more`, {
    hint: "The data root was changed by something else: pull or load the image again.",
    cause,
  });
}
