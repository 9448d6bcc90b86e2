import type { Worker } from "../executor/executor.ts";
import { OpenFile, readFiles, scanTree, type TreeEntry } from "../executor/tree-reader.ts";
import type { FileDifference } from "./files-face.ts";
import { compareTrees, differsByNature, type TreeChange } from "./tree-compare.ts";
import { unifiedDiff } from "./unified-diff.ts";

const pieceBytes = 1024 * 1024;
/** Longer texts aren't shown as a patch. */
const maxPatchBytes = 1024 * 1024;

/**
 * What differs between the trees of two workers: what a user would call a difference, so that a file that was only written again with the same
 * content is none, nor a folder in which something changed.
 */
export async function* fileDifferences(
  before: Pick<Worker, "run">,
  after: Pick<Worker, "run">,
  patch: boolean,
): AsyncGenerator<FileDifference> {
  const differs = async (was: TreeEntry, is: TreeEntry) => {
    if (differsByNature(was, is) || was.size !== is.size) return was.type !== "directory" || differsByNature(was, is);
    if (is.type !== "file" || was.mtimeNs === is.mtimeNs) return false;
    return !(await sameContent(before, after, is));
  };
  const scans = [before, after].map((worker) => scanTree(worker, "/", { xattrs: true }));
  const [old, now] = scans;
  if (old === undefined || now === undefined) return;
  for await (const change of compareTrees(old, now, differs)) {
    const { kind, path } = change;
    const text = patch ? await patchOf(before, after, change) : undefined;
    yield { kind, path: `/${path}`, ...(text === undefined ? {} : { patch: text }) };
  }
}

async function sameContent(
  before: Pick<Worker, "run">,
  after: Pick<Worker, "run">,
  { path, size }: TreeEntry,
): Promise<boolean> {
  const [old, now] = await Promise.all([before, after].map((worker) => OpenFile.open(worker, `/${path}`)));
  if (old === undefined || now === undefined) return false;
  try {
    for (let offset = 0; offset < size; offset += pieceBytes) {
      const pieces = await Promise.all(
        [old, now].map((file) => Array.fromAsync(file.read({ offset, length: pieceBytes }))),
      );
      const [a, b] = pieces.map((piece) => Buffer.concat(piece));
      if (a === undefined || b === undefined || !a.equals(b)) return false;
    }
    return true;
  } finally {
    await Promise.all([old.close(), now.close()]);
  }
}

/** Undefined for what has no content that could differ. */
async function patchOf(
  before: Pick<Worker, "run">,
  after: Pick<Worker, "run">,
  change: TreeChange,
): Promise<string | undefined> {
  const was = change.kind === "added" ? undefined : change.before;
  const is = change.kind === "deleted" ? undefined : change.after;
  if (was?.type !== "file" && is?.type !== "file") return undefined;
  const [old, now] = await Promise.all([contentOf(before, was), contentOf(after, is)]);
  const names = [
    was?.type === "file" ? `a/${change.path}` : "/dev/null",
    is?.type === "file" ? `b/${change.path}` : "/dev/null",
  ];
  const [from = "", to = ""] = names;
  if (old === undefined || now === undefined) return `Files ${from} and ${to} differ: too large to show\n`;
  if (old.equals(now)) return undefined;
  if (!isText(old) || !isText(now)) return `Binary files ${from} and ${to} differ\n`;
  return unifiedDiff(from, to, old.toString(), now.toString());
}

/** Empty for what is no file, undefined for what is too large. */
async function contentOf(worker: Pick<Worker, "run">, entry: TreeEntry | undefined): Promise<Buffer | undefined> {
  if (entry?.type !== "file") return Buffer.alloc(0);
  if (entry.size > maxPatchBytes) return undefined;
  const [content] = await readFiles(worker, [{ path: `/${entry.path}`, maxBytes: maxPatchBytes }]);
  return content === "EFBIG" ? undefined : typeof content === "object" ? Buffer.from(content) : Buffer.alloc(0);
}

function isText(content: Buffer): boolean {
  return !content.subarray(0, 8192).includes(0);
}
