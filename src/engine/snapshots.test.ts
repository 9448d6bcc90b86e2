import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { isOnggiError } from "../base/error.ts";
import type { Snapshotter } from "../storage/snapshotter.ts";
import { Container } from "./container.ts";
import { ContainerNames } from "./container-names.ts";
import { type ContainerRecord, neverRan } from "./container-record.ts";
import { Events } from "./events.ts";
import { Rootfs } from "./rootfs.ts";
import { SnapshotTrees } from "./snapshot-trees.ts";
import { Snapshots } from "./snapshots.ts";

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "onggi-snapshots-"));
});

afterEach(() => {
  rmSync(root, { recursive: true });
});

/** Committed trees by name; each stands on the layer. What is frozen, still and gone is noted in `log`. */
function storage(trees: Set<string>, log: string[]): Snapshotter {
  return {
    has: (id: string) => trees.has(id),
    *list() {
      for (const id of trees) yield { id, kind: "committed", parent: "sha256:layer" };
    },
    async capture(_key: string, name: string, { copied }: { readonly copied?: () => Promise<void> } = {}) {
      log.push("copied");
      await copied?.();
      log.push("on the disk");
      trees.add(name);
    },
    async remove(id: string) {
      trees.delete(id);
    },
  } as Partial<Snapshotter> as Snapshotter; // Only what snapshots ask for.
}

function record(id: string, name: string): ContainerRecord {
  const image = { id: "sha256:image", reference: "host", config: {}, chainId: "sha256:layer" };
  const settings = { argv: ["true"], env: [], workingDirectory: "/", user: "", labels: {}, exposedPorts: [] };
  const state = { last: neverRan, restartCount: 0, stoppedByUser: false, wasRunning: false, createdAtMs: 1 };
  const config = { image: "host" };
  return { format: 1, id, name, config, image, ...settings, ...state, stopSignal: "SIGTERM", hostname: name };
}

async function open({ trees = new Set<string>(), isWhole = true } = {}) {
  const log: string[] = [];
  const names = new ContainerNames();
  const web = new Container(record("a".repeat(64), "web"));
  names.add(web);
  const snapshotter = storage(trees, log);
  const snapshots = new Snapshots({
    root,
    isWhole,
    trees: new SnapshotTrees(snapshotter),
    rootfs: new Rootfs(snapshotter),
    names,
    events: new Events(),
    async still() {
      log.push("still");
      return async () => {
        if (!log.includes("goes on")) log.push("goes on");
      };
    },
    images: async () => [],
    afterRemove: () => log.push("an image may go"),
  });
  await snapshots.sweep();
  return { snapshots, names, web, trees, log };
}

describe("Snapshots", () => {
  it("stop a container only while it is copied", async () => {
    const { snapshots, log } = await open();
    await snapshots.create("web", { name: "one" });
    assert.deepEqual(log, ["still", "copied", "goes on", "on the disk"]);
    snapshots.close();
  });

  it("are there for the next engine, with those that were renamed or are gone", async () => {
    const { snapshots, trees, names, web } = await open();
    await snapshots.create("web", { name: "one" });
    web.record = { ...web.record, name: "site" };
    names.add(web);
    assert.equal(snapshots.get("site@one").container.exists, true);
    names.remove(web);
    assert.deepEqual(
      snapshots.list().map(({ reference }) => reference),
      ["web@one"],
    );
    snapshots.close();

    const next = await open({ trees });
    next.names.remove(next.web);
    const { reference, container } = next.snapshots.get("web@one");
    assert.deepEqual([reference, container.exists], ["web@one", false]);
    await next.snapshots.remove("web@one");
    assert.deepEqual([[...trees], next.log], [[], ["an image may go"]]);
    next.snapshots.close();
  });

  it("refuse a name twice, a rule that keeps nothing, and what isn't there", async () => {
    const { snapshots } = await open();
    await snapshots.create("web", { name: "one" });
    const refused = (code: "conflict" | "invalid" | "not_found") => (error: unknown) => isOnggiError(error, code);
    await assert.rejects(snapshots.create("web", { name: "one" }), refused("conflict"));
    await assert.rejects(snapshots.create("web", { keep: 0 }), refused("invalid"));
    await assert.rejects(snapshots.create("web", { keepForMs: 0 }), refused("invalid"));
    await assert.rejects(snapshots.create("nobody"), refused("not_found"));
    assert.throws(() => snapshots.list("nobody"), refused("not_found"));
    snapshots.close();
  });

  it("lose no tree to a sweep where somebody unknown may stand on it", async () => {
    const kept = await open({ trees: new Set(["fork-1"]), isWhole: false });
    assert.deepEqual([...kept.trees], ["fork-1"]);
    await kept.snapshots.create("web", { name: "one" });
    await kept.snapshots.create("web", { name: "two" });
    kept.snapshots.close();

    const journal = join(root, "checkpoints/journal");
    writeFileSync(journal, readFileSync(journal, "utf8").replace('"name":"one"', '"name":"eno"'));
    const damaged = await open({ trees: kept.trees });
    assert.equal(damaged.trees.size, 3);
    assert.match(damaged.snapshots.repairs.join(), /1 lines of .* can't be read/);
    damaged.snapshots.close();
  });

  it("sweep what nobody was told of, and tell what has no files", async () => {
    const { snapshots, trees } = await open({ trees: new Set(["snap-1", "fork-1", "sha256:layer"]) });
    assert.deepEqual([...trees], ["sha256:layer"]);
    await snapshots.create("web", { name: "one" });
    snapshots.close();
    const lost = await open();
    assert.deepEqual(lost.snapshots.repairs, ["snapshot web@one can't be used: its files are missing"]);
    assert.equal(await lost.snapshots.size("web@one"), 0);
    await lost.snapshots.remove("web@one");
    assert.deepEqual(lost.snapshots.list(), []);
    lost.snapshots.close();
  });
});
