import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isOnggiError } from "../../base/error.ts";
import type { LayerEntry } from "../layer-archive.ts";
import { ArchiveTree } from "./archive-tree.ts";
import { ContentMap } from "./contents.ts";
import { mergeLayer, settle } from "./merge.ts";
import { aLayerEntry } from "./testing/layer-entry.ts";
import { isWhiteout, type Node, type Tree } from "./tree.ts";

const file = (path: string, more: Partial<LayerEntry> = {}) => aLayerEntry({ type: "file", path, ...more });
const folder = (path: string, more: Partial<LayerEntry> = {}) => aLayerEntry({ type: "directory", path, ...more });
const link = (path: string, linkPath: string) => aLayerEntry({ type: "symlink", path, linkPath });
const hard = (path: string, linkPath: string) => aLayerEntry({ type: "hardlink", path, linkPath });

function treeOf(...entries: readonly LayerEntry[]): Tree {
  const tree = new ArchiveTree(new ContentMap(0));
  for (const entry of entries) tree.add(entry);
  return { root: tree.root, devices: [] };
}

/** All paths, folders with a slash, whiteouts with a minus. */
function paths({ root }: Tree): readonly string[] {
  const found: string[] = [];
  const visit = (node: Node, path: string): void => {
    for (const [name, child] of node.children ?? []) {
      found.push(`${isWhiteout(child) ? "-" : ""}${path}${name}${child.children === undefined ? "" : "/"}`);
      visit(child, `${path}${name}/`);
    }
  };
  visit(root, "");
  return found.toSorted();
}

function at({ root }: Tree, path: string): Node {
  let node: Node | undefined = root;
  for (const name of path.split("/")) node = node?.children?.get(name);
  assert.ok(node !== undefined, path);
  return node;
}

const isCorrupt = (error: unknown) => isOnggiError(error, "corrupt");

describe("ArchiveTree", () => {
  it("takes paths in whatever way they are written", () => {
    const tree = treeOf(folder("./"), folder("./a/"), file("/a/one"), file("a//./b/../two"), file("./c/./three"));
    assert.deepEqual(paths(tree), ["a/", "a/one", "a/two", "c/", "c/three"]);
  });

  it("refuses what leads out, a root that is a file, links to nothing and names that are too long", () => {
    assert.throws(() => treeOf(file("../x")), isCorrupt);
    assert.throws(() => treeOf(file("a/../../x")), isCorrupt);
    assert.throws(() => treeOf(file(".")), isCorrupt);
    assert.throws(() => treeOf(hard("a", "b")), isCorrupt);
    assert.throws(() => treeOf(folder("b"), hard("a", "b")), isCorrupt);
    assert.throws(() => treeOf(file("x".repeat(256))), isCorrupt);
    assert.throws(() => treeOf(link("a", "")), isCorrupt);
    assert.throws(() => treeOf(link("a", "b"), link("b", "a"), file("a/x")), isCorrupt);
  });

  it("follows links in folders' names, but not out of the layer", () => {
    const tree = treeOf(
      folder("real"),
      link("alias", "real"),
      link("up", "../../../real"),
      file("alias/one"),
      file("up/two"),
    );
    assert.deepEqual(paths(tree), ["alias", "real/", "real/one", "real/two", "up"]);
    assert.deepEqual(paths(treeOf(link("to", "/made/later"), file("to/x"))), [
      "made/",
      "made/later/",
      "made/later/x",
      "to",
    ]);
  });

  it("lets a later member replace an earlier one", () => {
    const tree = treeOf(
      file("a"),
      folder("a"),
      file("a/x"),
      folder("b"),
      file("b/x"),
      file("b"),
      file("c"),
      link("c", "a"),
    );
    assert.deepEqual(paths(tree), ["a/", "a/x", "b", "c"]);
  });

  it("keeps what a replaced name shared, and a hard link to itself", () => {
    const tree = treeOf(file("a", { mode: 0o600 }), hard("b", "a"), hard("a", "a"), file("a"));
    assert.equal(at(tree, "b").mode & 0o777, 0o600);
    assert.equal(at(tree, "a").mode & 0o777, 0o644);
  });

  it("knows the folders that it isn't told of from those that it is", () => {
    const tree = treeOf(file("a/b/c"), folder("a", { mode: 0o700 }));
    assert.equal(at(tree, "a").implied, false);
    assert.equal(at(tree, "a/b").implied, true);
    assert.equal(at(tree, "a/b").mode & 0o7777, 0o755);
  });

  it("takes whiteouts for what lies below, never for what its own layer brings", () => {
    const tree = treeOf(file("a"), file(".wh.a"), file("d/.wh.gone"), file("d/.wh..wh..opq"), file(".wh..wh.plnk"));
    assert.deepEqual(paths(tree), ["-d/gone", "a", "d/"]);
    assert.equal(at(tree, "d").opaque, true);
    assert.equal(at(treeOf(file(".wh.x"), folder("x")), "x").opaque, true);
    assert.throws(() => treeOf(file(".wh..")), isCorrupt);
  });

  it("leaves out attributes that would steer overlay, and those that no image can hold", () => {
    const one = Buffer.from("1");
    const xattrs = new Map([
      ["user.kept", one],
      ["trusted.overlay.opaque", one],
      ["user.overlay.redirect", one],
      ["os2.other", one],
    ]);
    assert.deepEqual([...at(treeOf(file("a", { xattrs })), "a").attributes.keys()], ["user.kept"]);
  });

  it("keeps times before 1970 to the nanosecond", () => {
    const node = at(treeOf(file("a", { mtimeNs: -1n })), "a");
    assert.deepEqual([node.seconds, node.nanos], [-1, 999_999_999]);
  });
});

