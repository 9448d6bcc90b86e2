import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { isErrno } from "../../src/base/errno.ts";
import { isOnggiError } from "../../src/base/error.ts";
import type { Executor } from "../../src/executor/executor.ts";
import { openExecutor } from "../../src/executor/spawner.ts";
import { erofsCandidate } from "../../src/storage/erofs/driver.ts";
import { openSnapshotter } from "../../src/storage/open.ts";
import type { DriverTools, Snapshotter } from "../../src/storage/snapshotter.ts";
import { snapshotterContract } from "../contract/snapshotter.ts";
import { tarLayer } from "./tar-layer.ts";
import { withMounts } from "./with-mounts.ts";

const binary = join(import.meta.dirname, "../../build/onggi-exec");

let sockets: string;
let executor: Executor;
const tools: DriverTools = {
  async perform(ops) {
    const worker = await executor.work([]);
    try {
      return await worker.run(ops);
    } finally {
      await worker.close();
    }
  },
  work: (prelude) => executor.work(prelude),
};

sockets = mkdtempSync(join(tmpdir(), "onggi-erofs-sockets-"));
executor = await openExecutor({ binary, socketDirectory: sockets });
after(async () => {
  await executor.close();
  rmSync(sockets, { recursive: true });
});

const reason = await erofsCandidate.probe(tmpdir(), tools);
const skip = reason === undefined ? false : `needs erofs from files: ${reason}`;

if (skip === false) snapshotterContract("erofs", { candidate: erofsCandidate, tools, withMounts });

