import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SnapshotBody, TreeNodeBody } from "../api/wire.ts";
import { formatList } from "./format.ts";
import { snapshotList } from "./snapshot-ls.ts";
import { drawTree } from "./snapshot-tree.ts";

function node(kind: TreeNodeBody["kind"], name: string, children: readonly TreeNodeBody[] = []): TreeNodeBody {
  return {
    kind,
    id: "1234567890abcdef",
    name,
    sizeBytes: 1500,
    status: kind === "container" ? "running" : "",
    children,
  };
}

describe("drawTree", () => {
  it("draws each below what it stands on, with lines to the next", () => {
    const forks = node("base", "", [node("container", "web-fork-1"), node("container", "web-fork-2")]);
    const images = [
      node("image", "host:latest", [node("snapshot", "web@a", [forks]), node("container", "web")]),
      node("image", ""),
    ];
    assert.deepEqual(drawTree(images), [
      "host:latest  image 1234567890ab  1.5kB",
      "├─ web@a  snapshot 1234567890ab  1.5kB",
      "│  └─ (what its forks share)  1.5kB",
      "│     ├─ web-fork-1  container 1234567890ab  running  1.5kB",
      "│     └─ web-fork-2  container 1234567890ab  running  1.5kB",
      "└─ web  container 1234567890ab  running  1.5kB",
      "<none>  image 1234567890ab  1.5kB",
    ]);
  });

  it("draws nothing of nothing", () => {
    assert.deepEqual(drawTree([]), []);
  });
});

describe("the list of snapshots", () => {
  it("has a column for each thing one asks", () => {
    const snapshot: SnapshotBody = {
      id: "1".repeat(64),
      name: "before",
      reference: "web@before",
      container: { id: "2".repeat(64), name: "web", exists: true },
      image: { id: "sha256:3", reference: "host" },
      created: "2026-01-02T13:23:37Z",
      limited: false,
      usedBy: ["a", "b"],
      sizeBytes: 4096,
    };
    const list = snapshotList({ trunc: true, nowMs: Date.parse("2026-01-02T15:23:37Z") });
    assert.deepEqual(formatList([snapshot], "", list), [
      "SNAPSHOT ID    NAME      CONTAINER   CREATED       SIZE",
      "111111111111   before    web         2 hours ago   4.1kB",
    ]);
    assert.deepEqual(formatList([snapshot], "{{.Reference}} {{.UsedBy}}", list), ["web@before a,b"]);
  });
});
