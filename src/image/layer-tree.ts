import { corrupt } from "./tar-header.ts";

export type LayerNode =
  | { readonly kind: "directory" | "other" | "whiteout" }
  | { readonly kind: "symlink"; readonly target: string };

const maxLinks = 40;
const noNames: ReadonlySet<string> = new Set();

/**
 * What a layer has made so far, by path.
 *
 * Only what the layer itself brings lies in its folder, so links in a path can be followed here, and each thing has one
 * path, whatever way an archive writes it.
 */
export class LayerTree {
  readonly #nodes = new Map<string, LayerNode>();
  /** Names in a folder, by the folder's path; the root is "". */
  readonly #names = new Map<string, Set<string>>();

  get(path: string): LayerNode | undefined {
    return this.#nodes.get(path);
  }

  set(path: string, node: LayerNode): void {
    const slash = path.lastIndexOf("/");
    const isNew = slash !== -1 && !this.#nodes.has(path);
    this.#nodes.set(path, node);
    if (!isNew) return;
    const parent = path.slice(0, slash);
    const names = this.#names.get(parent);
    if (names === undefined) this.#names.set(parent, new Set([path.slice(slash + 1)]));
    else names.add(path.slice(slash + 1));
  }

  /** Forgets a path and, of a folder, all below it. @returns all that went */
  delete(path: string): readonly string[] {
    const gone = [path];
    for (let index = 0; index < gone.length; index++) {
      const at = gone[index] ?? "";
      for (const name of this.children(at)) gone.push(`${at}/${name}`);
      this.#nodes.delete(at);
      this.#names.delete(at);
    }
    this.#names.get(path.slice(0, path.lastIndexOf("/")))?.delete(path.slice(path.lastIndexOf("/") + 1));
    return gone;
  }

  /** Names of what lies directly in a folder. */
  children(path: string): ReadonlySet<string> {
    return this.#names.get(path) ?? noNames;
  }

  /**
   * The one path of what an archive calls `written`: cleaned, with links in its folders followed, its last part as it is.
   *
   * @returns "" for the root
   * @throws OnggiError `corrupt` when the path leads out of the layer, or in a circle
   */
  resolve(written: string): string {
    const parts = cleanParts(written);
    const last = parts.pop();
    if (last === undefined) return "";
    const parent = this.#follow(parts);
    return `${parent}/${last}`;
  }

  #follow(parts: readonly string[]): string {
    let at = "";
    let links = 0;
    const todo = [...parts].reverse();
    for (let part = todo.pop(); part !== undefined; part = todo.pop()) {
      if (part === "..") {
        at = at.slice(0, Math.max(0, at.lastIndexOf("/")));
        continue;
      }
      const next = `${at}/${part}`;
      const node = this.#nodes.get(next);
      if (node?.kind !== "symlink") {
        at = next;
        continue;
      }
      if (++links > maxLinks) throw corrupt(`the path /${parts.join("/")} leads in a circle`);
      if (node.target.startsWith("/")) at = "";
      todo.push(
        ...node.target
          .split("/")
          .filter((one) => one !== "" && one !== ".")
          .reverse(),
      );
    }
    return at;
  }
}

/** The parts of an archive's path: absolute is taken as relative to the layer; `..` must not lead out of it. */
function cleanParts(written: string): string[] {
  const parts: string[] = [];
  for (const part of written.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined) throw corrupt(`the path ${JSON.stringify(written)} leads out of the layer`);
  }
  return parts;
}
