import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { makeScratchImage } from "../../bench/scratch-image.ts";
import { kill9, spawnerOf } from "./engine-processes.ts";
import { startDaemon, type TestDaemon } from "./harness.ts";

const skip = /\berofs$/m.test(readFileSync("/proc/filesystems", "utf8")) ? false : "needs a kernel with erofs";

describe("containers on erofs", { skip, timeout: 60_000 }, () => {
  let daemon: TestDaemon;
  let scratch: string;

  const run = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await daemon.onggi(args);
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
    return stdout.trim();
  };
  const inodes = () =>
    Number(
      execFileSync("bash", ["-c", `find ${daemon.root}/snapshots/erofs -path '*/trash/*' -prune -o -print | wc -l`]),
    );

  before(async () => {
    scratch = mkdtempSync(join(tmpdir(), "onggi-run-erofs-"));
    const [root, runRoot] = [join(scratch, "data"), join(scratch, "run")];
    daemon = await startDaemon({ root, runRoot, args: ["--storage-driver", "erofs"] });
    await run("image", "from-host", "sh", "cat", "ls", "rm");
  });

  after(async () => {
    await daemon.stop();
    rmSync(scratch, { recursive: true });
  });

  it("read the image's files, write their own, and keep them when they start again", async () => {
    const script = "cat /file 2>/dev/null; echo x >> /file; rm -f /bin/ls; ls / > /dev/null 2>&1 || echo gone";
    await run("create", "--name", "kept", "--network", "none", "host", "sh", "-c", script);
    assert.equal(await run("start", "-a", "kept"), "gone");
    assert.equal(await run("start", "-a", "kept"), "x\ngone");
  });

  it("become layers that others stand on", async () => {
    await run("commit", "kept", "committed");
    assert.equal(await run("run", "--rm", "--network", "none", "committed", "sh", "-c", "cat /file"), "x\nx");
    assert.equal(await run("diff", "kept").then((said) => /^A \/file$/m.test(said)), true);
  });

  it("run from images of more layers than a page of mount options names", async () => {
    const before = inodes();
    const image = makeScratchImage("layers:100", 100);
    try {
      await run("load", "-q", "-i", image.archive);
    } finally {
      image.remove();
    }
    await run("run", "--rm", "--network", "none", "layers:100", "/bin/true");
    assert.ok(inodes() - before <= 100 * 7, `${inodes() - before} inodes`);
    await run("rmi", "layers:100");
    assert.equal(inodes(), before);
  });

  it("are made by the script that explain prints", async () => {
    await run("create", "--name", "explained", "--network", "none", "committed", "cat", "/file");
    const script = join(scratch, "script");
    writeFileSync(script, await run("explain", "explained"));
    assert.equal(execFileSync("bash", [script], { encoding: "utf8" }), "x\nx\n");
  });

  it("share one mount of their image, which goes with the image, and is made anew for a new executor", async () => {
    const lowerOf = async (name: string) => {
      const pid = await run("inspect", "-f", "{{.State.Pid}}", name);
      return /lowerdir=([^,\s]+)/.exec(readFileSync(`/proc/${pid}/mountinfo`, "utf8"))?.[1] ?? "";
    };
    const holders = (path: string) =>
      readdirSync("/proc").filter((pid) => {
        try {
          return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/mountinfo`, "utf8").includes(` ${path} `);
        } catch {
          return false;
        }
      });
    const start = (name: string, image = "host") =>
      run("run", "-d", "--name", name, "--network", "none", image, "sh", "-c", "read line < /dev/zero");
    await start("first");
    await start("second");
    const shared = await lowerOf("first");
    assert.match(shared, /\/erofs\/shared\/[0-9a-f]+$/);
    assert.equal(await lowerOf("second"), shared);
    assert.ok(holders(shared).length > 0);

    await kill9(spawnerOf(daemon.pid));
    await start("third");
    assert.equal(await run("exec", "third", "sh", "-c", "echo there"), "there");
    await run("rm", "-f", "third");
    await start("fourth");
    assert.equal(await lowerOf("fourth"), shared);

    await daemon.kill9();
    const { root, runRoot, bridge } = daemon;
    daemon = await startDaemon({ root, runRoot, bridge });
    assert.deepEqual(holders(join(root, "snapshots/erofs/shared")), [], "what another executor mounted is let go of");
    assert.equal(await run("exec", "first", "sh", "-c", "echo goes on"), "goes on");
    await run("rm", "-f", "first", "second", "fourth");
    await start("last", "committed");
    const committed = await lowerOf("last");
    await run("rm", "-f", "last", "explained");
    await run("rmi", "committed");
    assert.deepEqual(holders(committed), []);
  });

  it("mount nothing that the host sees", () => {
    assert.ok(!readFileSync("/proc/self/mountinfo", "utf8").includes(daemon.root));
  });
});
