import { bytesOf } from "../base/byte-text.ts";
import type { TreeEntry } from "../executor/tree-reader.ts";
import { isPortable } from "./archive-write.ts";

/** One difference between two trees. Of a folder that is gone, only that itself is told; of one that is new, all that is in it. */
export type TreeChange =
  | { readonly kind: "added"; readonly path: string; readonly after: TreeEntry }
  | { readonly kind: "modified"; readonly path: string; readonly before: TreeEntry; readonly after: TreeEntry }
  | { readonly kind: "deleted"; readonly path: string; readonly before: TreeEntry };

/** Whether what has the same type differs. */
export type Differs = (before: TreeEntry, after: TreeEntry) => boolean | Promise<boolean>;

/** Walks two trees side by side; both are in the order of `scanTree`, and so is what comes of it. */
export async function* compareTrees(
  before: AsyncIterable<TreeEntry>,
  after: AsyncIterable<TreeEntry>,
  differs: Differs,
): AsyncGenerator<TreeChange> {
  await using old = new Walk(before);
  await using now = new Walk(after);
  await Promise.all([old.next(), now.next()]);
  for (;;) {
    const [was, is] = [old.entry, now.entry];
    if (was === undefined && is === undefined) return;
    const order = was === undefined ? 1 : is === undefined ? -1 : comparePaths(was.path, is.path);
    if (order < 0 && was !== undefined) {
      yield { kind: "deleted", path: was.path, before: was };
      await old.skip();
    } else if (order > 0 && is !== undefined) {
      yield { kind: "added", path: is.path, after: is };
      await now.next();
    } else if (was !== undefined && is !== undefined) {
      if (was.type !== is.type || (await differs(was, is))) {
        yield { kind: "modified", path: is.path, before: was, after: is };
      }
      // What was in a folder that is none any more went with it.
      await Promise.all([was.type === is.type ? old.next() : old.skip(), now.next()]);
    }
  }
}

/** The order of a walk: names by their bytes, and all that is in a folder right behind it. */
export function comparePaths(a: string, b: string): number {
  if (a === b) return 0;
  return Buffer.compare(bytesOf(a.replaceAll("/", "\0")), bytesOf(b.replaceAll("/", "\0")));
}

/** What Docker's `diff` looks at: all that stat tells, of folders neither size nor time. */
export function differsByMetadata(before: TreeEntry, after: TreeEntry): boolean {
  if (differsByNature(before, after)) return true;
  return after.type !== "directory" && (before.mtimeNs !== after.mtimeNs || before.size !== after.size);
}

/** Owner, mode, attributes, where a link points, which device it is. */
export function differsByNature(before: TreeEntry, after: TreeEntry): boolean {
  const isDevice = after.type === "char" || after.type === "block";
  return (
    before.mode !== after.mode ||
    before.uid !== after.uid ||
    before.gid !== after.gid ||
    before.linkPath !== after.linkPath ||
    (isDevice && (before.major !== after.major || before.minor !== after.minor)) ||
    !sameXattrs(before.xattrs, after.xattrs)
  );
}

/** Adds the folders in which something changed as changed themselves, as Docker tells it; the root never is. */
export async function* withFolders(
  changes: AsyncIterable<TreeChange>,
): AsyncGenerator<{ readonly kind: TreeChange["kind"]; readonly path: string }> {
  const told = new Set<string>();
  for await (const { kind, path } of changes) {
    if (path === "") continue;
    for (let slash = path.indexOf("/"); slash !== -1; slash = path.indexOf("/", slash + 1)) {
      const folder = path.slice(0, slash);
      if (told.has(folder)) continue;
      told.add(folder);
      yield { kind: "modified", path: folder };
    }
    told.add(path);
    yield { kind, path };
  }
}

function sameXattrs(a: TreeEntry["xattrs"], b: TreeEntry["xattrs"]): boolean {
  if (a.size === 0 && b.size === 0) return true;
  const [first, second] = [a, b].map((xattrs) => new Map([...xattrs].filter(([name]) => isPortable(name))));
  if (first === undefined || second === undefined || first.size !== second.size) return false;
  return [...first].every(([name, value]) => {
    const other = second.get(name);
    return other !== undefined && Buffer.compare(value, other) === 0;
  });
}

/** One of the two walks, at an entry. */
class Walk implements AsyncDisposable {
  readonly #entries: AsyncIterator<TreeEntry>;
  entry: TreeEntry | undefined;

  constructor(entries: AsyncIterable<TreeEntry>) {
    this.#entries = entries[Symbol.asyncIterator]();
  }

  async next(): Promise<void> {
    const result = await this.#entries.next();
    this.entry = result.done === true ? undefined : result.value;
  }

  /** Passes over the entry and all that is in it. */
  async skip(): Promise<void> {
    const inside = `${this.entry?.path ?? ""}/`;
    do await this.next();
    while (this.entry?.path.startsWith(inside) === true);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#entries.return?.();
  }
}
