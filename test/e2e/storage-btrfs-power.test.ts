/** What lies on the disk of a btrfs data root at some moment, nothing unmounted: a power cut leaves that. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  closeSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Executor } from "../../src/executor/executor.ts";
import { openExecutor } from "../../src/executor/spawner.ts";
import type { Op } from "../../src/program/op.ts";
import { btrfsCandidate } from "../../src/storage/btrfs/driver.ts";
import { openSnapshotter } from "../../src/storage/open.ts";
import type { DriverTools, Snapshotter } from "../../src/storage/snapshotter.ts";
import { formatterOf, type LoopDisk, makeLoopDisk } from "./loop-disk.ts";

const binary = join(import.meta.dirname, "../../build/onggi-exec");
const missing = /\bbtrfs$/m.test(readFileSync("/proc/filesystems", "utf8"))
  ? formatterOf("btrfs") === undefined && "needs mkfs.btrfs (package btrfs-progs)"
  : "needs a kernel with btrfs";

describe("storage on btrfs after a power cut", { skip: missing }, () => {
  let disk: LoopDisk;
  let sockets: string;
  let executor: Executor;
  let snapshots: Snapshotter;
  let cuts = 0;
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
  /** The containers that the engine's own records tell of. */
  const expected = [{ key: "fourth", parent: "image", durable: true }];
  const open = async () => {
    executor = await openExecutor({ binary, socketDirectory: sockets });
    snapshots = await openSnapshotter({
      tools,
      root: join(disk.directory, "root"),
      candidates: [btrfsCandidate],
      memory: { expected: cuts > 1 ? expected : [], isWhole: true },
    });
  };
  let image: string;
  /** Goes on with what the disk had at the moment of the call. */
  const cutPower = async () => {
    // While it is copied nothing may be written: clones for the stock are made in the background.
    await new Promise((resolve) => setTimeout(resolve, 500));
    const copy = `${disk.image}-${++cuts}`;
    execFileSync("cp", ["--sparse=always", image, copy]);
    image = copy;
    await snapshots.close();
    await executor.close();
    execFileSync("umount", [disk.directory]);
    // The kernel remembers the later state of a file system of this id.
    execFileSync("btrfs", ["device", "scan", "--forget"]);
    execFileSync("mount", ["-o", "loop", copy, disk.directory]);
    await open();
  };
  const filesOf = (key: string) => readdirSync(snapshots.writable(key).directory).toSorted();
  const writeSynced = (path: string, text: string) => {
    const file = openSync(path, "w");
    writeSync(file, text);
    fsyncSync(file);
    closeSync(file);
  };

  before(async () => {
    disk = makeLoopDisk("btrfs", 512 * 1024 ** 2);
    image = disk.image;
    sockets = mkdtempSync(join(tmpdir(), "onggi-btrfs-cut-"));
    await open();
  });

  after(async () => {
    await snapshots.close();
    await executor.close();
    rmSync(sockets, { recursive: true });
    disk.remove();
  });

  it("has all layers that were committed, with all that is in them", async () => {
    await snapshots.prepare("unpack", undefined, { durable: false });
    for (let i = 0; i < 50; i++)
      writeFileSync(join(snapshots.writable("unpack").directory, `file ${i}`), `${i}`.repeat(5000));
    await snapshots.commit("unpack", "image");
    await cutPower();

    assert.deepEqual(snapshots.repairs, []);
    await snapshots.prepare("look", "image");
    const { directory } = snapshots.writable("look");
    for (let i = 0; i < 50; i++) assert.equal(readFileSync(join(directory, `file ${i}`), "utf8"), `${i}`.repeat(5000));
  });

  it("has what a container has synced, also one whose tree came from the stock", async () => {
    for (const key of ["first", "second"]) await snapshots.prepare(key, "image");
    await new Promise((resolve) => setTimeout(resolve, 300));
    const stock = join(disk.directory, "root/btrfs/stock");
    assert.ok(readdirSync(stock).flatMap((layer) => readdirSync(join(stock, layer))).length >= 2);
    for (const key of ["third", "fourth"]) {
      // Remembered by its caller, a snapshot has no record that would be synced.
      await snapshots.prepare(key, "image", { remembered: key === "fourth" });
      writeSynced(join(snapshots.writable(key).directory, "own"), key);
    }
    await cutPower();

    for (const key of ["third", "fourth"])
      assert.equal(readFileSync(join(snapshots.writable(key).directory, "own"), "utf8"), key);
    assert.equal(filesOf("second").length, 50);
    assert.deepEqual(snapshots.repairs, []);
  });

  it("has a snapshot of a container as it was told of", async () => {
    writeFileSync(join(snapshots.writable("third").directory, "later"), "x".repeat(100_000));
    await snapshots.capture("third", "copy");
    await cutPower();

    await snapshots.prepare("of the copy", "copy");
    const { directory } = snapshots.writable("of the copy");
    assert.equal(readFileSync(join(directory, "later"), "utf8").length, 100_000);
    assert.deepEqual(snapshots.repairs, []);
  });
});
