import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { isOnggiError } from "../../src/base/error.ts";
import type { Mount } from "../../src/program/mount.ts";
import { openSnapshotter } from "../../src/storage/open.ts";
import type { DriverCandidate, DriverTools, Snapshotter } from "../../src/storage/snapshotter.ts";
import { noTools } from "../../src/storage/testing/no-tools.ts";

export interface SnapshotterSubject {
  readonly candidate: DriverCandidate;
  /** Undefined: the driver needs none. */
  readonly tools?: DriverTools;
  /** A new directory on the file system that the driver needs; whoever made it removes it. Undefined: any will do. */
  readonly place?: () => string;
  /** Lets `look` see the filesystem of these mounts in a directory, and takes it away again. */
  withMounts<T>(mounts: readonly Mount[], look: (directory: string) => T): T;
}

/** What every driver promises: each driver's test is one call of it. */
export function snapshotterContract(
  name: string,
  { candidate, tools = noTools, place, withMounts }: SnapshotterSubject,
): void {
  describe(`Snapshotter on ${name}`, () => {
    let root: string;
    let snapshots: Snapshotter;
    const open = () => openSnapshotter({ tools, root, driver: name, candidates: [candidate] });
    const reopen = async () => {
      await snapshots.close();
      snapshots = await open();
    };
    const throwsCode = (code: string) => (error: unknown) => isOnggiError(error) && error.code === code;
    const look = <T>(key: string, see: (directory: string) => T): T => withMounts(snapshots.mounts(key), see);
    const hide = (key: string, file: string) => {
      const { directory, whiteouts } = snapshots.writable(key);
      if (whiteouts === "overlay") execFileSync("mknod", [join(directory, file), "c", "0", "0"]);
      else rmSync(join(directory, file));
    };
    /** A committed layer that has one more file than its parent. */
    const layer = async (chain: string, parent: string | undefined, file: string, text = file): Promise<string> => {
      await snapshots.prepare(`layer ${chain}`, parent, { durable: false });
      writeFileSync(join(snapshots.writable(`layer ${chain}`).directory, file), text);
      await snapshots.commit(`layer ${chain}`, chain);
      return chain;
    };

    before(async () => {
      root = place?.() ?? mkdtempSync(join(tmpdir(), `onggi-${name}-`));
      snapshots = await open();
    });

    after(async () => {
      await snapshots.close();
      if (place === undefined) rmSync(root, { recursive: true, force: true });
    });

    it("starts on nothing with an empty root that others may enter", async () => {
      await snapshots.prepare("empty");
      look("empty", (directory) => {
        assert.deepEqual(readdirSync(directory), []);
        assert.equal(statSync(directory).mode & 0o7777, 0o755);
      });
    });

    it("shows in a clone what its parents hold, the nearest first, and what was hidden is gone", async () => {
      await layer("a1", undefined, "base");
      await layer("a2", "a1", "changed", "old");
      await snapshots.prepare("layer a3", "a2");
      writeFileSync(join(snapshots.writable("layer a3").directory, "changed"), "new");
      hide("layer a3", "base");
      await snapshots.commit("layer a3", "a3");
      await snapshots.prepare("a-clone", "a3");
      look("a-clone", (directory) => {
        assert.deepEqual(readdirSync(directory), ["changed"]);
        assert.equal(readFileSync(join(directory, "changed"), "utf8"), "new");
      });
    });

    it("keeps writes of one clone from its parent and from other clones", async () => {
      await layer("b1", undefined, "file", "from the image");
      await snapshots.prepare("b-one", "b1");
      await snapshots.prepare("b-two", "b1");
      look("b-one", (directory) => {
        writeFileSync(join(directory, "file"), "changed");
        mkdirSync(join(directory, "mine"));
      });
      look("b-one", (directory) => assert.equal(readFileSync(join(directory, "file"), "utf8"), "changed"));
      look("b-two", (directory) => assert.deepEqual(readdirSync(directory), ["file"]));
      await snapshots.view("b-view", "b1");
      look("b-view", (directory) => assert.equal(readFileSync(join(directory, "file"), "utf8"), "from the image"));
    });

    it("gives the clone's root the mode and owner of its parent's", async () => {
      await snapshots.prepare("layer c1");
      const { directory } = snapshots.writable("layer c1");
      execFileSync("chmod", ["1777", directory]);
      await snapshots.commit("layer c1", "c1");
      await snapshots.prepare("c-clone", "c1");
      look("c-clone", (root) => assert.equal(statSync(root).mode & 0o7777, 0o1777));
    });

    it("mounts a view read-only", async () => {
      await layer("d1", undefined, "file");
      await layer("d2", "d1", "other");
      for (const parent of ["d1", "d2"]) {
        const mounts = await snapshots.view(`view of ${parent}`, parent);
        assert.equal(mounts.at(-1)?.readonly, true);
        look(`view of ${parent}`, (directory) => assert.ok(existsSync(join(directory, "file"))));
      }
    });

    it("refuses keys that are taken, parents that aren't there or aren't frozen, and writing to what is frozen", async () => {
      await layer("e1", undefined, "file");
      await snapshots.prepare("e-active", "e1");
      await assert.rejects(snapshots.prepare("e-active", "e1"), throwsCode("conflict"));
      await assert.rejects(snapshots.prepare("e1"), throwsCode("conflict"));
      await assert.rejects(snapshots.prepare("e-new", "nobody"), throwsCode("not_found"));
      await assert.rejects(snapshots.prepare("e-new", "e-active"), throwsCode("invalid"));
      await assert.rejects(snapshots.commit("e1", "e2"), throwsCode("invalid"));
      assert.throws(() => snapshots.writable("e1"), throwsCode("invalid"));
      assert.throws(() => snapshots.mounts("e-new"), throwsCode("not_found"));
      await snapshots.view("e-view", "e1");
      await assert.rejects(snapshots.commit("e-view", "e2"), throwsCode("invalid"));
    });

    it("doesn't remove what another stands on", async () => {
      await layer("f1", undefined, "file");
      await snapshots.prepare("f-one", "f1");
      await snapshots.view("f-two", "f1");
      await assert.rejects(snapshots.remove("f1"), throwsCode("in_use"));
      await snapshots.remove("f-one");
      await assert.rejects(snapshots.remove("f1"), throwsCode("in_use"));
      await snapshots.remove("f-two");
      await snapshots.remove("f1");
      assert.equal(snapshots.has("f1"), false);
      await assert.rejects(snapshots.remove("f1"), throwsCode("not_found"));
    });

    it("keeps one of two that are committed under the same name, also at once", async () => {
      await snapshots.prepare("g-one");
      await snapshots.prepare("g-two");
      writeFileSync(join(snapshots.writable("g-one").directory, "file"), "");
      writeFileSync(join(snapshots.writable("g-two").directory, "file"), "");
      await Promise.all([snapshots.commit("g-one", "g"), snapshots.commit("g-two", "g")]);
      assert.equal(snapshots.has("g-one"), false);
      assert.equal(snapshots.has("g-two"), false);
      assert.deepEqual(snapshots.stat("g"), { id: "g", kind: "committed", parent: undefined });
    });

    it("lets only one of two start under the same key at once", async () => {
      const results = await Promise.allSettled([snapshots.prepare("h"), snapshots.prepare("h")]);
      assert.deepEqual(results.map((result) => result.status).toSorted(), ["fulfilled", "rejected"]);
      assert.ok(snapshots.has("h"));
    });

    it("knows all again after it was opened anew, the undurable ones too, and had nothing to mend", async () => {
      await layer("i1", undefined, "file");
      await snapshots.prepare("i-active", "i1");
      await snapshots.prepare("i-undurable", "i1", { durable: false });
      await snapshots.view("i-view", "i1");
      look("i-active", (directory) => writeFileSync(join(directory, "written"), "kept"));
      const before = [...snapshots.list()].toSorted((a, b) => a.id.localeCompare(b.id));
      await reopen();
      assert.deepEqual(snapshots.repairs, []);
      assert.deepEqual(
        [...snapshots.list()].toSorted((a, b) => a.id.localeCompare(b.id)),
        before,
      );
      look("i-active", (directory) => assert.equal(readFileSync(join(directory, "written"), "utf8"), "kept"));
    });

    it("finds a remembered tree by what its caller tells, and makes it anew when the disk has lost it", async () => {
      const parent = await layer("o1", undefined, "file");
      const [kept, lost, unknown] = ["a", "b", "c"].map((letter) => letter.repeat(64));
      assert.ok(kept !== undefined && lost !== undefined && unknown !== undefined);
      const reopenTelling = async (keys: readonly string[], isWhole = true) => {
        await snapshots.close();
        const memory = { expected: keys.map((key) => ({ key, parent, durable: true })), isWhole };
        snapshots = await openSnapshotter({ root, driver: name, candidates: [candidate], tools, memory });
      };
      for (const key of [kept, unknown]) {
        await snapshots.prepare(key, parent, { remembered: true });
        look(key, (directory) => writeFileSync(join(directory, "written"), "kept"));
      }
      await reopenTelling([kept, lost], false);
      look(kept, (directory) => assert.equal(readFileSync(join(directory, "written"), "utf8"), "kept"));
      look(lost, (directory) => assert.deepEqual(readdirSync(directory), ["file"]));
      assert.match(snapshots.repairs.join(), new RegExp(`^[^,]*${lost}[^,]*$`));
      await reopenTelling([kept, lost, unknown]);
      assert.deepEqual(snapshots.repairs, []);
      look(unknown, (directory) => assert.equal(readFileSync(join(directory, "written"), "utf8"), "kept"));
      await snapshots.remove(kept);
      await reopenTelling([unknown]);
      assert.deepEqual(
        [kept, lost, unknown].map((key) => snapshots.has(key)),
        [false, false, true],
      );
      assert.match(snapshots.repairs.join(), /half-made snapshot b{12}/);
      await snapshots.remove(unknown);
    });

    it("can be mounted again and again, undurable ones too", async () => {
      await layer("j1", undefined, "file");
      await layer("j2", "j1", "other");
      await snapshots.prepare("j-undurable", "j2", { durable: false });
      for (let time = 0; time < 3; time++) {
        look("j-undurable", (directory) => {
          assert.equal(readdirSync(directory).length, 2 + time);
          writeFileSync(join(directory, `time ${time}`), "");
        });
      }
    });

    it("freezes a copy of an active snapshot, which goes on by itself", async () => {
      await layer("n1", undefined, "file", "from the image");
      await layer("n2", "n1", "hidden");
      await snapshots.prepare("n-active", "n2");
      look("n-active", (directory) => {
        writeFileSync(join(directory, "file"), "before");
        rmSync(join(directory, "hidden"));
      });
      // Whoever was stopped for it goes on before the copy is on the disk.
      const copied = async () => look("n-active", (directory) => writeFileSync(join(directory, "file"), "after"));
      await snapshots.capture("n-active", "n-copy", { copied });
      assert.deepEqual(snapshots.stat("n-copy"), { id: "n-copy", kind: "committed", parent: "n2" });
      await snapshots.prepare("n-clone", "n-copy");
      look("n-clone", (directory) => {
        assert.deepEqual(readdirSync(directory), ["file"]);
        assert.equal(readFileSync(join(directory, "file"), "utf8"), "before");
      });
      look("n-active", (directory) => assert.equal(readFileSync(join(directory, "file"), "utf8"), "after"));
      await assert.rejects(snapshots.capture("n-active", "n-copy"), throwsCode("conflict"));
      await snapshots.remove("n-active");
      await reopen();
      look("n-clone", (directory) => assert.equal(readFileSync(join(directory, "file"), "utf8"), "before"));
    });

    it("counts the bytes and inodes of one snapshot alone", async () => {
      await layer("k1", undefined, "small");
      await layer("k2", "k1", "large", "x".repeat(1024 * 1024));
      const small = await snapshots.usage("k1");
      const large = await snapshots.usage("k2");
      assert.ok(large.bytes >= 1024 * 1024, `${large.bytes} bytes`);
      assert.ok(small.bytes < 512 * 1024, `${small.bytes} bytes`);
      assert.ok(large.inodes >= 2 && large.inodes < 10);
    });

    it("leaves nothing of what was removed once it is closed", async () => {
      await layer("l1", undefined, "file");
      const own = () =>
        execFileSync("find", [join(root, name), "-mindepth", "1"], { encoding: "utf8" }).split("\n").length;
      await reopen();
      const entries = own();
      await layer("l2", "l1", "file");
      await snapshots.prepare("l-clone", "l2");
      look("l-clone", (directory) => writeFileSync(join(directory, "file"), "changed"));
      await snapshots.remove("l-clone");
      await snapshots.remove("l2");
      await reopen();
      assert.equal(own(), entries);
    });

    it("sweeps a tree that nobody was told of, and says so", async () => {
      await layer("m1", undefined, "file");
      const tree = join(root, name, "deadbeef0123");
      mkdirSync(join(tree, "diff", "deep"), { recursive: true });
      await reopen();
      assert.equal(existsSync(tree), false);
      assert.match(snapshots.repairs.join(), /deadbeef0123/);
      look("i-active", (directory) => assert.ok(existsSync(directory)));
    });
  });
}
