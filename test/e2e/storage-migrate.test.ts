/** `storage migrate`: images, snapshots and containers are the same with another driver, whenever it is cut off. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { placesFor } from "../../src/engine/data-root.ts";
import { clearHost } from "./clear-host.ts";
import { runCommand, startDaemon, type TestDaemon } from "./harness.ts";

const checkout = join(import.meta.dirname, "../..");
const change = "mkdir -p /d/e; echo one > /d/e/f; ln /d/e/f /d/g; rm /etc/passwd; echo x >> /etc/group; chown 12:34 /d";

describe("storage migrate", () => {
  const scratch = join(tmpdir(), `onggi-migrate-${randomBytes(4).toString("hex")}`);
  const places = {
    root: join(scratch, "data"),
    runRoot: join(scratch, "run"),
    bridge: `ogm${randomBytes(4).toString("hex")}`,
  };
  let daemon: TestDaemon | undefined;
  const start = async (...args: readonly string[]) => {
    daemon = await startDaemon({ ...places, args });
    return daemon;
  };
  const end = async () => {
    await daemon?.stop();
    daemon = undefined;
  };
  const words = (to: string) => {
    const { root, runRoot, bridge } = places;
    return ["storage", "migrate", "--root", root, "--run-root", runRoot, "--bridge", bridge, "--to", to];
  };
  const migrate = (to: string) => runCommand(join(checkout, "onggi"), words(to));
  const folders = () => readdirSync(join(places.root, "snapshots"));
  /** What a user sees of the container `one`. */
  const look = async (by: TestDaemon) => (await by.onggi(["diff", "one"])).stdout.split("\n").toSorted();
  let expected: readonly string[];

  before(async () => {
    mkdirSync(scratch);
    const by = await start("--storage-driver", "overlay");
    await by.onggi(["image", "from-host"]);
    await by.onggi(["run", "--name", "one", "host", "sh", "-c", change]);
    await by.onggi(["snapshot", "create", "one", "kept"]);
    await by.onggi(["run", "--name", "running", "-d", "host", "sleep", "600"]);
    expected = await look(by);
    assert.ok(expected.includes("D /etc/passwd") && expected.includes("A /d/e/f"), expected.join());
  });

  after(async () => {
    await end();
    const { cgroupParent } = placesFor(places);
    await clearHost({ roots: [places.root, places.runRoot], bridge: places.bridge, cgroupParent });
    rmSync(scratch, { recursive: true, force: true });
  });

  const isWhole = async (driver: string) => {
    const by = await start();
    assert.equal((await by.onggi(["info", "--format", "{{.Driver}}"])).stdout.trim(), driver);
    assert.deepEqual(await look(by), expected);
    assert.equal((await by.onggi(["system", "check", "--deep"])).stdout, "No problems found.\n");
    assert.match((await by.onggi(["snapshot", "ls"])).stdout, /one@kept|kept/);
    await end();
    assert.deepEqual(folders(), [driver]);
  };

  it("refuses while a daemon has the root, while containers run, and for what there isn't", async () => {
    assert.match((await migrate("vfs")).stderr, /is in use by process/);
    await end();
    const refused = await migrate("vfs");
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /storage can't be moved while containers run: running/);
    const by = await start();
    await by.onggi(["rm", "-f", "running"]);
    await end();
    assert.match((await migrate("floppy")).stderr, /there is no storage driver "floppy"/);
    assert.match((await migrate("overlay")).stderr, /is "overlay" already/);
    await isWhole("overlay");
  });

  it("is taken back or finished when it was cut off at any moment", async () => {
    for (const line of ["layer", "container", "removing"]) {
      await killAt(line);
      const by = await start();
      const driver = (await by.onggi(["info", "--format", "{{.Driver}}"])).stdout.trim();
      assert.ok(driver === (line === "removing" ? "vfs" : "overlay"), `${driver} after ${line}`);
      await end();
      await isWhole(driver);
      assert.equal(existsSync(join(places.root, "layers.migrated")), false);
    }
  });

  it("brings everything back again", async () => {
    const { code, stdout, stderr } = await migrate("overlay");
    assert.equal(code, 0, stderr);
    assert.match(stdout, /has the storage driver overlay now\n$/);
    await isWhole("overlay");
  });

  /** Kills it as soon as it tells of what it does. */
  async function killAt(line: string): Promise<void> {
    const child = spawn(join(checkout, "onggi"), words("vfs"), { stdio: ["ignore", "pipe", "inherit"] });
    const ended = new Promise((resolve) => child.once("exit", resolve));
    let text = "";
    for await (const chunk of child.stdout) {
      text += String(chunk);
      if (text.split("\n").some((one) => one.startsWith(line))) child.kill("SIGKILL");
    }
    await ended;
    // The spawner follows, and what a program of it was doing.
    await sleep(200);
  }
});
