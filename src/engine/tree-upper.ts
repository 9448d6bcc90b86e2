import { readEntry, scanTree, type TreeEntry, type TreeWorker } from "../executor/tree-reader.ts";
import { compareTrees, type Differs, type TreeChange } from "./tree-compare.ts";

const opaque = "trusted.overlay.opaque";

export interface OverlayTrees {
  /** In the upper directory, as it lies on the disk. */
  readonly upper: TreeWorker;
  /** In what is below. */
  readonly base: TreeWorker;
  /** In both, as overlayfs shows them. */
  readonly merged: TreeWorker;
}

/**
 * What differs between an overlay and what is below it, told by the upper directory: only what was changed is looked at, however large the
 * image is.
 *
 * Takes for granted what `storage/overlay` mounts with: no redirected directories, no files without their data.
 */
export async function* overlayChanges(trees: OverlayTrees, differs: Differs): AsyncGenerator<TreeChange> {
  /** A folder that isn't looked into further: all in it is told already, or all in it is new. */
  let told: string | undefined;
  let added: string | undefined;
  for await (const is of scanTree(trees.upper, "/", { xattrs: true })) {
    if (isInside(told, is.path)) continue;
    if (isInside(added, is.path)) {
      if (!isWhiteout(is)) yield { kind: "added", path: is.path, after: is };
      continue;
    }
    const was = await readEntry(trees.base, `/${is.path}`, { xattrs: true });
    const before = was === undefined ? undefined : { ...was, path: is.path };
    if (isWhiteout(is)) {
      if (before !== undefined) yield { kind: "deleted", path: is.path, before };
      continue;
    }
    const isNew = before?.type !== is.type;
    if (before === undefined) yield { kind: "added", path: is.path, after: is };
    else if (isNew || (await differs(before, is))) yield { kind: "modified", path: is.path, before, after: is };
    if (is.type !== "directory") continue;
    if (isNew) added = is.path;
    else if (is.path !== "" && is.xattrs.has(opaque)) {
      told = is.path;
      yield* replacedFolder(trees, is.path, differs);
    }
  }
}

/** A folder that hides the one below it: each thing in it may be the same again. */
async function* replacedFolder(
  { base, merged }: OverlayTrees,
  folder: string,
  differs: Differs,
): AsyncGenerator<TreeChange> {
  const scans = [base, merged].map((worker) => scanTree(worker, `/${folder}`, { xattrs: true }));
  const [before, after] = scans;
  if (before === undefined || after === undefined) return;
  for await (const change of compareTrees(before, after, differs)) {
    if (change.path !== "") yield { ...change, path: `${folder}/${change.path}` };
  }
}

function isInside(folder: string | undefined, path: string): boolean {
  return folder !== undefined && path.startsWith(`${folder}/`);
}

function isWhiteout({ type, major, minor }: TreeEntry): boolean {
  return type === "char" && major === 0 && minor === 0;
}
