/** Snapshots, forks and rollbacks of containers that run, and what a killed daemon leaves of them. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { ForkResponse, RollbackResponse, SnapshotBody, TreeNodeBody } from "../../src/api/wire.ts";
import { Engine, isOnggiError, type RunningContainer } from "../../src/index.ts";
import { ApiClient } from "./api-client.ts";
import { createAndStart, execIn, inspect, until } from "./container-calls.ts";
import { runCommand, startDaemon, type TestDaemon } from "./harness.ts";

const timeout = 60_000;
const machineId = "0123456789abcdef0123456789abcdef";
/** Writes to two files in turn; a fork of it, which finds them, only sleeps. */
const writing = ["sh", "-c", "[ -e /a ] && exec sleep 1000; while :; do echo x >> /a; echo x >> /b; done"];
const sleeping = ["sh", "-c", "exec sleep 1000"];

interface Connected {
  readonly Id: string;
  readonly Config: { readonly Hostname: string };
  readonly NetworkSettings: { readonly IPAddress: string };
}

for (const driver of ["overlay", "vfs"]) {
  describe(`snapshots on ${driver}`, () => {
    const few = driver === "overlay" ? 10 : 2;
    let places: { readonly root: string; readonly runRoot: string; readonly bridge: string };
    let scratch: string;
    let daemon: TestDaemon;
    let api: ApiClient;
    let treesAtFirst: readonly string[];

    const trees = () => readdirSync(join(places.root, "snapshots", driver, "state")).sort();
    const connected = (name: string) => api.json<Connected>("GET", `/containers/${name}/json`);
    const onggi = async (...args: string[]) => {
      const { code, stdout, stderr } = await daemon.onggi(args);
      assert.equal(code, 0, `onggi ${args.join(" ")}: ${stderr}`);
      return stdout.trimEnd();
    };
    const refused = async (...args: string[]) => {
      const { code, stderr } = await daemon.onggi(args);
      assert.notEqual(code, 0);
      return stderr;
    };
    const remove = async (name: string) =>
      assert.equal((await api.call("DELETE", `/containers/${name}?force=1&v=1`)).status, 204, name);
    const shell = (name: string, script: string) => execIn(api, name, ["sh", "-c", script]);
    const start = async () => {
      daemon = await startDaemon({ ...places, args: ["--storage-driver", driver] });
    };

    before(async () => {
      scratch = mkdtempSync(join(tmpdir(), "onggi-snapshots-"));
      const id = scratch.slice(-6).toLowerCase();
      places = { root: join(scratch, "data"), runRoot: join(scratch, "run"), bridge: `ogs${id}` };
      await start();
      api = new ApiClient(daemon.socket);
      await onggi("image", "from-host");
      treesAtFirst = trees();
    });

    after(async () => {
      const all = await api?.json<readonly { Id: string }[]>("GET", "/containers/json?all=1");
      for (const { Id } of all ?? []) await api.call("DELETE", `/containers/${Id}?force=1`);
      await daemon?.stop();
      rmSync(scratch, { recursive: true, force: true });
      rmSync(`${places.root}.log`, { force: true });
    });

    it("are taken of a container that writes, listed, shown and removed", { timeout }, async () => {
      await createAndStart(api, "writer", { Cmd: writing });
      await until("it writes", async () => (await shell("writer", "cat /b")).length > 2);
      assert.equal(await onggi("snapshot", "create", "writer", "first"), "writer@first");
      assert.match(await onggi("snapshot", "create", "writer"), /^writer@\d{8}-\d{6}$/);
      assert.equal((await inspect(api, "writer")).State.Status, "running");

      const list = await onggi("snapshot", "ls", "writer", "--format", "{{.Name}} {{.Container}}");
      assert.match(list, /^\d{8}-\d{6} writer\nfirst writer$/);
      assert.match(await onggi("snapshot", "ls"), /^SNAPSHOT ID +NAME +CONTAINER +CREATED +SIZE\n/);
      const id = await onggi("snapshot", "ls", "-q", "--filter", "name=first");
      const [shown] = JSON.parse(await onggi("snapshot", "inspect", id)) as [SnapshotBody];
      assert.deepEqual([shown.reference, shown.container.name, shown.usedBy], ["writer@first", "writer", []]);
      assert.ok(shown.sizeBytes > 0);

      assert.match(await refused("snapshot", "create", "writer", "first"), /has a snapshot "first" already/);
      assert.match(await refused("snapshot", "create", "writer", "a/b"), /Invalid snapshot name/);
      assert.match(await refused("snapshot", "rm", "writer@third"), /No such snapshot: writer@third/);
      await onggi("snapshot", "rm", ...(await onggi("snapshot", "ls", "-q")).split("\n"));
      await remove("writer");
      await until("nothing is left", () => same(trees(), treesAtFirst));
    });

    it("hold a moment in which nothing was written, whatever goes on", { timeout }, async () => {
      await createAndStart(api, "busy", { Cmd: writing });
      await until("it writes", async () => (await shell("busy", "cat /b")).length > 2);
      await api.json("POST", "/onggi/v1/containers/busy/snapshots", { name: "now" });
      const forks = await api.json<ForkResponse>("POST", "/onggi/v1/containers/busy/fork", { from: "now", count: 2 });
      const counts = await Promise.all(
        forks.forks.map(async ({ id }) => (await shell(id, "wc -l < /a; wc -l < /b")).trim().split(/\s+/).map(Number)),
      );
      const [[a = 0, b = 0] = []] = counts;
      assert.ok(a - b === 0 || a - b === 1, `${a} lines and ${b}`);
      assert.deepEqual(counts[1], counts[0]);
      for (const { id } of forks.forks) await remove(id);
      await remove("busy");
      await onggi("snapshot", "rm", "busy@now");
      await until("nothing is left", () => same(trees(), treesAtFirst));
    });

    it("make forks that are like the container and yet their own", { timeout }, async () => {
      await createAndStart(api, "jar", {
        Cmd: sleeping,
        Hostname: "clay",
        Env: ["GLAZE=brown"],
        Labels: { kiln: "3" },
        ExposedPorts: { "80/tcp": {} },
        HostConfig: { PortBindings: { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "18763" }] } },
      });
      await shell("jar", `echo kimchi > /content; echo ${machineId} > /etc/machine-id`);
      await shell("jar", "mkdir -p /var/lib/dbus; rm -f /var/lib/dbus/machine-id; ln -s /etc/machine-id /var/lib/dbus");
      const { stdout, stderr, code } = await daemon.onggi([
        "fork",
        "jar",
        "--count",
        String(few),
        "--name",
        "cup",
        "-e",
        "SIZE=s",
      ]);
      assert.equal(code, 0, stderr);
      const ids = stdout.trim().split("\n");
      assert.equal(ids.length, few);
      assert.match(stderr, /^cup: port 80\/tcp is published on host port \d+, not on 18763$/m);

      const source = await connected("jar");
      const forks = await Promise.all(ids.map(connected));
      const machineIds = await Promise.all(
        ids.map((one) => shell(one, "cat /etc/machine-id /var/lib/dbus/machine-id")),
      );
      assert.equal(await shell("jar", "cat /etc/machine-id"), `${machineId}\n`);
      assert.equal(new Set([...forks, source].map(({ NetworkSettings }) => NetworkSettings.IPAddress)).size, few + 1);
      assert.equal(new Set([...forks, source].map(({ Config }) => Config.Hostname)).size, few + 1);
      assert.equal(new Set([machineId, ...machineIds.map((text) => text.slice(0, 32))]).size, few + 1);
      for (const text of machineIds) assert.match(text, /^([0-9a-f]{32}\n)\1$/);
      assert.equal(await shell("cup", "cat /content; echo $GLAZE $SIZE"), "kimchi\nbrown s\n");
      await shell("cup", "echo soy > /content");
      assert.equal(await shell("jar", "cat /content"), "kimchi\n");
      assert.equal(await shell("jar-fork-1", "cat /content"), "kimchi\n");

      // A fork of a fork, and one of a container that has stopped.
      await onggi("stop", "-t", "0", "cup");
      await onggi("fork", "cup", "--name", "saucer", "--no-start");
      assert.equal((await inspect(api, "saucer")).State.Status, "created");
      await onggi("start", "saucer");
      assert.equal(await shell("saucer", "cat /content"), "soy\n");

      const drawn = await onggi("snapshot", "tree");
      assert.match(drawn, /^host:latest +image/m);
      assert.match(drawn, /^ *[│├└].*─ saucer +container [0-9a-f]{12} +running/m);
      assert.equal(drawn.match(/container/g)?.length, few + 2);
      const tree = JSON.parse(await onggi("snapshot", "tree", "--format", "json")) as readonly TreeNodeBody[];
      assert.equal(tree[0]?.kind, "image");
      await dockerSees(few + 2);

      for (const id of [...ids, "jar"]) await remove(id);
      assert.equal(await shell("saucer", "cat /content"), "soy\n");
      await remove("saucer");
      await until("nothing is left", () => same(trees(), treesAtFirst));
    });

    it("make no fork where one can't be made", { timeout }, async () => {
      await createAndStart(api, "solo", { Cmd: sleeping });
      assert.match(await refused("fork", "solo", "-n", "2", "--name", "twin", "--name", "solo"), /already in use/);
      assert.match(await refused("fork", "solo", "-n", "0"), /0 forks can't be made/);
      assert.match(await refused("fork", "solo", "--from", "solo@never"), /No such snapshot/);
      assert.match(await refused("fork", "nobody"), /No such container: nobody/);
      assert.equal(await onggi("ps", "-a", "--format", "{{.Names}}"), "solo");
      await remove("solo");
      await until("nothing is left", () => same(trees(), treesAtFirst));
    });

    it("write no machine-id outside of a fork, wherever a link leads", { timeout }, async () => {
      const outside = join(scratch, "machine-id");
      writeFileSync(outside, `${machineId}\n`);
      await createAndStart(api, "sly", { Cmd: sleeping });
      await shell("sly", `rm -f /etc/machine-id; ln -s /../../../..${outside} /etc/machine-id`);
      await onggi("fork", "sly");
      assert.equal(readFileSync(outside, "utf8"), `${machineId}\n`);
      for (const name of ["sly", "sly-fork-1"]) await remove(name);
    });

    it("outlive their container, and keep its image", { timeout }, async () => {
      await createAndStart(api, "gone", { Cmd: sleeping });
      await shell("gone", "echo kept > /content");
      await onggi("snapshot", "create", "gone", "last");
      await remove("gone");
      assert.match(await onggi("snapshot", "ls"), /last +gone/);
      assert.match(await refused("rmi", "host"), /snapshot gone@last is using its referenced image/);
      await onggi("image", "prune", "-a", "-f");
      assert.match(await onggi("images"), /^host +latest/m);
      await onggi("fork", "--from", "gone@last", "--name", "again");
      assert.equal(await shell("again", "cat /content"), "kept\n");
      assert.match(await refused("snapshot", "rm", "gone@last"), /is in use: container again stands on it/);
      await onggi("snapshot", "rm", "-f", "gone@last");
      assert.equal(await shell("again", "cat /content"), "kept\n");
      await remove("again");
      await until("nothing is left", () => same(trees(), treesAtFirst));
    });

    it("go by the rule they were made with, and no others", { timeout }, async () => {
      await createAndStart(api, "hourly", { Cmd: sleeping });
      await onggi("snapshot", "create", "hourly", "precious");
      for (const name of ["one", "two", "three"]) await onggi("snapshot", "create", "--keep", "2", "hourly", name);
      const names = () => onggi("snapshot", "ls", "hourly", "--format", "{{.Name}}");
      assert.equal(await names(), "three\ntwo\nprecious");
      await sleep(1100);
      await onggi("snapshot", "create", "--keep-for", "1s", "hourly", "four");
      assert.equal(await names(), "four\nprecious");
      for (const name of ["four", "precious"]) await onggi("snapshot", "rm", `hourly@${name}`);
      await remove("hourly");
    });

    it("take a container back in place", { timeout }, async () => {
      await createAndStart(api, "diary", { Cmd: sleeping, HostConfig: { RestartPolicy: { Name: "always" } } });
      await shell("diary", "echo monday > /page");
      await onggi("snapshot", "create", "diary", "monday");
      await shell("diary", "echo tuesday > /page; touch /ink");
      const was = await connected("diary");
      assert.match(
        (await daemon.onggi(["rollback", "-t", "0", "diary", "monday"])).stderr,
        /kept as diary@before-rollback-/,
      );
      assert.equal(await shell("diary", "cat /page; ls /ink 2>/dev/null"), "monday\n");
      const is = await connected("diary");
      assert.deepEqual([is.Id, is.NetworkSettings.IPAddress], [was.Id, was.NetworkSettings.IPAddress]);

      // To the same again, without keeping anything; and back to what it was before the first time.
      await shell("diary", "echo wednesday > /page");
      const path = "/onggi/v1/containers/diary/rollback";
      const again = { snapshot: "diary@monday", discard: true, timeoutSeconds: 0 };
      assert.equal((await api.json<RollbackResponse>("POST", path, again)).before, null);
      assert.equal(await shell("diary", "cat /page"), "monday\n");
      const [before = ""] = (await onggi("snapshot", "ls", "diary", "--format", "{{.Name}}")).split("\n");
      assert.match(before, /^before-rollback-/);
      await onggi("stop", "-t", "0", "diary");
      await onggi("rollback", "diary", before);
      assert.equal((await inspect(api, "diary")).State.Status, "exited", "it didn't run");
      await onggi("start", "diary");
      assert.equal(await shell("diary", "cat /page"), "tuesday\n");

      assert.match(await refused("rollback", "diary", "sunday"), /No such snapshot: sunday/);
      await remove("diary");
      await onggi("snapshot", "rm", ...(await onggi("snapshot", "ls", "-q", "--no-trunc")).split("\n"));
      await until("nothing is left", () => same(trees(), treesAtFirst));
    });

    it("keep a paused container paused, and have --rm ones stay", { timeout }, async () => {
      await createAndStart(api, "brief", { Cmd: sleeping, HostConfig: { AutoRemove: true } });
      await onggi("pause", "brief");
      await onggi("snapshot", "create", "brief", "start");
      assert.equal((await inspect(api, "brief")).State.Status, "paused");
      await onggi("unpause", "brief");
      await onggi("rollback", "-t", "0", "--discard", "brief", "start");
      assert.equal((await inspect(api, "brief")).State.Status, "running");
      await remove("brief");
      await onggi("snapshot", "rm", "brief@start");
      await until("nothing is left", () => same(trees(), treesAtFirst));
    });

    it("are whole or not there when the daemon is killed", { timeout: 2 * timeout }, async () => {
      await createAndStart(api, "victim", { Cmd: sleeping });
      await shell("victim", "echo old > /page");
      await onggi("snapshot", "create", "victim", "old");
      await shell("victim", "echo new > /page");
      const calls = [
        { path: "/onggi/v1/containers/victim/snapshots", body: {} },
        { path: "/onggi/v1/containers/victim/fork", body: { count: 2 } },
        { path: "/onggi/v1/containers/victim/rollback", body: { snapshot: "old", timeoutSeconds: 0 } },
      ];
      const delays = driver === "overlay" ? [0, 4, 9, 15, 22, 30] : [5, 40];
      for (const delayMs of delays) {
        for (const { path, body } of calls) {
          const asked = api.call("POST", path, body);
          await sleep(delayMs);
          await daemon.kill9();
          await asked;
          await start();
          await until("it runs", async () => (await inspect(api, "victim")).State.Status === "running");
          assert.match(await shell("victim", "cat /page"), /^(old|new)\n$/);
          await shell("victim", "echo new > /page");
          const found = await api.json<readonly SnapshotBody[]>("GET", "/onggi/v1/snapshots");
          assert.ok(found.some(({ reference }) => reference === "victim@old"));
          const forks = await api.json<readonly { Id: string }[]>("GET", "/containers/json?all=1");
          for (const { Id } of forks) if (Id !== (await inspect(api, "victim")).Id) await remove(Id);
        }
      }
      await remove("victim");
      await onggi("snapshot", "rm", ...(await onggi("snapshot", "ls", "-q", "--no-trunc")).split("\n"));
      await until("nothing is left", () => same(trees(), treesAtFirst));
    });

    async function dockerSees(count: number): Promise<void> {
      const found = await runCommand("docker", ["-H", daemon.host, "ps", "-aq"]).catch(() => undefined);
      if (found !== undefined && found.code === 0) assert.equal(found.stdout.trim().split("\n").length, count);
    }
  });
}

