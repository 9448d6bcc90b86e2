/** `system check`, `system df` and prune: what is broken is found and mended, and a root that was emptied holds nothing. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { LayerTreeBody, StorageProblemBody } from "../../src/api/wire.ts";
import { startDaemon, type TestDaemon } from "./harness.ts";

for (const driver of ["overlay", "vfs"]) {
  describe(`system check on ${driver}`, () => {
    let daemon: TestDaemon;
    const snapshots = () => join(daemon.root, "snapshots", driver);
    const check = async (...flags: readonly string[]) => {
      const { code, stdout } = await daemon.onggi(["system", "check", "--format", "json", ...flags]);
      const problems = stdout
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line) as StorageProblemBody);
      return { code, problems, subjects: problems.map(({ Subject, State }) => `${Subject} ${State}`) };
    };
    const isClean = async () => assert.deepEqual((await check("--deep")).problems, []);

    before(async () => {
      daemon = await startDaemon({ args: ["--storage-driver", driver] });
      await daemon.onggi(["image", "from-host"]);
      await daemon.onggi(["run", "-d", "--name", "web", "host", "sleep", "600"]);
      await daemon.onggi(["create", "--name", "idle", "host", "true"]);
    });

    after(async () => {
      await daemon.onggi(["rm", "-f", "web", "idle"]);
      await daemon.stop();
    });

    it("finds nothing where all is well", async () => {
      await isClean();
      const { code, stdout } = await daemon.onggi(["system", "check"]);
      assert.deepEqual([code, stdout], [0, "No problems found.\n"]);
    });

    it("removes a tree that nobody knows", async () => {
      mkdirSync(join(snapshots(), "0123456789ab/diff"), { recursive: true });
      const found = await check();
      assert.deepEqual([found.code, found.subjects], [1, ["snapshot found"]]);
      assert.deepEqual((await check("--repair")).subjects, ["snapshot repaired"]);
      await isClean();
    });

    it("makes the writable tree of a container again", async () => {
      const id = (await daemon.onggi(["inspect", "-f", "{{.ID}}", "idle"])).stdout.trim();
      rmSync(join(snapshots(), id.slice(0, 12)), { recursive: true });
      assert.deepEqual((await check()).code, 1);
      const repaired = await check("--repair");
      assert.deepEqual([repaired.code, repaired.subjects], [0, ["snapshot repaired"]]);
      assert.equal((await daemon.onggi(["start", "-a", "idle"])).code, 0);
      await isClean();
    });

    it("writes a record that is missing again", async () => {
      const records = join(snapshots(), "state");
      const [record = ""] = readdirSync(records).filter((name) => name.endsWith(".json"));
      const text = readFileSync(join(records, record), "utf8");
      rmSync(join(records, record));
      assert.deepEqual((await check("--repair")).subjects, ["snapshot repaired"]);
      assert.deepEqual(JSON.parse(readFileSync(join(records, record), "utf8")), JSON.parse(text));
    });

    it("removes folders of containers that are gone, and blobs of nobody", async () => {
      const folder = join(daemon.root, "containers", "a".repeat(64));
      mkdirSync(folder);
      const blob = join(daemon.root, "blobs/sha256", "b".repeat(64));
      writeFileSync(blob, "nothing");
      assert.deepEqual((await check("--repair")).subjects, ["folder repaired", "blob repaired"]);
      await isClean();
    });

    it("removes cgroups of containers that are gone, with what runs in them", async () => {
      const web = (await daemon.onggi(["inspect", "-f", "{{.ID}}", "web"])).stdout.trim();
      const own = daemon.inventory().cgroups.filter((path) => path.endsWith(web));
      assert.ok(own.length > 0);
      for (const path of own) mkdirSync(path.replace(web, "c".repeat(64)));
      assert.deepEqual((await check("--repair")).subjects, ["cgroup repaired"]);
      await isClean();
    });

    it("tells a damaged blob by its digest, and a missing one", async () => {
      const blobs = join(daemon.root, "blobs/sha256");
      const id = (await daemon.onggi(["images", "-q", "--no-trunc"])).stdout.trim().replace("sha256:", "");
      const text = readFileSync(join(blobs, id));
      writeFileSync(join(blobs, id), `${text}\n`);
      assert.deepEqual((await check()).problems, [], "only --deep reads them");
      const deep = await check("--deep", "--repair");
      assert.deepEqual([deep.code, deep.subjects], [1, ["blob not repaired"]]);
      assert.match(deep.problems[0]?.Problem ?? "", /its bytes have the digest sha256:/);
      rmSync(join(blobs, id));
      assert.match((await check()).problems[0]?.Problem ?? "", /is missing/);
      writeFileSync(join(blobs, id), text, { mode: 0o600 });
      await isClean();
    });

    it("tells a layer whose files were changed", async () => {
      const [committed = ""] = readdirSync(join(snapshots(), "state"))
        .filter((name) => readFileSync(join(snapshots(), "state", name), "utf8").includes('"committed"'))
        .map((name) => name.replace(".json", ""));
      const tree = join(snapshots(), committed, driver === "overlay" ? "diff" : "");
      const file = join(tree, "etc/passwd");
      const text = readFileSync(file);
      writeFileSync(file, Buffer.from(text).fill("x", 0, 1));
      const deep = await check("--deep");
      assert.deepEqual([deep.code, deep.subjects], [1, ["layer found"]]);
      writeFileSync(file, text);
      await isClean();
    });

    it("tells what keeps a layer", async () => {
      const { stdout } = await daemon.onggi(["system", "df", "--why", "host"]);
      assert.match(stdout, /^layer [0-9a-f]{12} .* = host:latest\n[├└]─ container (web \(running\)|idle \(exited\))/);
      assert.match(stdout, /Kept by image host:latest; containers (web|idle) \(\w+\), (web|idle) \(\w+\)\.\n$/);
      const { stdout: json } = await daemon.onggi(["system", "df", "--format", "json", "--why", "host"]);
      assert.equal((JSON.parse(json) as LayerTreeBody).Children.length, 2);
      const missing = await daemon.onggi(["system", "df", "--why", "nothing"]);
      assert.match(missing.stderr, /No such image or layer: nothing/);
    });

    it("counts a layer that two images share once", async () => {
      await daemon.onggi(["tag", "host", "other:1"]);
      const { stdout } = await daemon.onggi(["system", "df", "-v"]);
      for (const title of ["Images", "Containers", "Local Volumes", "Layers"])
        assert.ok(stdout.includes(`${title} space usage:`), stdout);
      const summary = (await daemon.onggi(["system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}"]))
        .stdout;
      assert.equal(summary, "Images 1 1\nContainers 2 1\nLocal Volumes 0 0\nBuild Cache 0 0\n");
      await daemon.onggi(["rmi", "other:1"]);
    });
  });

  describe(`removing everything on ${driver}`, () => {
    it("leaves no layer: hardly a byte and no inode that wasn't there before", async () => {
      await using daemon = await startDaemon({ args: ["--storage-driver", driver] });
      const measure = () => {
        // What is in the trash may vanish meanwhile: that is no error.
        const output = (command: string, ...words: readonly string[]) =>
          spawnSync(command, [...words, daemon.root], { encoding: "utf8" }).stdout;
        return {
          bytes: Number(output("du", "-s", "-B1").split("\t")[0]),
          files: output("find").trim().split("\n").slice(1),
        };
      };
      const atFirst = measure();
      await daemon.onggi(["image", "from-host"]);
      for (const name of ["one", "two"])
        await daemon.onggi(["run", "--name", name, "host", "sh", "-c", "echo written > /file"]);
      assert.ok(measure().bytes > atFirst.bytes + 1e6);
      const { stdout } = await daemon.onggi(["system", "prune", "-a", "--volumes"], { input: "y\n" });
      assert.match(stdout, /^WARNING! This will remove:\n {2}- all stopped containers\n/);
      assert.match(stdout, /Total reclaimed space: [\d.]+MB/);
      const known = /\/(images\/references\.json|images\/\.reserve|volumes|tokens|snapshots\.json)/;
      const more = () => measure().files.filter((path) => !atFirst.files.includes(path) && !known.test(path));
      // Files of removed trees are deleted a moment later.
      for (const end = Date.now() + 20_000; Date.now() < end && more().length > 0; ) await sleep(200);
      assert.deepEqual(more(), []);
      const left = measure();
      assert.ok(left.bytes - atFirst.bytes < 100_000, `${left.bytes - atFirst.bytes} bytes more than at first`);
    });
  });
}