describe("mergeLayer", () => {
  const below = () =>
    settle(treeOf(folder("d", { mode: 0o700 }), file("d/one"), file("d/two"), folder("e"), file("e/x"), file("f")));
  const over = (...entries: readonly LayerEntry[]) => mergeLayer(below(), treeOf(...entries));

  it("adds, replaces and hides", () => {
    const merged = over(file("d/three"), file("d/.wh.one"), file("e"), folder("f"), file("f/x"));
    assert.deepEqual(paths(merged), ["d/", "d/three", "d/two", "e", "f/", "f/x"]);
  });

  it("shows of an opaque folder only what is new, also where a whiteout made way for it", () => {
    assert.deepEqual(paths(over(file("d/new"), file("d/.wh..wh..opq"))), ["d/", "d/new", "e/", "e/x", "f"]);
    assert.deepEqual(paths(over(file(".wh.d"), folder("d"), file("d/new"))), ["d/", "d/new", "e/", "e/x", "f"]);
  });

  it("leaves a folder as it is below when the layer doesn't tell of it", () => {
    assert.equal(at(over(file("d/new")), "d").mode & 0o777, 0o700);
    assert.equal(at(over(folder("d", { mode: 0o755 })), "d").mode & 0o777, 0o755);
  });

  it("leaves no whiteout in what has nothing below it", () => {
    assert.deepEqual(paths(over(file("new/.wh.x"), file("new/y"))), [
      "d/",
      "d/one",
      "d/two",
      "e/",
      "e/x",
      "f",
      "new/",
      "new/y",
    ]);
    assert.deepEqual(paths(settle(treeOf(file(".wh.x"), file("a")))), ["a"]);
  });

  it("numbers the layer's devices after those below", () => {
    const device = { tag: "t", bytes: 512 };
    const lower = { ...settle(treeOf(file("a"))), devices: [device] };
    const tree = new ArchiveTree(new ContentMap(4096));
    tree.add(file("b", { size: 10, extents: [{ offset: 0, archiveOffset: 512, length: 10 }] }));
    const merged = mergeLayer(lower, { root: tree.root, devices: [device] });
    assert.deepEqual(at(merged, "b").content?.chunks, [2, 1]);
    assert.equal(merged.devices.length, 2);
  });
});
