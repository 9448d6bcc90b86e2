import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertsDirectory, keepEnding, parseCopySide, planCopy, renamed, splitEntry } from "./cp-path.ts";

describe("parseCopySide", () => {
  it("tells containers from paths", () => {
    assert.deepEqual(parseCopySide("web:/etc"), { container: "web", path: "/etc" });
    assert.deepEqual(parseCopySide("web:"), { container: "web", path: "" });
    for (const path of ["file", "/a:b", "./a:b", "../a:b", "-", ":x"]) {
      assert.deepEqual(parseCopySide(path), { container: undefined, path });
    }
  });
});

describe("splitEntry", () => {
  it("takes a folder's contents for a dot in it", () => {
    assert.deepEqual(splitEntry("/a/b"), { folder: "/a", name: "b" });
    assert.deepEqual(splitEntry("/a/b/"), { folder: "/a", name: "b" });
    assert.deepEqual(splitEntry("/a/b/."), { folder: "/a/b", name: "." });
    assert.deepEqual(splitEntry("/"), { folder: "/", name: "/" });
    assert.deepEqual(splitEntry("/."), { folder: "/", name: "." });
    assert.deepEqual(splitEntry("name"), { folder: ".", name: "name" });
  });
});

describe("endings", () => {
  it("say that a folder is meant, and stay when the rest is cleaned", () => {
    assert.ok(assertsDirectory("a/") && assertsDirectory("a/.") && assertsDirectory(".") && !assertsDirectory("a/b."));
    assert.deepEqual(
      [keepEnding("/a", "./a/"), keepEnding("/a", "./a/."), keepEnding("/", "."), keepEnding("/a", "a")],
      ["/a/", "/a/.", "/.", "/a"],
    );
  });

  it("and names stay when a link was followed", () => {
    assert.deepEqual(renamed("/a/link", "/b/file"), { path: "/b/file", name: "link" });
    assert.deepEqual(renamed("/a/link/.", "/b/dir"), { path: "/b/dir/." });
    assert.deepEqual(renamed("/a/file", "/a/file"), { path: "/a/file" });
  });
});

describe("planCopy", () => {
  const file = { path: "/s/file", isDirectory: false };
  const folder = { path: "/s/dir", isDirectory: true };

  it("puts things into a folder that is there, under their own name", () => {
    assert.deepEqual(planCopy(file, { path: "/t", kind: "directory" }), { folder: "/t", name: undefined });
    assert.deepEqual(planCopy({ ...file, name: "asked" }, { path: "/t", kind: "directory" }), {
      folder: "/t",
      name: "asked",
    });
  });

  it("gives what isn't there yet, or is a file, the name of the target", () => {
    assert.deepEqual(planCopy(file, { path: "/t/new", kind: "missing" }), { folder: "/t", name: "new" });
    assert.deepEqual(planCopy(file, { path: "/t/old", kind: "other" }), { folder: "/t", name: "old" });
    assert.deepEqual(planCopy(folder, { path: "/t/new/", kind: "missing" }), { folder: "/t", name: "new" });
  });

  it("refuses what Docker refuses", () => {
    assert.throws(() => planCopy(folder, { path: "/t/file", kind: "other" }), /^OnggiError: cannot copy directory$/);
    assert.throws(() => planCopy(file, { path: "/t/new/", kind: "missing" }), /^OnggiError: no such directory$/);
  });
});
