import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { isErrno } from "../../src/base/errno.ts";
import type { Executor } from "../../src/executor/executor.ts";
import { openExecutor } from "../../src/executor/spawner.ts";
import type { Op } from "../../src/program/op.ts";
import { openSnapshotter } from "../../src/storage/open.ts";
import { overlayCandidate } from "../../src/storage/overlay/driver.ts";
import type { DriverTools, Snapshotter } from "../../src/storage/snapshotter.ts";
import { snapshotterContract } from "../contract/snapshotter.ts";
import { formatterOf, type LoopDisk, makeLoopDisk } from "../e2e/loop-disk.ts";
import { withMounts } from "../e2e/with-mounts.ts";

const binary = join(import.meta.dirname, "../../build/onggi-exec");
/** Node has no name for it. */
const EDQUOT = 122;
const mebibyte = 1024 * 1024;
const ways: Readonly<Record<string, readonly string[]>> = {
  ext4: ["-q", "-O", "quota,project", "-E", "quotatype=prjquota"],
  xfs: ["-q"],
};

function missing(type: string): string | false {
  if (process.getuid?.() !== 0) return "needs root";
  if (formatterOf(type) === undefined) return `needs mkfs.${type}`;
  try {
    makeLoopDisk(type, 512 * mebibyte, ways[type], ["prjquota"]).remove();
    return false;
  } catch {
    return `needs a kernel with project quotas of ${type}`;
  }
}

for (const [type, format] of Object.entries(ways)) {
  describe(`project quotas on ${type}`, { skip: missing(type) }, () => {
    let disk: LoopDisk;
    let sockets: string;
    let executor: Executor;
    let root: string;
    let snapshots: Snapshotter;
    const tools: DriverTools = {
      async perform(ops: readonly Op[]) {
        const worker = await executor.work([]);
        try {
          return await worker.run(ops);
        } finally {
          await worker.close();
        }
      },
    };
    const open = () => openSnapshotter({ tools, root, candidates: [overlayCandidate] });
    const look = <T>(key: string, see: (directory: string) => T): T => withMounts(snapshots.mounts(key), see);
    const isFull = (error: unknown) => isErrno(error, "ENOSPC") || (error as NodeJS.ErrnoException).errno === -EDQUOT;
    const fill = (directory: string, bytes: number) => writeFileSync(join(directory, "filler"), Buffer.alloc(bytes, 1));
    const projects = () => readdirSync(join(root, "overlay", "projects"));

    before(async () => {
      disk = makeLoopDisk(type, 512 * mebibyte, format, ["prjquota"]);
      sockets = mkdtempSync(join(tmpdir(), "onggi-quota-"));
      executor = await openExecutor({ binary, socketDirectory: sockets });
      root = mkdtempSync(join(disk.directory, "root-"));
      snapshots = await open();
      await snapshots.prepare("unpack", undefined, { durable: false });
      writeFileSync(join(snapshots.writable("unpack").directory, "below"), Buffer.alloc(8 * mebibyte, 1));
      await snapshots.commit("unpack", "image");
    });

    after(async () => {
      await snapshots.close();
      await executor.close();
      rmSync(sockets, { recursive: true });
      disk.remove();
    });

    const place = () => mkdtempSync(join(disk.directory, "contract-"));
    snapshotterContract("overlay", { candidate: overlayCandidate, tools, place, withMounts });

    it("are how limits are kept there, without an image", () => {
      assert.deepEqual(snapshots.traits.limits, { bytes: "native", inodes: "native" });
    });

    it("hold a tree to its bytes, the layers below it not counted, and leave others alone", async () => {
      await snapshots.prepare("small", "image", { limit: { bytes: 4 * mebibyte } });
      await snapshots.prepare("beside", "image");
      look("small", (directory) => {
        assert.throws(() => fill(directory, 5 * mebibyte), isFull);
        rmSync(join(directory, "filler"));
        fill(directory, 3 * mebibyte);
        // The first write to a file of a layer copies it up, and that doesn't fit.
        assert.throws(() => writeFileSync(join(directory, "below"), "x", { flag: "r+" }), isFull);
      });
      look("beside", (directory) => fill(directory, 8 * mebibyte));
      const { bytes, free } = await snapshots.usage("small");
      assert.ok(bytes >= 3 * mebibyte && bytes < 4 * mebibyte, `${bytes}`);
      assert.equal(free?.bytes, 4 * mebibyte - bytes);
      assert.equal(free.inodes, Number.MAX_SAFE_INTEGER);
    });

    it("hold a tree to its inodes", async () => {
      await snapshots.prepare("few", "image", { limit: { inodes: 10 } });
      look("few", (directory) => {
        mkdirSync(join(directory, "folder"));
        for (let i = 1; i < 10; i++) writeFileSync(join(directory, "folder", `${i}`), "");
        assert.throws(() => writeFileSync(join(directory, "one more"), ""), isFull);
      });
      await snapshots.remove("few");
    });

    it("show a container the size it may fill", async () => {
      await snapshots.prepare("sized", "image", { limit: { bytes: 16 * mebibyte } });
      const size = look("sized", (directory) => execFileSync("df", ["-B1", "--output=size", directory]).toString());
      assert.equal(Number(size.split("\n")[1]), 16 * mebibyte);
      await snapshots.remove("sized");
    });

    it("are found again, also by who makes the tree anew", async () => {
      await snapshots.close();
      snapshots = await open();
      assert.ok((await snapshots.usage("small")).free !== undefined);
      look("small", (directory) => assert.throws(() => fill(directory, 5 * mebibyte), isFull));
    });

    it("take no id that something is charged to, be it a stranger's", async () => {
      const strange = mkdtempSync(join(disk.directory, "stranger-"));
      await snapshots.prepare("first", "image", { limit: { bytes: mebibyte } });
      const taken = () => projects().map((name) => Number(name.split(".")[1]));
      const last = Math.max(...taken());
      assert.equal(spawnSync("chattr", ["-p", String(last + 1), strange]).status, 0);
      await snapshots.prepare("second", "image", { limit: { bytes: mebibyte } });
      const ids = taken();
      assert.equal(new Set(ids).size, ids.length);
      assert.ok(!ids.includes(last + 1), `${ids}`);
      for (const key of ["first", "second"]) await snapshots.remove(key);
    });

    it("let a limited tree become a layer that limits nobody", async () => {
      await snapshots.prepare("maker", "image", { limit: { bytes: 4 * mebibyte } });
      look("maker", (directory) => fill(directory, 3 * mebibyte));
      await snapshots.commit("maker", "made");
      await snapshots.prepare("user", "made");
      look("user", (directory) => fill(directory, 6 * mebibyte));
      await snapshots.remove("user");
      await snapshots.remove("made");
    });

    it("leave nothing when their trees are gone", async () => {
      for (const key of ["small", "beside"]) await snapshots.remove(key);
      assert.deepEqual(projects(), []);
    });
  });
}
