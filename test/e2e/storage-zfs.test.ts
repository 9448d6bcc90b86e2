import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { isErrno } from "../../src/base/errno.ts";
import type { Executor } from "../../src/executor/executor.ts";
import { openExecutor } from "../../src/executor/spawner.ts";
import type { Op } from "../../src/program/op.ts";
import { openSnapshotter } from "../../src/storage/open.ts";
import type { DriverTools, Snapshotter } from "../../src/storage/snapshotter.ts";
import { zfsCandidate } from "../../src/storage/zfs/driver.ts";
import { snapshotterContract } from "../contract/snapshotter.ts";
import { withBoundMount } from "./bound-mount.ts";
import { startZfs, type ZfsHost, zfsMissing } from "./zfs-fuse.ts";

const binary = join(import.meta.dirname, "../../build/onggi-exec");
const mebibyte = 1024 * 1024;

describe("storage on zfs", { skip: zfsMissing, timeout: 120_000 }, () => {
  let zfs: ZfsHost;
  let scratch: string;
  let executor: Executor;
  const tools: DriverTools = {
    get options() {
      return { "zfs.fsname": zfs.pool };
    },
    async perform(ops: readonly Op[]) {
      const worker = await executor.work([]);
      try {
        return await worker.run(ops);
      } finally {
        await worker.close();
      }
    },
  };
  const newRoot = () => mkdtempSync(join(scratch, "root-"));
  const open = (root: string) => openSnapshotter({ tools, root, candidates: [zfsCandidate] });
  const datasets = (root: string) =>
    execFileSync("zfs", ["list", "-H", "-r", "-t", "all", "-o", "name,mountpoint", zfs.pool], { encoding: "utf8" })
      .split("\n")
      .filter((line) => line.includes(root));

  before(async () => {
    scratch = mkdtempSync(join(tmpdir(), "onggi-zfs-"));
    zfs = await startZfs();
    zfs.makePool(512 * mebibyte);
    executor = await openExecutor({ binary, socketDirectory: scratch });
  });

  after(async () => {
    await executor.close();
    await zfs.remove();
    for (const root of readdirSync(scratch)) {
      try {
        execFileSync("umount", [join(scratch, root, "zfs")], { stdio: "ignore" });
      } catch {
        // It was taken away when the storage was closed.
      }
    }
    rmSync(scratch, { recursive: true });
  });

  snapshotterContract("zfs", { candidate: zfsCandidate, tools, place: newRoot, withMounts: withBoundMount });

  describe("a container's dataset", () => {
    let root: string;
    let snapshots: Snapshotter;

    before(async () => {
      root = newRoot();
      snapshots = await open(root);
      await snapshots.prepare("unpack", undefined, { durable: false });
      writeFileSync(join(snapshots.writable("unpack").directory, "file"), "x".repeat(3 * mebibyte));
      await snapshots.commit("unpack", "image");
    });

    after(() => snapshots.close());

    it("is seen by the executor, in whose mount namespace containers start", async () => {
      await snapshots.prepare("seen", "image");
      const path = join(snapshots.mounts("seen")[0]?.source ?? "", "file");
      const [data] = await tools.perform([{ op: "readFile", path, maxBytes: 4 * mebibyte }]);
      assert.equal(data?.length, 3 * mebibyte);
    });

    it("is full at its limit, which doesn't count the image", async () => {
      await snapshots.prepare("limited", "image", { limit: { bytes: 8 * mebibyte } });
      const { directory } = snapshots.writable("limited");
      const write = (count: number, name: string) =>
        execFileSync(
          "dd",
          ["if=/dev/urandom", `of=${join(directory, name)}`, "bs=1M", `count=${count}`, "conv=fsync"],
          {
            stdio: "pipe",
          },
        );
      write(6, "fits");
      assert.throws(() => write(8, "doesn't"), /Disk quota exceeded/);
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
        assert.ok(count >= 21 && count < 26, `${name}: ${count} files`);
      }
    });

    it("outlives the container that it was copied from, whichever goes first", async () => {
      await snapshots.prepare("copied", "image");
      writeFileSync(join(snapshots.writable("copied").directory, "own"), "1");
      await snapshots.capture("copied", "first");
      writeFileSync(join(snapshots.writable("copied").directory, "own"), "2");
      await snapshots.capture("copied", "second");
      await snapshots.remove("copied");
      await snapshots.close();
      snapshots = await open(root);
      assert.deepEqual(snapshots.repairs, []);
      await snapshots.remove("first");
      await snapshots.close();
      snapshots = await open(root);
      await snapshots.prepare("clone", "second");
      withBoundMount(snapshots.mounts("clone"), (directory) =>
        assert.deepEqual(readdirSync(directory), ["file", "own"]),
      );
    });

    it("keeps devices, owners, modes, links, times by the second, and attributes where ZFS does", (context) => {
      const { directory } = snapshots.writable("seen");
      const script = `cd ${directory} && mknod null c 1 3 && echo > null && mkfifo fifo && echo t > f && ln f g && ln -s f s
        chown 1234:5678 f && chmod 4751 f && touch -d '2001-02-03 04:05:06' f
        stat -c '%u:%g %a %h %Y' f && stat -c '%t:%T' null && readlink s`;
      mkdirSync(join(directory, "deep"));
      const said = execFileSync("sh", ["-ec", script], { encoding: "utf8", env: { ...process.env, TZ: "UTC" } });
      assert.deepEqual(said.split("\n"), ["1234:5678 4751 2 981173106", "1:3", "f", ""]);
      try {
        execFileSync("setfattr", ["-n", "trusted.x", "-v", "y", join(directory, "f")], { stdio: "pipe" });
      } catch (error) {
        if (!String(error).includes("not supported")) throw error;
        return context.diagnostic("zfs-fuse runs without -x: attributes were not looked at");
      }
      const value = execFileSync("getfattr", ["--only-values", "-n", "trusted.x", join(directory, "f")]);
      assert.equal(value.toString(), "y");
    });

    it("leaves a layer that nobody can write to", async () => {
      await snapshots.view("look", "image");
      assert.throws(
        () => writeFileSync(join(snapshots.mounts("look")[0]?.source ?? "", "new"), ""),
        (error) => isErrno(error, "EROFS"),
      );
    });

    it("leaves nothing when all was removed", async () => {
      for (let all = [...snapshots.list()]; all.length > 0; all = [...snapshots.list()]) {
        const parents = new Set(all.map(({ parent }) => parent));
        for (const { id } of all) if (!parents.has(id)) await snapshots.remove(id);
      }
      await snapshots.close();
      assert.deepEqual(datasets(root), []);
      assert.deepEqual(readdirSync(join(root, "zfs")).toSorted(), ["images", "state", "trash"]);
      assert.deepEqual(readdirSync(join(root, "zfs", "trash")), []);
      snapshots = await open(root);
    });
  });
});
