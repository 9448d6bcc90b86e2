import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { TreeEntry } from "../executor/tree-reader.ts";
import { comparePaths, compareTrees, differsByMetadata, type TreeChange, withFolders } from "./tree-compare.ts";

function entry(path: string, given: Partial<TreeEntry> = {}): TreeEntry {
  return {
    path: path.replace(/\/$/, ""),
    type: path.endsWith("/") || path === "" ? "directory" : "file",
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: 0,
    mtimeNs: 0n,
    ctimeNs: 0n,
    inode: 1n,
    device: 1n,
    links: 1,
    major: 0,
    minor: 0,
    diskBytes: 0,
    linkPath: "",
    xattrs: new Map(),
    unreadable: undefined,
    ...given,
  };
}

type Told = readonly (string | TreeEntry)[];

async function* walk(told: Told): AsyncGenerator<TreeEntry> {
  for (const one of ["", ...told]) yield typeof one === "string" ? entry(one) : one;
}

async function compared(before: Told, after: Told): Promise<string[]> {
  const changes = compareTrees(walk(before), walk(after), differsByMetadata);
  return (await Array.fromAsync(changes)).map(({ kind, path }) => `${kind} ${path}`);
}

describe("compareTrees", () => {
  it("finds nothing between equal trees", async () => {
    assert.deepEqual(await compared(["a/", "a/b", "c"], ["a/", "a/b", "c"]), []);
  });

  it("tells of a folder that is gone once, and of one that is new with all in it", async () => {
    assert.deepEqual(await compared(["a/", "a/b", "a/c/", "a/c/d", "e"], ["e", "f/", "f/g"]), [
      "deleted a",
      "added f",
      "added f/g",
    ]);
  });

  it("knows that names with bytes below a slash come before what is in a folder", async () => {
    assert.deepEqual(await compared(["a/", "a/x", "a-b"], ["a/", "a-b", "a-b.c"]), ["deleted a/x", "added a-b.c"]);
  });

  it("takes a folder in the place of a file, and the reverse, for a change with all that follows", async () => {
    assert.deepEqual(await compared(["a", "b/", "b/c"], ["a/", "a/x", "b"]), ["modified a", "added a/x", "modified b"]);
  });

  it("sees owners, modes, times, links, devices and attributes, but no folder's time", async () => {
    const changed: [string, Partial<TreeEntry>][] = [
      ["gid", { gid: 1 }],
      ["link", { linkPath: "x", type: "symlink" }],
      ["mode", { mode: 0o600 }],
      ["size", { size: 1 }],
      ["time", { mtimeNs: 1n }],
      ["xattr", { xattrs: new Map([["user.x", Buffer.from("1")]]) }],
    ];
    const before = changed.map(([path, given]) => entry(path, given.type === undefined ? {} : { type: given.type }));
    const after = changed.map(([path, given]) => entry(path, given));

    assert.deepEqual(
      await compared(["d/", ...before], [entry("d/", { mtimeNs: 5n, size: 9 }), ...after]),
      changed.map(([path]) => `modified ${path}`),
    );
    const overlays = entry("f", { xattrs: new Map([["trusted.overlay.origin", Buffer.from("1")]]) });
    assert.deepEqual(await compared(["f"], [overlays]), []);
  });
});

describe("comparePaths", () => {
  it("goes by bytes, not by UTF-16", () => {
    assert.ok(comparePaths("\uffff", "\u{10000}") < 0);
    assert.ok(comparePaths("a\udcff", "a\u{10000}") > 0);
  });
});

describe("withFolders", () => {
  it("adds each folder above a change once, but not the root", async () => {
    async function* changes(): AsyncGenerator<TreeChange> {
      yield { kind: "added", path: "a/b/c", after: entry("a/b/c") };
      yield { kind: "deleted", path: "a/b/d", before: entry("a/b/d") };
      yield { kind: "modified", path: "", before: entry(""), after: entry("") };
    }
    assert.deepEqual(
      (await Array.fromAsync(withFolders(changes()))).map(({ kind, path }) => `${kind} ${path}`),
      ["modified a", "modified a/b", "added a/b/c", "deleted a/b/d"],
    );
  });
});
