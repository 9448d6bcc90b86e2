import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OnggiError } from "../base/error.ts";
import type { Snapshotter } from "../storage/snapshotter.ts";
import { isOwnTree, SnapshotTrees } from "./snapshot-trees.ts";

/** A storage of committed trees by name, each with what it stands on. */
function storage(parents: Record<string, string | undefined>): Snapshotter {
  return {
    *list() {
      for (const [id, parent] of Object.entries(parents))
        yield { id, kind: id.length === 64 ? "active" : "committed", parent };
    },
    async remove(id: string) {
      if (Object.values(parents).includes(id)) throw new OnggiError("in_use", `${id} is in use`);
      delete parents[id];
    },
  } as Partial<Snapshotter> as Snapshotter; // Only what collecting asks for.
}

const container = "c".repeat(64);

describe("SnapshotTrees", () => {
  it("collects what nothing names, stands on or holds, whatever the order", async () => {
    const parents: Record<string, string | undefined> = {
      "sha256:layer": undefined,
      "fork-idle": "sha256:layer",
      "snap-idle": "fork-idle",
      "fork-idler": "snap-idle",
      "snap-named": "sha256:layer",
      "fork-used": "sha256:layer",
      [container]: "fork-used",
      "fork-held": "sha256:layer",
    };
    const trees = new SnapshotTrees(storage(parents));
    const letGo = trees.hold("fork-held");
    assert.equal(await trees.collect((tree) => tree === "snap-named"), 3);
    assert.deepEqual(Object.keys(parents), ["sha256:layer", "snap-named", "fork-used", container, "fork-held"]);
    letGo();
    delete parents[container];
    assert.equal(await trees.collect(() => false), 3);
    assert.deepEqual(Object.keys(parents), ["sha256:layer"]);
  });

  it("are told from layers by their names", () => {
    assert.deepEqual(["snap-1", "fork-1", "sha256:ab", "unpack-1"].map(isOwnTree), [true, true, false, false]);
  });
});
