import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, it } from "node:test";
import { startDaemon, type TestDaemon } from "../e2e/harness.ts";

const options = ["dm.basesize=1G", "dm.loopdatasize=4G", "dm.loopmetadatasize=16M"];

describe("containers on thin devices", { timeout: 240_000 }, () => {
  let daemon: TestDaemon;
  const run = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await daemon.onggi(args);
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
    return stdout.trim();
  };
  const inside = (script: string, ...flags: readonly string[]) =>
    run("run", "--rm", "--network", "none", ...flags, "host", "sh", "-c", script);

  before(async () => {
    const flags = options.flatMap((option) => ["--storage-opt", option]);
    daemon = await startDaemon({ args: ["--storage-driver", "devicemapper", ...flags] });
    await run("image", "from-host", "sh", "cat", "rm", "dd", "df", "grep", "touch", "sleep");
  });

  after(async () => {
    await daemon.stop();
    const devices = execFileSync("dmsetup", ["ls"], { encoding: "utf8" });
    const loops = execFileSync("losetup", ["-n", "-O", "BACK-FILE"], { encoding: "utf8" });
    assert.doesNotMatch(`${devices}${loops}`, /onggi/);
  });

  it("keep what they write when they start again, and mount nothing on the host", async () => {
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
    assert.equal(container.GraphDriver.Name, "devicemapper");
    assert.deepEqual(Object.keys(container.GraphDriver.Data).toSorted(), ["DeviceId", "DeviceName", "DeviceSize"]);
    assert.doesNotMatch(execFileSync("mount", { encoding: "utf8" }), /\/dev\/(dm-|mapper\/onggi)/);
    await run("rm", "kept");
  });

  it("don't see each other's files, nor the image what they delete", async () => {
    await inside("echo mine > /mine; rm /etc/passwd");
    assert.equal(await inside("cat /etc/passwd > /dev/null; [ ! -e /mine ] && echo clean"), "clean");
  });

  it("are held to their limits", async () => {
    const script =
      "dd if=/dev/zero of=/much bs=1M count=20 2>&1 | grep -c 'quota exceeded'; rm /much; df -m / | grep -c ' 1[0-9] '";
    assert.equal(await inside(script, "--storage-opt", "size=10M"), "1\n1");
    const many = "for i in 1 2 3 4 5 6 7 8 9; do touch /f$i 2>/dev/null || { echo $i; break; }; done";
    assert.match(await inside(many, "--storage-opt", "inodes=8"), /^[789]$/);
  });

  it("are explained as a script that does the same, and leaves nothing", async () => {
    const script = await run("explain", "run", "--network", "none", "host", "sh", "-c", "echo from the script");
    assert.match(script, /^dmsetup message \S+ 0 'create_snap \d+ \d+'$/m);
    assert.match(execFileSync("bash", ["-c", script], { encoding: "utf8" }), /from the script/);
    assert.doesNotMatch(execFileSync("dmsetup", ["ls"], { encoding: "utf8" }), /explain/);
  });

  it("outlive the daemon, and can be removed by the next one", async () => {
    await run("run", "-d", "--name", "lasting", "--network", "none", "host", "sleep", "300");
    const { root, runRoot, bridge } = daemon;
    await daemon.kill9();
    const flags = options.flatMap((option) => ["--storage-opt", option]);
    const next = await startDaemon({ root, runRoot, bridge, args: flags });
    try {
      const { code, stderr } = await next.onggi(["exec", "lasting", "touch", "/after"]);
      assert.equal(code, 0, stderr);
      assert.equal((await next.onggi(["rm", "-f", "lasting"])).code, 0);
    } finally {
      await next.stop();
    }
  });
});
