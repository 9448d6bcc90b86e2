import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { placesFor } from "../../src/engine/data-root.ts";
import { clearHost } from "./clear-host.ts";
import { startDaemon, type TestDaemon } from "./harness.ts";
import { formatterOf, type LoopDisk, makeLoopDisk } from "./loop-disk.ts";

const missing = /\bbtrfs$/m.test(readFileSync("/proc/filesystems", "utf8"))
  ? formatterOf("btrfs") === undefined && "needs mkfs.btrfs (package btrfs-progs)"
  : "needs a kernel with btrfs";

describe("containers on btrfs", { skip: missing, timeout: 60_000 }, () => {
  let disk: LoopDisk;
  let runRoot: string;
  let daemon: TestDaemon;

  const run = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await daemon.onggi(args);
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
    return stdout.trim();
  };
  const subvolumes = () =>
    execFileSync("btrfs", ["subvolume", "list", disk.directory], { encoding: "utf8" })
      .split("\n")
      .filter((line) => line.includes("snapshots/btrfs"));
  const start = () => startDaemon({ root: join(disk.directory, "data"), runRoot, args: ["--storage-driver", "btrfs"] });

  before(async () => {
    disk = makeLoopDisk("btrfs", 2 * 1024 ** 3);
    runRoot = mkdtempSync(join(tmpdir(), "onggi-btrfs-run-"));
    daemon = await start();
    await run("image", "from-host", "sh", "cat", "dd", "rm", "mkdir", "sync");
  });

  after(async () => {
    await daemon.stop();
    const { cgroupParent } = placesFor({ root: daemon.root });
    await clearHost({ roots: [daemon.root, runRoot], bridge: daemon.bridge, cgroupParent });
    rmSync(runRoot, { recursive: true, force: true });
    disk.remove();
  });

  it("run on a snapshot of the image's subvolume, and keep what they write when they start again", async () => {
    await run(
      "create",
      "--name",
      "kept",
      "--network",
      "none",
      "host",
      "sh",
      "-c",
      "cat /file 2>/dev/null; echo x >> /file",
    );
    assert.equal(await run("start", "-a", "kept"), "");
    assert.equal(await run("start", "-a", "kept"), "x");
    const [container] = JSON.parse(await run("inspect", "kept")) as [{ GraphDriver: { Name: string; Data: object } }];
    assert.equal(container.GraphDriver.Name, "btrfs");
    assert.match(JSON.stringify(container.GraphDriver.Data), /snapshots\/btrfs\/[0-9a-f]+\/tree/);
    assert.match(await run("info"), /btrfs/);
  });

  it("don't see each other's files, nor the image what they delete", async () => {
    await run("run", "--rm", "--network", "none", "host", "sh", "-c", "echo mine > /mine; rm /etc/passwd");
    assert.equal(
      await run(
        "run",
        "--rm",
        "--network",
        "none",
        "host",
        "sh",
        "-c",
        "cat /etc/passwd > /dev/null; [ ! -e /mine ] && echo clean",
      ),
      "clean",
    );
  });

  it("are explained as a script that makes a snapshot of the image's subvolume, and leaves nothing", async () => {
    const script = await run(
      "explain",
      "run",
      "--network",
      "none",
      "host",
      "sh",
      "-c",
      "echo by hand > /own; cat /own",
    );
    assert.match(script, /^btrfs subvolume snapshot \S+\/tree \S+ > /m);
    assert.equal(
      execFileSync("bash", ["-c", script], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }),
      "by hand\n",
    );
    assert.deepEqual(
      subvolumes().filter((line) => line.includes("explain")),
      [],
    );
  });

  it("are there again after a kill of the daemon", async () => {
    await daemon.kill9();
    daemon = await start();
    assert.equal(await run("start", "-a", "kept"), "x\nx");
  });

  it("stand on storage that a check finds whole", async () => {
    const { code, stdout, stderr } = await daemon.onggi(["system", "check"]);
    assert.equal(code, 0, `${stdout}${stderr}`);
  });

  it("leave no subvolume when they, and then the image, are removed", async () => {
    await run("rm", "kept");
    await run("image", "rm", "host");
    await daemon.stop();
    assert.deepEqual(subvolumes(), []);
    daemon = await start();
  });
});