describe("snapshots in a program", () => {
  let scratch: string;
  let engine: Engine;

  before(async () => {
    scratch = mkdtempSync(join(tmpdir(), "onggi-snapshots-"));
    engine = await Engine.open({ root: join(scratch, "data"), runRoot: join(scratch, "run"), bridge: "ogsprogram" });
    await engine.ensureHostImage();
  });

  after(async () => {
    await engine?.close();
    rmSync(scratch, { recursive: true, force: true });
  });

  it("fork a sandbox, take it back, and hand out what the new run prints", { timeout }, async () => {
    const command = ["sh", "-c", "cat /state 2>/dev/null || echo empty; exec sleep 1000"];
    await using box = await engine.run({ image: "host", command });
    const firstOf = async (of: RunningContainer) => {
      for await (const { data } of of.output) return Buffer.from(data).toString();
      return "";
    };
    assert.equal(await firstOf(box), "empty\n");
    await box.exec(["sh", "-c", "echo prepared > /state"]);
    const snapshot = await box.snapshot({ name: "prepared" });
    assert.equal(snapshot.reference, `${box.inspect().name}@prepared`);

    for (const copy of await box.fork({ count: 2 })) {
      await using one = copy;
      assert.equal(await firstOf(one), "prepared\n");
      assert.notEqual(one.inspect().address?.address, box.inspect().address?.address);
      await one.exec(["sh", "-c", "echo tried > /state"]);
      await one.rollback("prepared", { timeoutSeconds: 0, discard: true }).catch((error: unknown) => {
        assert.ok(isOnggiError(error, "not_found"), "a bare name is one of the container's own");
      });
      await one.rollback(snapshot.id, { timeoutSeconds: 0, discard: true });
      assert.equal(await firstOf(one), "prepared\n");
    }

    await box.exec(["sh", "-c", "echo spoilt > /state"]);
    const was = box.inspect();
    await box.rollback("prepared", { timeoutSeconds: 0 });
    assert.equal(await firstOf(box), "prepared\n");
    assert.deepEqual([box.inspect().id, box.inspect().address?.address], [was.id, was.address?.address]);
    const ended = box.wait();
    await box.kill();
    assert.equal((await ended).exitCode, 137);
  });

  it("tell what happened", { timeout }, async () => {
    const actions: string[] = [];
    const over = new AbortController();
    const heard = (async () => {
      for await (const { action } of engine.events.subscribe({ signal: over.signal })) actions.push(action);
    })();
    await using box = await engine.run({ image: "host", command: sleeping });
    const { id } = await box.snapshot();
    for (const copy of await box.fork()) await copy[Symbol.asyncDispose]();
    await box.rollback(id, { timeoutSeconds: 0 });
    over.abort();
    await heard;
    for (const action of ["snapshot", "fork", "rollback"]) assert.ok(actions.includes(action), action);
  });
});

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.join() === b.join();
}
