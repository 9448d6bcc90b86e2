import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { imageSharing, type LayerWorld, layerUses, whyTree } from "./storage-layers.ts";

/** Two images on one base; a container on the first, a snapshot on it with a fork, and a layer of nobody. */
function aWorld(): LayerWorld {
  return {
    snapshots: [
      { id: "sha256:a1", kind: "committed", parent: undefined },
      { id: "sha256:b2", kind: "committed", parent: "sha256:a1" },
      { id: "sha256:c3", kind: "committed", parent: "sha256:a1" },
      { id: "snap-1", kind: "committed", parent: "sha256:b2" },
      { id: "web", kind: "active", parent: "sha256:b2" },
      { id: "fork", kind: "active", parent: "snap-1" },
      { id: "sha256:d4", kind: "committed", parent: undefined },
    ],
    images: [
      { id: "sha256:i1", names: ["app:1"], chainIds: ["sha256:a1", "sha256:b2"], diffIds: ["sha256:a1", "sha256:f2"] },
      { id: "sha256:i2", names: [], chainIds: ["sha256:a1", "sha256:c3"], diffIds: ["sha256:a1", "sha256:f3"] },
    ],
    containers: new Map([
      ["web", { name: "web", status: "running" }],
      ["fork", { name: "copy", status: "exited" }],
    ]),
    sizes: new Map([["sha256:a1", { bytes: 100, inodes: 10 }]]),
    nameOf: (id) => `named ${id}`,
  };
}

describe("layerUses", () => {
  const uses = new Map(layerUses(aWorld()).map((use) => [use.id, use]));

  it("tells of each layer once who holds it, over any number of steps", () => {
    assert.deepEqual(uses.get("sha256:a1"), {
      id: "sha256:a1",
      kind: "layer",
      parent: undefined,
      bytes: 100,
      inodes: 10,
      images: ["app:1", "sha256:i2"],
      containers: ["web", "copy"],
      snapshots: ["named snap-1"],
    });
    assert.equal(uses.size, 5);
  });

  it("knows snapshots from layers, and layers that nobody holds", () => {
    assert.equal(uses.get("snap-1")?.kind, "snapshot");
    assert.deepEqual(uses.get("snap-1")?.containers, ["copy"]);
    assert.deepEqual(uses.get("sha256:d4")?.images, []);
  });
});

describe("imageSharing", () => {
  it("counts each layer once, and of each image what others have, too", () => {
    const images = [
      { id: "one", chainIds: ["base", "a"], contentBytes: [100, 10] },
      { id: "two", chainIds: ["base", "b"], contentBytes: [100, 20] },
      { id: "three", chainIds: ["c"], contentBytes: [5] },
    ];
    const { layersBytes, sharedBytes } = imageSharing(images);
    assert.equal(layersBytes, 135);
    assert.deepEqual(Object.fromEntries(sharedBytes), { one: 100, two: 100, three: 0 });
  });
});

describe("whyTree", () => {
  it("draws what stands on an image's lowest layer, down to containers", () => {
    const tree = whyTree(aWorld(), "app:1");
    assert.equal(tree.id, "sha256:a1");
    const [second, other] = tree.children;
    assert.deepEqual(second?.images, ["app:1"]);
    assert.deepEqual(other?.images, ["sha256:i2"]);
    assert.deepEqual(
      second?.children.map(({ kind, name }) => `${kind} ${name}`),
      ["snapshot named snap-1", "container web (running)"],
    );
    assert.deepEqual(
      second?.children[0]?.children.map(({ name }) => name),
      ["copy (exited)"],
    );
  });

  it("finds a layer by a prefix of its chainID or its diffID", () => {
    assert.equal(whyTree(aWorld(), "c3").id, "sha256:c3");
    assert.equal(whyTree(aWorld(), "sha256:f2").id, "sha256:b2");
  });

  it("says when there is none, or when there are several", () => {
    assert.throws(() => whyTree(aWorld(), "e"), { code: "not_found" });
    assert.throws(() => whyTree(aWorld(), "f"), { code: "invalid" });
  });
});
