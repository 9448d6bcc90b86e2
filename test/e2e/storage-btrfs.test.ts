import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { isErrno } from "../../src/base/errno.ts";
import type { Executor } from "../../src/executor/executor.ts";
import { openExecutor } from "../../src/executor/spawner.ts";
import type { Op } from "../../src/program/op.ts";
import { btrfsCandidate } from "../../src/storage/btrfs/driver.ts";
import { createSubvolume } from "../../src/storage/btrfs/requests.ts";
import { openSnapshotter } from "../../src/storage/open.ts";
import type { DriverTools, Snapshotter } from "../../src/storage/snapshotter.ts";
import { snapshotterContract } from "../contract/snapshotter.ts";
import { withBoundMount } from "./bound-mount.ts";
import { formatterOf, type LoopDisk, makeLoopDisk } from "./loop-disk.ts";

const binary = join(import.meta.dirname, "../../build/onggi-exec");
const mebibyte = 1024 * 1024;
const kernelHasBtrfs = /\bbtrfs$/m.test(readFileSync("/proc/filesystems", "utf8"));
const missing = kernelHasBtrfs
  ? formatterOf("btrfs") === undefined && "needs mkfs.btrfs (package btrfs-progs)"
  : "needs a kernel with btrfs";

describe("storage on btrfs", { skip: missing }, () => {
  let disk: LoopDisk;
  let sockets: string;
  let executor: Executor;
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
  const newRoot = () => mkdtempSync(join(disk.directory, "root-"));
  const open = (root: string) => openSnapshotter({ tools, root, candidates: [btrfsCandidate] });

  before(async () => {
    disk = makeLoopDisk("btrfs", 1024 * mebibyte);
    sockets = mkdtempSync(join(tmpdir(), "onggi-btrfs-"));
    executor = await openExecutor({ binary, socketDirectory: sockets });
  });

  after(async () => {
    await executor.close();
    rmSync(sockets, { recursive: true });
    disk.remove();
  });

  snapshotterContract("btrfs", { candidate: btrfsCandidate, tools, place: newRoot, withMounts: withBoundMount });

  describe("a container's subvolume", () => {
    let root: string;
    let snapshots: Snapshotter;
    /** Ids and paths of the subvolumes, without those that the kernel is still freeing. */
    const subvolumes = () =>
      execFileSync("btrfs", ["subvolume", "list", disk.directory], { encoding: "utf8" })
        .split("\n")
        .filter((line) => line.includes(`path ${root.slice(disk.directory.length + 1)}/`));

    before(async () => {
      root = newRoot();
      snapshots = await open(root);
      await snapshots.prepare("unpack", undefined, { durable: false });
      const { directory } = snapshots.writable("unpack");
      for (let i = 0; i < 100; i++) writeFileSync(join(directory, `file ${i}`), "x".repeat(40_000));
      await snapshots.commit("unpack", "image");
    });

    after(() => snapshots.close());

    it("counts what was written to it, not what the image holds", async () => {
      await snapshots.prepare("counted", "image");
      assert.deepEqual(await snapshots.usage("counted"), { bytes: 0, inodes: 0 });
      const { directory } = snapshots.writable("counted");
      writeFileSync(join(directory, "file 1"), "y".repeat(100_000));
      writeFileSync(join(directory, "new"), "small");
      await snapshots.capture("counted", "counted-copy");
      const usage = await snapshots.usage("counted-copy");
      assert.ok(usage.bytes >= 100_000 && usage.bytes < 200_000, `${usage.bytes} bytes`);
      assert.equal(usage.inodes, 3);
      const image = await snapshots.usage("image");
      assert.ok(image.bytes >= 4_000_000 && image.inodes === 101, JSON.stringify(image));
    });

    it("is full at its limit, which counts neither the image nor other containers", async () => {
      await snapshots.prepare("limited", "image", { limit: { bytes: 8 * mebibyte } });
      await snapshots.prepare("free", "image");
      const write = (key: string) => {
        const file = join(snapshots.writable(key).directory, "large");
        execFileSync("dd", ["if=/dev/urandom", `of=${file}`, "bs=1M", "count=12", "conv=fsync"], { stdio: "pipe" });
      };
      assert.throws(() => write("limited"), /Disk quota exceeded/);
      write("free");
      const { bytes } = await snapshots.usage("limited");
      assert.ok(bytes > 4 * mebibyte && bytes <= 8 * mebibyte, `${bytes} bytes`);
      rmSync(join(snapshots.writable("limited").directory, "large"));
    });

    it("can be held to a number of inodes, in an image, and be copied from there", async () => {
      await snapshots.prepare("counted inodes", "image", { limit: { inodes: 20 } });
      const { bytes, inodes } = await snapshots.usage("counted inodes");
      assert.ok(inodes === 0 && bytes <= 4096, `${bytes} bytes, ${inodes} inodes without having written`);
      const fill = (directory: string) => {
        for (let i = 0; i < 30; i++) writeFileSync(join(directory, `new ${i}`), "");
      };
      assert.throws(
        () => fill(snapshots.writable("counted inodes").directory),
        (error) => isErrno(error, "ENOSPC"),
      );
      await snapshots.capture("counted inodes", "counted inodes copy");
      await snapshots.commit("counted inodes", "counted inodes layer");
      for (const name of ["copy", "layer"]) {
        await snapshots.prepare(name, `counted inodes ${name}`);
        const count = readdirSync(snapshots.writable(name).directory).length;
        assert.ok(count >= 120 && count < 125, `${name}: ${count} files`);
      }
    });

    it("keeps its limit when it was opened anew", async () => {
      await snapshots.close();
      snapshots = await open(root);
      const file = join(snapshots.writable("limited").directory, "again");
      execFileSync("btrfs", ["filesystem", "sync", disk.directory]);
      assert.throws(
        () =>
          execFileSync("dd", ["if=/dev/urandom", `of=${file}`, "bs=1M", "count=12", "conv=fsync"], { stdio: "pipe" }),
        /Disk quota exceeded/,
      );
    });

    it("is deleted with those that were made in it", async () => {
      await snapshots.prepare("outer", "image");
      const { directory } = snapshots.writable("outer");
      const inner = join(directory, "inner");
      mkdirSync(join(directory, "folder"));
      await tools.perform([createSubvolume(inner), createSubvolume(join(inner, "innermost"))]);
      await tools.perform([createSubvolume(join(directory, "folder", "deep"))]);
      writeFileSync(join(inner, "innermost", "file"), "x".repeat(100_000));
      const before = subvolumes().length;
      execFileSync("btrfs", ["filesystem", "sync", disk.directory]);
      assert.ok((await snapshots.usage("outer")).bytes >= 100_000);

      await snapshots.remove("outer");
      await snapshots.close();
      assert.equal(subvolumes().length, before - 4);
      snapshots = await open(root);
      assert.deepEqual(snapshots.repairs, []);
    });

    it("leaves a layer that nobody can write to", async () => {
      await snapshots.view("look", "image");
      const source = snapshots.mounts("look")[0]?.source ?? "";
      assert.throws(
        () => writeFileSync(join(source, "new"), ""),
        (error) => isErrno(error, "EROFS"),
      );
    });

    it("leaves nothing when all was removed", async () => {
      for (let all = [...snapshots.list()]; all.length > 0; all = [...snapshots.list()]) {
        const parents = new Set(all.map(({ parent }) => parent));
        for (const { id } of all) if (!parents.has(id)) await snapshots.remove(id);
      }
      await snapshots.close();
      assert.deepEqual(subvolumes(), []);
      assert.deepEqual(readdirSync(join(root, "btrfs")).toSorted(), ["images", "state", "stock", "trash"]);
      assert.ok(!existsSync(join(root, "btrfs", "trash", "tree")));
      snapshots = await open(root);
    });
  });
});
