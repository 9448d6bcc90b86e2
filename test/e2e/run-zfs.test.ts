import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { placesFor } from "../../src/engine/data-root.ts";
import { clearHost } from "./clear-host.ts";
import { startDaemon, type TestDaemon } from "./harness.ts";
import { startZfs, type ZfsHost, zfsMissing } from "./zfs-fuse.ts";

describe("containers on zfs", { skip: zfsMissing, timeout: 120_000 }, () => {
  let zfs: ZfsHost;
  let scratch: string;
  let daemon: TestDaemon;

  const run = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await daemon.onggi(args);
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
    return stdout.trim();
  };
  const init = (...args: readonly string[]) => daemon.onggi(["storage", "init", "zfs", ...args]);
  const start = (...args: readonly string[]) =>
    startDaemon({ root: join(scratch, "data"), runRoot: join(scratch, "run"), bridge: daemon?.bridge, args });
  const datasets = () =>
    execFileSync("zfs", ["list", "-H", "-r", "-o", "name", `${zfs.pool}/onggi`], { encoding: "utf8" })
      .trim()
      .split("\n");

  before(async () => {
    scratch = mkdtempSync(join(tmpdir(), "onggi-zfs-run-"));
    zfs = await startZfs();
    daemon = await start();
  });

  after(async () => {
    await daemon.stop();
    const { cgroupParent } = placesFor({ root: daemon.root });
    await zfs.remove();
    await clearHost({ roots: [daemon.root, daemon.runRoot], bridge: daemon.bridge, cgroupParent });
    rmSync(scratch, { recursive: true, force: true });
  });

  it("find no pool before one was made, and are told how to", async () => {
    const { Onggi } = JSON.parse(await run("info", "--format", "json")) as {
      Onggi: { storageDrivers: { name: string; usable: boolean; reason: string }[] };
    };
    const told = Onggi.storageDrivers.find(({ name }) => name === "zfs");
    assert.equal(told?.usable, false);
    assert.match(told?.reason ?? "", /onggi storage init zfs/);
  });

  it("get a pool on a sparse file, made once", async () => {
    const taken = join(scratch, "taken");
    writeFileSync(taken, "precious");
    const refused = await init("--file", taken, "--size", "1G", "--name", zfs.pool);
    assert.match(refused.stderr, /is there already/);
    assert.equal(statSync(taken).size, 8);
    assert.match((await init("--file", zfs.file, "--size", "1M", "--name", zfs.pool)).stderr, /too small/);
    assert.match((await init("--file", zfs.file, "--size", "1G", "--name", "mirror0")).stderr, /no name for a pool/);
    assert.match((await init("--file", zfs.file)).stderr, /needs --file and --size/);

    const made = await init("--file", zfs.file, "--size", "1G", "--name", zfs.pool);
    assert.equal(made.stdout.trim(), zfs.pool, made.stderr);
    const { size, blocks, mode } = statSync(zfs.file);
    assert.deepEqual([size, mode & 0o777], [1024 ** 3, 0o600]);
    assert.ok(blocks * 512 < 64 * 1024 ** 2, `${blocks} blocks`);
    const again = await init("--file", `${zfs.file}2`, "--size", "1G", "--name", `${zfs.pool}2`);
    assert.match(again.stderr, /has a pool already/);
  });

  it("run on a clone of the image's dataset, and keep what they write when they start again", async () => {
    await daemon.stop();
    daemon = await start("--storage-driver", "zfs");
    await run("image", "from-host", "sh", "cat", "rm", "id", "stat");
    const script = "cat /file 2>/dev/null; echo x >> /file";
    await run("create", "--name", "kept", "--network", "none", "host", "sh", "-c", script);
    assert.equal(await run("start", "-a", "kept"), "");
    assert.equal(await run("start", "-a", "kept"), "x");
    const [container] = JSON.parse(await run("inspect", "kept")) as [
      { GraphDriver: { Name: string; Data: { Dataset: string } } },
    ];
    assert.equal(container.GraphDriver.Name, "zfs");
    assert.ok(datasets().includes(container.GraphDriver.Data.Dataset));
  });

  it("don't see each other's files, nor the image what they delete", async () => {
    await run("run", "--rm", "--network", "none", "host", "sh", "-c", "echo mine > /mine; rm /etc/passwd");
    const look = "cat /etc/passwd > /dev/null; [ ! -e /mine ] && echo clean";
    assert.equal(await run("run", "--rm", "--network", "none", "host", "sh", "-c", look), "clean");
    const nobody = await run(
      "run",
      "--rm",
      "--network",
      "none",
      "-u",
      "65534",
      "host",
      "sh",
      "-c",
      "echo no > /no || id -u",
    );
    assert.equal(nobody, "65534");
  });

  it("are explained as a script that clones the image's snapshot, and leaves nothing", async () => {
    const before = datasets();
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
    assert.match(script, /^zfs clone -o mountpoint=\S+ \S+@frozen \S+$/m);
    assert.equal(
      execFileSync("bash", ["-c", script], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }),
      "by hand\n",
    );
    assert.deepEqual(datasets(), before);
  });

  it("are there again after a kill of the daemon, and when the pool was exported meanwhile", async () => {
    await daemon.kill9();
    daemon = await start("--storage-driver", "zfs");
    assert.equal(await run("start", "-a", "kept"), "x\nx");
    await daemon.stop();
    execFileSync("zpool", ["export", "-f", zfs.pool], { stdio: "pipe" });
    daemon = await start("--storage-driver", "zfs");
    assert.equal(await run("start", "-a", "kept"), "x\nx\nx");
  });

  it("lie below the dataset that the daemon was told of", async () => {
    const named = `${zfs.pool}/named`;
    const told = ["--storage-driver", "zfs", "--storage-opt", `zfs.fsname=${named}`];
    const unused = { root: join(scratch, "unused"), runRoot: join(scratch, "unused-run") };
    await assert.rejects(startDaemon({ ...unused, args: told }), /there is no dataset "\w+\/named"/);
    execFileSync("zfs", ["create", "-o", "mountpoint=none", named]);
    const other = await startDaemon({ args: told });
    try {
      const { code, stderr } = await other.onggi(["image", "from-host", "true"]);
      assert.equal(code, 0, stderr);
      const list = execFileSync("zfs", ["list", "-H", "-r", "-o", "name,mountpoint", named], { encoding: "utf8" });
      assert.match(list, new RegExp(`^${named}/[0-9a-f]+\t${other.root}/snapshots/zfs/[0-9a-f]+$`, "m"));
      await other.onggi(["image", "rm", "host"]);
    } finally {
      await other.stop();
    }
    assert.equal(execFileSync("zfs", ["list", "-H", "-r", "-o", "name", named], { encoding: "utf8" }), `${named}\n`);
  });

  it("stand on storage that a check finds whole", async () => {
    const { code, stdout, stderr } = await daemon.onggi(["system", "check"]);
    assert.equal(code, 0, `${stdout}${stderr}`);
  });

  it("leave no dataset when they, and then the image, are removed", async () => {
    await run("rm", "kept");
    await run("image", "rm", "host");
    await daemon.stop();
    assert.deepEqual(datasets(), [`${zfs.pool}/onggi`]);
    daemon = await start("--storage-driver", "zfs");
  });
});
