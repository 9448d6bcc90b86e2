import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openSnapshotter } from "../../src/storage/open.ts";
import { noTools } from "../../src/storage/testing/no-tools.ts";
import { vfsCandidate } from "../../src/storage/vfs/driver.ts";

describe("a copy made by vfs", () => {
  it("has the devices, owners, modes, times, links, holes and attributes of the layer", async (context) => {
    const root = mkdtempSync(join(tmpdir(), "onggi-vfs-"));
    const snapshots = await openSnapshotter({ tools: noTools, root, candidates: [vfsCandidate] });
    try {
      await snapshots.prepare("unpack", undefined, { durable: false });
      const { directory: layer } = snapshots.writable("unpack");
      const file = join(layer, "file");
      execFileSync("mknod", ["-m", "640", join(layer, "device"), "c", "1", "7"]);
      mkdirSync(join(layer, "folder"));
      execFileSync("chmod", ["2751", join(layer, "folder")]);
      writeFileSync(file, "text");
      execFileSync("chown", ["1234:5678", file]);
      linkSync(file, join(layer, "link"));
      symlinkSync("/nowhere", join(layer, "symlink"));
      writeFileSync(join(layer, "holes"), "");
      truncateSync(join(layer, "holes"), 64 * 1024 * 1024);
      utimesSync(file, 1_000_000_000, 1_234_567_890);
      const setcap = ["/sbin/setcap", "/usr/sbin/setcap"].find((path) => existsSync(path));
      if (setcap !== undefined) execFileSync(setcap, ["cap_net_raw=ep", file]);
      await snapshots.commit("unpack", "layer");
      await snapshots.prepare("container", "layer");

      const { directory: copy } = snapshots.writable("container");
      const told = (path: string) => {
        const { mode, uid, gid, nlink, size, rdev, mtimeMs } = lstatSync(path);
        return { mode, uid, gid, nlink, size, rdev, mtimeMs };
      };
      for (const name of ["device", "folder", "file", "symlink", "holes"]) {
        assert.deepEqual(told(join(copy, name)), told(join(layer, name)), name);
      }
      assert.equal(lstatSync(join(copy, "file")).ino, lstatSync(join(copy, "link")).ino);
      assert.notEqual(lstatSync(join(copy, "file")).ino, lstatSync(file).ino);
      assert.ok(lstatSync(join(copy, "holes")).blocks < 1024);
      if (setcap === undefined) return context.diagnostic("no setcap: attributes were not looked at");
      const getcap = execFileSync(setcap.replace("setcap", "getcap"), [join(copy, "file")], { encoding: "utf8" });
      assert.match(getcap, /cap_net_raw[+=]ep/);
    } finally {
      await snapshots.close();
      rmSync(root, { recursive: true });
    }
  });
});
