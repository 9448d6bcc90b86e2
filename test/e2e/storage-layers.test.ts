import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { isOnggiError } from "../../src/base/error.ts";
import type { Executor } from "../../src/executor/executor.ts";
import { openExecutor } from "../../src/executor/spawner.ts";
import { CLONE_NEWNS, MS_PRIVATE, MS_REC } from "../../src/program/kernel.ts";
import type { Op } from "../../src/program/op.ts";
import { openSnapshotter } from "../../src/storage/open.ts";
import { overlayCandidate } from "../../src/storage/overlay/driver.ts";
import type { Snapshotter } from "../../src/storage/snapshotter.ts";
import { noTools } from "../../src/storage/testing/no-tools.ts";

const layers = 300;
const binary = join(import.meta.dirname, "../../build/onggi-exec");

describe(`an image of ${layers} layers`, () => {
  let root: string;
  let snapshots: Snapshotter;
  let executor: Executor;

  before(async () => {
    root = mkdtempSync(join(tmpdir(), "onggi-layers-"));
    mkdirSync(join(root, "run"));
    executor = await openExecutor({ binary, socketDirectory: join(root, "run") });
    snapshots = await openSnapshotter({
      tools: noTools,
      root: join(root, "snapshots"),
      candidates: [overlayCandidate],
    });
    let parent: string | undefined;
    for (let layer = 0; layer < layers; layer++) {
      await snapshots.prepare("unpack", parent, { durable: false });
      const { directory } = snapshots.writable("unpack");
      writeFileSync(join(directory, `from-${layer}`), `layer ${layer}`);
      writeFileSync(join(directory, "common"), `layer ${layer}`);
      parent = `sha256:${layer}`;
      await snapshots.commit("unpack", parent);
    }
  });

  after(async () => {
    await executor.close();
    await snapshots.close();
    rmSync(root, { recursive: true });
  });

  it("mounts as one, shows each layer's file, and the topmost's where several have it", async (context) => {
    const top = `sha256:${layers - 1}`;
    let mount: Awaited<ReturnType<Snapshotter["prepare"]>>[number] | undefined;
    try {
      [mount] = await snapshots.prepare("container", top);
    } catch (error) {
      // Before Linux 6.5 all layers must fit a page.
      if (isOnggiError(error, "unsupported")) return context.skip(error.message);
      throw error;
    }
    assert.ok(mount !== undefined);
    const merged = join(root, "merged");
    mkdirSync(merged);
    const read = (name: string): Op => ({ op: "readFile", path: join(merged, name), maxBytes: 100 });
    const worker = await executor.work([
      { op: "unshare", flags: CLONE_NEWNS },
      { op: "mount", source: "none", target: "/", type: "", flags: MS_REC | MS_PRIVATE, data: "" },
    ]);
    try {
      const contents = await worker.run([
        {
          op: "fsmount",
          type: mount.type,
          source: mount.source,
          options: mount.options,
          attributes: 0,
          target: merged,
        },
        { op: "writeFile", path: join(merged, "written"), data: "above", mode: 0o644 },
        ...["from-0", `from-${layers - 1}`, "common", "written"].map(read),
      ]);
      const top = `layer ${layers - 1}`;
      assert.deepEqual(
        contents.map((data) => Buffer.from(data).toString()),
        ["layer 0", top, top, "above"],
      );
    } finally {
      await worker.close();
    }
    assert.ok(!existsSync(join(merged, "common")), "the mount was seen outside its namespace");
    assert.equal(readFileSync(join(snapshots.writable("container").directory, "written"), "utf8"), "above");
  });
});
