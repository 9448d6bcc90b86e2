import { posix } from "node:path";
import { readEntry, type TreeEntry, type TreeWorker } from "../executor/tree-reader.ts";

/** As many as the kernel follows. */
const maxLinks = 40;

/** A path as Docker reads it: from the root, without detours, but with a slash or a dot at its end kept, which ask for a folder. */
export function archivePath(path: string): string {
  const clean = posix.normalize(posix.join("/", path)).replace(/(?<=.)\/$/, "");
  if (path === "." || path.endsWith("/.")) return clean === "/" ? "/." : `${clean}/.`;
  return path.endsWith("/") && clean !== "/" ? `${clean}/` : clean;
}

/** The name under which a path's content stands in an archive: Go's `filepath.Base`. */
export function archiveName(path: string): string {
  const plain = path.replace(/\/+$/, "");
  return plain === "" ? "/" : plain.slice(plain.lastIndexOf("/") + 1);
}

/** The name of an entry below a folder that stands in the archive as `base`. */
export function nameBelow(base: string, path: string): string {
  const prefix = base === "/" ? "" : base;
  return path === "" ? base : `${prefix}/${path}`;
}

/** Where links lead from a path, as far as there is something: what is missing stays as it is written. */
export async function followLinks(worker: TreeWorker, path: string): Promise<string> {
  let at = "";
  let links = 0;
  const todo = partsOf(path).reverse();
  for (let part = todo.pop(); part !== undefined; part = todo.pop()) {
    if (part === "..") {
      at = at.slice(0, Math.max(0, at.lastIndexOf("/")));
      continue;
    }
    const next = `${at}/${part}`;
    const entry: TreeEntry | undefined = await readEntry(worker, next);
    if (entry?.type !== "symlink" || ++links > maxLinks) {
      at = next;
      continue;
    }
    if (entry.linkPath.startsWith("/")) at = "";
    todo.push(...partsOf(entry.linkPath).reverse());
  }
  return at === "" ? "/" : at;
}

function partsOf(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}