describe("erofs", { skip }, () => {
  let scratch: string;
  let root: string;
  let snapshots: Snapshotter;
  const look = <T>(key: string, see: (directory: string) => T): T => withMounts(snapshots.mounts(key), see);
  const open = () => openSnapshotter({ tools, root, candidates: [erofsCandidate] });
  /** A layer of a tar of what a script makes. */
  const layer = async (name: string, parent: string | undefined, script: string): Promise<void> => {
    const source = mkdtempSync(join(scratch, "source-"));
    execFileSync("bash", ["-ec", script], { cwd: source });
    const tar = join(scratch, `${name}.tar`);
    execFileSync("tar", ["--xattrs", "--xattrs-include=*", "--format=posix", "-C", source, "-cf", tar, "."]);
    await snapshots.importLayer?.(name, parent, tarLayer(tar));
  };
  const treeOf = (key: string) => {
    const { Image = "" } = snapshots.describe(key);
    return join(Image, "..");
  };

  before(async () => {
    scratch = mkdtempSync(join(tmpdir(), "onggi-erofs-"));
    root = join(scratch, "root");
    snapshots = await open();
    await layer(
      "base",
      undefined,
      "mkdir folder; echo from below > folder/file; echo other > other; chmod 1777 folder",
    );
    await layer("second", "base", "mkdir folder; touch .wh.other; echo second > folder/second");
  });

  after(async () => {
    await snapshots.close();
    rmSync(scratch, { recursive: true });
  });

  it("shows the layers as one lower directory, whiteouts applied", async () => {
    const mounts = await snapshots.prepare("reader", "second");
    assert.deepEqual(
      mounts.map(({ type }) => type),
      ["erofs", "overlay"],
    );
    look("reader", (directory) => {
      assert.deepEqual(readdirSync(directory), ["folder"]);
      assert.deepEqual(readdirSync(join(directory, "folder")), ["file", "second"]);
      assert.equal(readFileSync(join(directory, "folder", "file"), "utf8"), "from below\n");
    });
  });

  it("costs the host a few inodes however many files a layer has", async () => {
    await layer("many", undefined, "mkdir many; cd many; seq 2000 | xargs touch");
    const { inodes } = await snapshots.usage("many");
    assert.ok(inodes <= 4, `${inodes} inodes`);
  });

  it("keeps the tar that it was given, without a copy", async () => {
    const kept = snapshots.layerTar("base");
    assert.ok(kept !== undefined);
    assert.equal(statSync(kept).ino, statSync(join(scratch, "base.tar")).ino);
  });

  it("shows files and folders on one device, so that programs which stay on one pass over nothing", async () => {
    await snapshots.prepare("one-device", "second");
    look("one-device", (directory) => {
      const devices = ["", "folder", "folder/file"].map((path) => lstatSync(join(directory, path)).dev);
      assert.equal(new Set(devices).size, 1);
    });
  });

  it("copies a whole file up on its first write, and leaves a whiteout where one was removed", async () => {
    await snapshots.prepare("writer", "second");
    look("writer", (directory) => {
      execFileSync("chmod", ["600", join(directory, "folder", "file")]);
      rmSync(join(directory, "folder", "second"));
      assert.throws(
        () => renameSync(join(directory, "folder"), join(directory, "moved")),
        (error) => isErrno(error, "EXDEV"),
      );
    });
    const upper = snapshots.writable("writer").directory;
    assert.equal(readFileSync(join(upper, "folder", "file"), "utf8"), "from below\n");
    assert.equal(lstatSync(join(upper, "folder", "second")).rdev, 0);
  });

  it("keeps a view from being written", async () => {
    for (const parent of ["base", "second"]) {
      await snapshots.view(`view ${parent}`, parent);
      look(`view ${parent}`, (directory) => {
        assert.throws(
          () => writeFileSync(join(directory, "new"), ""),
          (error) => isErrno(error, "EROFS"),
        );
      });
    }
  });

  it("makes a merged image again that was lost or torn", async () => {
    await snapshots.prepare("before", "second");
    const image = snapshots.describe("before").Image ?? "";
    for (const damage of [() => rmSync(image), () => truncateSync(image, 4096)]) {
      await snapshots.close();
      damage();
      snapshots = await open();
      look("before", (directory) => assert.deepEqual(readdirSync(directory), ["folder"]));
    }
  });

  it("finds a file of a layer that was changed or is gone", async () => {
    await layer("damaged", undefined, "echo content > file; seq 100000 > large");
    const tree = treeOf("damaged");
    const problems = async () => {
      const found: string[] = [];
      for await (const problem of snapshots.check({ deep: true })) found.push(JSON.stringify(problem));
      return found;
    };
    assert.deepEqual(await problems(), []);
    // A tar that others share isn't to be changed, so that it becomes a file of its own first.
    const tar = readFileSync(join(tree, "tar"));
    rmSync(join(tree, "tar"));
    flip(tar, tar.length / 2);
    writeFileSync(join(tree, "tar"), tar);
    assert.match((await problems()).join(), /tar is damaged/);
    rmSync(join(tree, "tar"));
    assert.match((await problems()).join(), /tar is missing/);
  });

  it("refuses a layer whose image is damaged, by name, before anything stands on it", async () => {
    await layer("torn", "base", "echo torn > torn");
    const image = join(treeOf("torn"), "layer.erofs");
    const bytes = readFileSync(image);
    flip(bytes, bytes.length - 4000);
    writeFileSync(image, bytes);
    await assert.rejects(
      snapshots.prepare("on-torn", "torn"),
      (error) => isOnggiError(error, "corrupt") && error.message.includes(image),
    );
  });

  it("freezes what was written to a folder: owners, attributes, links, holes, devices", async () => {
    await snapshots.prepare("to-freeze", "second");
    look("to-freeze", (directory) => {
      const script = [
        "echo small > small; ln small hard; chown 70000:5 small; setfattr -n user.binary -v 0x00ff00 small",
        "seq 200000 > large; ln -s large link; mkfifo pipe; mknod device c 5 1; chmod 4711 large",
        "truncate -s 100M holes; echo middle | dd of=holes bs=1 seek=50000000 conv=notrunc status=none; truncate -s 3G nothing",
        "rm -r folder; mkdir folder; echo new > folder/new; printf x > $'not\\xffutf8'",
      ].join("; ");
      execFileSync("bash", ["-ec", script], { cwd: directory });
    });
    const list = (directory: string) => execFileSync("bash", ["-c", walk], { cwd: directory, encoding: "latin1" });
    const before = look("to-freeze", list);
    await snapshots.capture("to-freeze", "captured");
    await snapshots.view("captured-view", "captured");
    assert.equal(look("captured-view", list), before);
    assert.ok((await snapshots.usage("captured")).bytes < 8 * 1024 * 1024);
    await snapshots.commit("to-freeze", "frozen");
    await snapshots.view("frozen-view", "frozen");
    assert.equal(look("frozen-view", list), before);
  });

  it("leaves nothing mounted", () => {
    assert.ok(!readFileSync("/proc/self/mountinfo", "utf8").includes(scratch));
    assert.deepEqual(
      readdirSync(root).filter((name) => name !== "erofs"),
      [],
    );
    assert.ok(existsSync(join(root, "erofs", "lower")));
    mkdirSync(join(scratch, "end"));
  });
});

function flip(bytes: Buffer, offset: number): void {
  bytes.writeUInt8(bytes.readUInt8(offset) ^ 1, offset);
}

/** All of a tree that can be compared: what stat tells, where links point, digests, attributes. */
const walk = `
find . ! -type d -printf '%p %y %m %U %G %n %T@ %l\\n' -o -printf '%p %y %m %U %G %T@\\n' | LC_ALL=C sort
find . -type f -size -200M -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
find . -type f -printf '%p %s\\n' | LC_ALL=C sort
LC_ALL=C getfattr -R -h -d -m - -e hex . 2>/dev/null | grep -av '^# file' | LC_ALL=C sort`;
