/** `--storage-opt`: limits that hold, are told of, and leave nothing behind, on drivers that keep them by sized images. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { ContainerInspect, StatsBody, StorageBody } from "../../src/api/wire.ts";
import { placesFor } from "../../src/engine/data-root.ts";
import { imageMeans } from "../../src/storage/sized-image.ts";
import { leaks } from "../host-inventory.ts";
import { ApiClient } from "./api-client.ts";
import { clearHost } from "./clear-host.ts";
import { startDaemon, type TestDaemon } from "./harness.ts";

const skip = imageMeans() === "none" ? "this host has no loop devices, or no mke2fs" : false;
const fill = "dd if=/dev/zero of=/big bs=1M count=64 2>&1; true";
const manyFiles = "i=0; while [ $i -lt 300 ]; do : > /f$i || exit 3; i=$((i+1)); done";

/** Loop devices on files below a root. */
function loopsBelow(root: string): string[] {
  const { loopdevices = [] } = JSON.parse(
    execFileSync("losetup", ["--list", "--json", "--output", "NAME,BACK-FILE"], { encoding: "utf8" }) || "{}",
  ) as { loopdevices?: { name: string; "back-file": string | null }[] };
  return loopdevices.flatMap(({ name, "back-file": file }) => (file?.startsWith(root) ? [`${name} ${file}`] : []));
}

describe("storage warnings", () => {
  it("come before the host's file system is full, in an event, the log and info, and not twice", async () => {
    await using daemon = await startDaemon({ args: ["--storage-warn-percent", "0.01"] });
    await sleep(1500);
    const sentence = new RegExp(`[\\d.]+ % of the space of the file system of ${daemon.root} is used`);
    assert.match((await daemon.onggi(["info"])).stderr, sentence);
    await new ApiClient(daemon.socket).json<StorageBody>("GET", "/onggi/v1/storage");
    const since = ["--since", "1h", "--until", String(Date.now() / 1000), "--filter", "type=daemon"];
    const { stdout } = await daemon.onggi(["events", ...since, "--format", "{{.Action}} {{.Actor.Attributes.what}}"]);
    assert.equal(stdout.split("\n").filter((line) => line === "storage-low bytes").length, 1, stdout);
    assert.equal(
      daemon
        .log()
        .split("\n")
        .filter((line) => sentence.test(line)).length,
      1,
    );
  });

  it("refuse a threshold that is none", async () => {
    await assert.rejects(startDaemon({ args: ["--storage-warn-percent", "101"] }), /is no share in percent/);
  });
});

