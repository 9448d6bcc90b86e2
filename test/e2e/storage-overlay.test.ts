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
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { isErrno } from "../../src/base/errno.ts";
import type { Mount } from "../../src/program/mount.ts";
import { openSnapshotter } from "../../src/storage/open.ts";
import { overlayCandidate } from "../../src/storage/overlay/driver.ts";
import type { Snapshotter } from "../../src/storage/snapshotter.ts";
import { noTools } from "../../src/storage/testing/no-tools.ts";
import { snapshotterContract } from "../contract/snapshotter.ts";

/** Mounts in this process's namespace, looks, and unmounts. */
function withMounts<T>(mounts: readonly Mount[], look: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), "onggi-merged-"));
  const [mount] = mounts;
  assert.ok(mount !== undefined && mounts.length === 1);
  const options = [...mount.options, mount.readonly ? "ro" : "rw"];
  if (mount.type === "bind") {
    execFileSync("mount", ["--bind", mount.source, directory]);
    if (mount.readonly) execFileSync("mount", ["-o", "remount,bind,ro", directory]);
  } else execFileSync("mount", ["-t", mount.type, mount.source, "-o", options.join(","), directory]);
  try {
    return look(directory);
  } finally {
    execFileSync("umount", [directory]);
    rmSync(directory, { recursive: true });
  }
}

snapshotterContract("overlay", { candidate: overlayCandidate, withMounts });

describe("overlay", () => {
  let root: string;
  let snapshots: Snapshotter;
  const look = <T>(key: string, see: (directory: string) => T): T => withMounts(snapshots.mounts(key), see);

  before(async () => {
    root = mkdtempSync(join(tmpdir(), "onggi-overlay-"));
    snapshots = await openSnapshotter({ tools: noTools, root, candidates: [overlayCandidate] });
    await snapshots.prepare("base", undefined, { durable: false });
    const { directory } = snapshots.writable("base");
    mkdirSync(join(directory, "folder"));
    writeFileSync(join(directory, "folder", "file"), "from below");
    writeFileSync(join(directory, "other"), "other");
    await snapshots.commit("base", "sha256:base");
    await snapshots.prepare("second", "sha256:base", { durable: false });
    await snapshots.commit("second", "sha256:second");
  });

  after(async () => {
    await snapshots.close();
    rmSync(root, { recursive: true });
  });

  it("copies a whole file up on its first write, and leaves a whiteout where one was removed", async () => {
    await snapshots.prepare("writer", "sha256:second");
    look("writer", (directory) => {
      execFileSync("chmod", ["600", join(directory, "folder", "file")]);
      rmSync(join(directory, "other"));
    });
    const upper = snapshots.writable("writer").directory;
    assert.equal(readFileSync(join(upper, "folder", "file"), "utf8"), "from below");
    assert.ok(lstatSync(join(upper, "other")).isCharacterDevice());
    assert.equal(lstatSync(join(upper, "other")).rdev, 0);
  });

  it("doesn't rename a directory of a lower layer, so that no layer needs a redirect", async () => {
    await snapshots.prepare("renamer", "sha256:second");
    look("renamer", (directory) => {
      assert.throws(
        () => renameSync(join(directory, "folder"), join(directory, "moved")),
        (error) => isErrno(error, "EXDEV"),
      );
    });
  });

  it("keeps a view from being written", async () => {
    for (const parent of ["sha256:base", "sha256:second"]) {
      await snapshots.view(`view ${parent}`, parent);
      look(`view ${parent}`, (directory) => {
        assert.throws(
          () => writeFileSync(join(directory, "new"), ""),
          (error) => isErrno(error, "EROFS"),
        );
      });
    }
  });

  it("has the layout that its page describes", async () => {
    await snapshots.prepare("layout", "sha256:second");
    const data = snapshots.describe("layout");
    assert.deepEqual(Object.keys(data).toSorted(), ["LowerDir", "MergedDir", "UpperDir", "WorkDir"]);
    const [nearest = ""] = data.LowerDir?.split(":") ?? [];
    const link = readFileSync(join(nearest, "..", "link"), "utf8");
    assert.deepEqual(readdirSync(join(root, "overlay", "l", link)), readdirSync(nearest));
    assert.match(readFileSync(join(nearest, "..", "lower"), "utf8"), /^l\/[0-9A-Z]+$/);
  });

  it("waits for no disk where nothing must last, and lets the mark of that not hinder the next mount", async () => {
    const mounts = await snapshots.prepare("fleeting", "sha256:second", { durable: false });
    assert.ok(mounts[0]?.options.includes("volatile"));
    const lasting = await snapshots.prepare("lasting", "sha256:second");
    assert.ok(!lasting[0]?.options.includes("volatile"));
    for (let time = 0; time < 2; time++)
      look("fleeting", (directory) => assert.ok(existsSync(join(directory, "other"))));
  });

  it("leaves no trial mount behind", () => {
    assert.deepEqual(
      readdirSync(root).filter((name) => name.startsWith("trial-")),
      [],
    );
    assert.ok(!readFileSync("/proc/self/mountinfo", "utf8").includes(root));
  });
});