for (const driver of ["overlay", "erofs", "vfs"]) {
  const lacks = driver === "erofs" && !readFileSync("/proc/filesystems", "utf8").includes("erofs");
  describe(`storage limits on ${driver}`, { skip: lacks ? "the kernel has no erofs" : skip }, () => {
    let daemon: TestDaemon;
    const scratch = join(tmpdir(), `onggi-limits-${driver}-${randomBytes(4).toString("hex")}`);
    const places = {
      root: join(scratch, "data"),
      runRoot: join(scratch, "run"),
      bridge: `ogl${randomBytes(4).toString("hex")}`,
    };
    const api = () => new ApiClient(daemon.socket);
    const args = ["--storage-driver", driver, "--storage-warn-percent", "90"];
    const images = () => join(daemon.root, "snapshots", driver, "images");
    const inspect = async (name: string) =>
      JSON.parse((await daemon.onggi(["inspect", name])).stdout)[0] as ContainerInspect;
    /** Loop devices go with the last mount, which the kernel may end a moment later. */
    const noLoops = async (left = 0) => {
      for (let i = 0; i < 100 && loopsBelow(daemon.root).length > left; i++) await sleep(50);
      assert.equal(loopsBelow(daemon.root).length, left, loopsBelow(daemon.root).join("\n"));
    };

    before(async () => {
      mkdirSync(scratch);
      daemon = await startDaemon({ ...places, args });
      await daemon.onggi(["image", "from-host"]);
    });

    after(async () => {
      await daemon.stop();
      await clearHost({
        roots: [places.root, places.runRoot],
        bridge: places.bridge,
        cgroupParent: placesFor(places).cgroupParent,
      });
      assert.deepEqual(loopsBelow(scratch), []);
      rmSync(scratch, { recursive: true, force: true });
    });

    it("ends writing with ENOSPC at the size, and says so in inspect and ps", async () => {
      const { stdout } = await daemon.onggi([
        "run",
        "--name",
        "full",
        "--storage-opt",
        "size=32M",
        "host",
        "sh",
        "-c",
        fill,
      ]);
      assert.match(stdout, /No space left on device/);
      const written = Number(/(\d+) bytes/.exec(stdout)?.[1]);
      assert.ok(written > 28 << 20 && written < 36 << 20, stdout);
      const info = await inspect("full");
      assert.deepEqual(info.HostConfig.StorageOpt, { size: "32M" });
      assert.equal(info.Onggi?.Storage.Reached, "disk limit reached");
      assert.match(
        (await daemon.onggi(["ps", "-a", "--format", "{{.Status}}"])).stdout,
        /Exited \(0\).*\(disk limit reached\)/,
      );
      await daemon.onggi(["rm", "full"]);
    });

    it("ends making files at the number of inodes", async () => {
      const limit = ["--storage-opt", "inodes=100", "--storage-opt", "size=64M"];
      const { code, stderr } = await daemon.onggi(["run", "--name", "many", ...limit, "host", "sh", "-c", manyFiles]);
      assert.notEqual(code, 0);
      assert.match(stderr, /\/f(9\d|10\d): No space left on device/);
      const { Onggi } = await inspect("many");
      assert.deepEqual([Onggi?.Storage.Reached, Onggi?.Storage.FreeInodes], ["inode limit reached", 0]);
      await daemon.onggi(["rm", "many"]);
    });

    it("holds for inodes alone", async () => {
      const { code } = await daemon.onggi([
        "run",
        "--rm",
        "--storage-opt",
        "inodes=100",
        "host",
        "sh",
        "-c",
        manyFiles,
      ]);
      assert.notEqual(code, 0);
    });

    it("tells of it in an event, in stats and in the dashboard's data", async () => {
      const since = String(Date.now() / 1000 - 1);
      const limit = ["--storage-opt", "size=32M"];
      await daemon.onggi(["run", "-d", "--name", "writer", ...limit, "host", "sh", "-c", `${fill}; sleep 60`]);
      await sleep(300);
      await inspect("writer");
      const { stdout } = await daemon.onggi([
        "events",
        "--since",
        since,
        "--until",
        String(Date.now() / 1000),
        "--format",
        "json",
      ]);
      const actions = stdout
        .trim()
        .split("\n")
        .map((line) => (JSON.parse(line) as { Action: string }).Action);
      assert.ok(actions.includes("storage-low") && actions.includes("storage-full"), actions.join());
      const stats = (await api().json<StatsBody>("GET", "/containers/writer/stats?stream=0&one-shot=1")).onggi;
      assert.equal(stats?.storage.LimitBytes, 32 << 20);
      assert.equal(stats?.storage.Reached, "disk limit reached");
      const storage = await api().json<StorageBody>("GET", "/onggi/v1/storage");
      const own = storage.Containers.find(({ Name }) => Name === "writer");
      assert.ok((own?.Bytes ?? 0) > 28 << 20);
      assert.ok(
        storage.Warnings.some((warning) => warning.includes("container writer")),
        storage.Warnings.join(),
      );
      assert.match((await daemon.onggi(["info"])).stderr, /container writer has used/);
      await daemon.onggi(["rm", "-f", "writer"]);
      await noLoops();
    });

    it("refuses what can't be held, before anything is made", async () => {
      const refused = async (option: string) => {
        const { code, stderr } = await daemon.onggi(["create", "--storage-opt", option, "host", "true"]);
        assert.notEqual(code, 0);
        return stderr;
      };
      assert.match(await refused("size=huge"), /invalid size: 'huge'/);
      assert.match(await refused("size=1M"), /too small/);
      assert.match(await refused("inodes=0"), /invalid number of inodes/);
      assert.match(await refused("dm.basesize=1G"), /Unknown option dm.basesize/);
      assert.equal((await daemon.onggi(["ps", "-aq"])).stdout, "");
      assert.deepEqual(existsSync(images()) ? readdirSync(images()) : [], []);
    });

    it("goes on over a restart and kill -9 of the daemon, and leaves nothing", async () => {
      const limit = ["--storage-opt", "size=32M"];
      const before = daemon.inventory();
      await daemon.onggi(["create", "--name", "idle", ...limit, "host", "sh", "-c", `cat /kept; ${fill}`]);
      await daemon.onggi([
        "run",
        "-d",
        "--name",
        "busy",
        ...limit,
        "host",
        "sh",
        "-c",
        "echo kept > /kept; while ! cat /go; do sleep 0.1; done; cat /kept; sleep 60",
      ]);
      await daemon.kill9();
      daemon = await startDaemon({ ...places, args });
      assert.equal(loopsBelow(places.root).length, 2);
      assert.equal((await inspect("busy")).State.Running, true);
      assert.match((await daemon.onggi(["exec", "busy", "cat", "/kept"])).stdout, /kept/);
      const { stdout } = await daemon.onggi(["start", "-a", "idle"]);
      assert.match(stdout, /No space left on device/);
      // The one that runs has a monitor in the namespace of the spawner before, which saw the other's mount.
      await daemon.onggi(["rm", "idle"]);
      await noLoops(1);
      await daemon.onggi(["rm", "-f", "busy"]);
      await noLoops();
      assert.deepEqual(leaks(before, daemon.inventory(), ["mounts", "cgroups"]), []);
    });

    it("keeps no mount on the host while no daemon runs, and mounts again what is needed", async () => {
      const limit = ["--storage-opt", "size=32M"];
      const write = "echo kept > /kept; while true; do echo more >> /more; sleep 0.05; done";
      await daemon.onggi(["run", "-d", "--name", "busy", ...limit, "host", "sh", "-c", write]);
      await daemon.onggi(["run", "--name", "idle", ...limit, "host", "sh", "-c", "echo kept > /kept"]);
      await daemon.stop();
      assert.doesNotMatch(readFileSync("/proc/self/mountinfo", "utf8"), new RegExp(scratch));
      await noLoops(1);
      daemon = await startDaemon({ ...places, args });
      assert.equal(loopsBelow(scratch).length, 2, "the container that runs and the engine share a loop device");
      assert.match((await daemon.onggi(["exec", "busy", "cat", "/kept"])).stdout, /kept/);
      assert.match((await daemon.onggi(["cp", "idle:/kept", "-"])).stdout, /kept/);
      await daemon.onggi(["rm", "-f", "busy", "idle"]);
      await noLoops();
    });

    it("makes many at once", async () => {
      const limit = ["--storage-opt", "size=16M"];
      const runs = Array.from({ length: 6 }, () => daemon.onggi(["run", "--rm", ...limit, "host", "df", "/"]));
      for (const { code, stderr } of await Promise.all(runs)) assert.equal(code, 0, stderr);
      await noLoops();
    });

    it("leaves nothing of a create that was cut off anywhere", async () => {
      for (const afterMs of driver === "overlay" ? [1, 4, 7, 10, 14, 20] : [5, 12]) {
        const creating = daemon.onggi(["create", "--storage-opt", "size=32M", "host", "true"]).catch(() => {});
        for (let i = 0; i < 2000 && !existsSync(images()); i++) await sleep(1);
        for (let i = 0; i < 2000 && readdirSync(images()).length === 0; i++) await sleep(1);
        await sleep(afterMs);
        await daemon.kill9();
        await creating;
        // What a child of the daemon was doing ends by itself.
        await sleep(100);
        daemon = await startDaemon({ ...places, args });
        const ids = (await daemon.onggi(["ps", "-aq"])).stdout.trim().split("\n").filter(Boolean);
        if (ids.length > 0) await daemon.onggi(["rm", ...ids]);
        await noLoops();
        assert.deepEqual(readdirSync(images()), []);
        assert.deepEqual(
          daemon.inventory().mounts.filter((path) => path.includes("/snapshots/")),
          [],
        );
      }
    });
  });
}
