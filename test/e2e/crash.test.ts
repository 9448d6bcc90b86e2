import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Inventory, leaks } from "../host-inventory.ts";
import type { ApiClient } from "./api-client.ts";
import { createAndStart, execIn, exitOf, followsLog, inspect, linesOf, until, untilGone } from "./container-calls.ts";
import { Crowd, randomFrom } from "./crash-crowd.ts";
import { engineProcesses, isAlive, kill9, monitorOf, spawnerOf } from "./engine-processes.ts";
import type { TestDaemon } from "./harness.ts";
import { Succession } from "./succession.ts";

const rounds = 25;
const seed = Number(process.env.ONGGI_TEST_SEED ?? Date.now() % 1_000_000);
/** Prints numbered lines without any process but itself. */
const counting = ["bash", "-c", "exec 3<> <(:); while :; do echo $((++i)); read -t 0.005 -u 3; done"];
const anyPort = { PortBindings: { "80/tcp": [{ HostIp: "", HostPort: "0" }] } };

describe(`a daemon that is killed at random points (ONGGI_TEST_SEED=${seed})`, () => {
  it("leaves containers, their output and their ends as its clients were told", { timeout: 90_000 }, async (test) => {
    const random = randomFrom(seed);
    await using engine = await Succession.begin();
    const { api } = engine;
    const before = engine.daemon.inventory();
    await createAndStart(api, "keeper", { Cmd: counting, HostConfig: anyPort });
    await createAndStart(api, "jsonkeeper", { Cmd: counting, HostConfig: { LogConfig: { Type: "json-file" } } });
    const keeperPid = (await inspect(api, "keeper")).State.Pid;
    const crowd = new Crowd(random);

    for (let round = 0; round < rounds; round++) {
      const clients = [1, 2, 3].map(() => crowd.act(api));
      await sleep(20 + random() * 300);
      await killSome(engine.daemon, api, crowd, random);
      await Promise.all(clients);
      await engine.next();

      await crowd.check(api);
      assert.equal((await inspect(api, "keeper")).State.Pid, keeperPid, "the keeper is the same process");
      await followsLog(api, "keeper");
      await followsLog(api, "jsonkeeper");
      assert.equal(await execIn(api, "keeper", ["echo", "adopted"]), "adopted\n");
      await until(
        "the ports of running containers are published, and no others",
        async () => publishedPorts(engine.daemon) === (await runningPorts(api)),
      );
      await crowd.stopOne(api);
      await crowd.removeAll(api);
    }

    for (const name of ["keeper", "jsonkeeper"]) {
      const exit = exitOf(api, name);
      await api.call("POST", `/containers/${name}/kill`);
      assert.equal(await exit, 137);
      const lines = await linesOf(api, name);
      test.diagnostic(`${name} printed ${lines.length} lines`);
      assert.equal(firstGap(lines), undefined, `the log of ${name} has a gap`);
      assert.ok(lines.length > rounds * 10);
      assert.equal((await api.call("DELETE", `/containers/${name}`)).status, 204);
    }
    await nothingLeft(engine.daemon, before);
    await trashIsEmptied(engine.daemon);
  });
});

describe("a daemon that is killed", () => {
  it("while it starts a container: that runs, or it says that it doesn't", { timeout: 60_000 }, async (test) => {
    await using engine = await Succession.begin();
    const { api } = engine;
    const before = engine.daemon.inventory();
    const outcomes: Record<string, number> = {};
    for (let delayMs = 0; delayMs < 24; delayMs++) {
      const name = `start${delayMs}`;
      await api.json("POST", `/containers/create?name=${name}`, { Image: "host", Cmd: counting, HostConfig: anyPort });
      const start = api.call("POST", `/containers/${name}/start`);
      await sleep(delayMs * 2);
      await engine.daemon.kill9();
      const { status } = await start;
      await engine.next();
      const { State } = await inspect(api, name);
      const outcome = State.Running ? "running" : State.Error === "" ? "created" : "unstarted";
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      if (status === 204) assert.equal(outcome, "running");
      if (outcome === "unstarted") assert.match(State.Error, /while it started this container/);
      if (outcome === "running") assert.equal(await execIn(api, name, ["echo", "adopted"]), "adopted\n");
      assert.equal((await api.call("DELETE", `/containers/${name}?force=1`)).status, 204);
    }
    test.diagnostic(JSON.stringify(outcomes));
    await nothingLeft(engine.daemon, before);
  });

  it("is followed by the next even where its spawner takes its time to end", { timeout: 60_000 }, async () => {
    await using engine = await Succession.begin();
    const spawner = spawnerOf(engine.daemon.pid) ?? assert.fail("there is no spawner");
    process.kill(spawner, "SIGSTOP");
    await engine.daemon.kill9();
    const goesOn = setTimeout(() => process.kill(spawner, "SIGCONT"), 700);
    await engine.next();
    clearTimeout(goesOn);
    assert.ok(!isAlive(spawner));
  });

  it("while a client reads and an exec runs: no line is lost, and the exec leaves nothing", {
    timeout: 60_000,
  }, async () => {
    await using engine = await Succession.begin();
    const { api } = engine;
    const before = engine.daemon.inventory();
    await api.json("POST", "/containers/create?name=torrent", { Image: "host", Cmd: ["seq", "1", "3000000"] });
    const attached = await api.stream("POST", "/containers/torrent/attach?stream=1&stdout=1");
    attached.on("error", () => {}).once("data", () => attached.pause());
    await api.call("POST", "/containers/torrent/start");
    await createAndStart(api, "keeper", { Cmd: counting });
    const { Id } = await api.json<{ Id: string }>("POST", "/containers/keeper/exec", { Cmd: ["sleep", "1"] });
    await api.call("POST", `/exec/${Id}/start`, { Detach: true });
    assert.ok((await inspect(api, "torrent")).State.Running, "the client holds it back");
    await engine.crash();

    assert.equal(await exitOf(api, "torrent"), 0);
    const lines = await linesOf(api, "torrent");
    assert.equal(firstGap(lines), undefined);
    assert.equal(lines.length, 3_000_000);
    for (const name of ["torrent", "keeper"])
      assert.equal((await api.call("DELETE", `/containers/${name}?force=1`)).status, 204);
    await nothingLeft(engine.daemon, before);
  });
});

describe("a monitor that is killed", () => {
  it("ends its container, which says so, and leaves nothing", { timeout: 60_000 }, async () => {
    await using engine = await Succession.begin();
    const { api } = engine;
    const before = engine.daemon.inventory();
    await createAndStart(api, "orphan", { Cmd: counting, HostConfig: anyPort });
    const { Pid } = (await inspect(api, "orphan")).State;
    const exit = exitOf(api, "orphan");
    await kill9(monitorOf(Pid));

    assert.equal(await exit, 137);
    const { State } = await inspect(api, "orphan");
    assert.equal(State.Status, "exited");
    assert.match(State.Error, /its monitor process was killed/);
    await until("its process ends", () => !isAlive(Pid));
    assert.equal(publishedPorts(engine.daemon), 0);
    assert.equal((await api.call("POST", "/containers/orphan/start")).status, 204, "it starts again");
    assert.equal((await api.call("DELETE", "/containers/orphan?force=1")).status, 204);
    await nothingLeft(engine.daemon, before);
  });

  it("takes a container with it that goes with its end", { timeout: 60_000 }, async () => {
    await using engine = await Succession.begin();
    const { api } = engine;
    const before = engine.daemon.inventory();
    await createAndStart(api, "orphan", { Cmd: counting, HostConfig: { AutoRemove: true } });
    await kill9(monitorOf((await inspect(api, "orphan")).State.Pid));
    await untilGone(api, "orphan");
    await nothingLeft(engine.daemon, before);
  });

  it("is noticed by an engine that comes later, where spawner and daemon were killed as well", {
    timeout: 60_000,
  }, async () => {
    await using engine = await Succession.begin();
    const { api } = engine;
    const before = engine.daemon.inventory();
    for (const name of ["orphan", "other"]) await createAndStart(api, name, { Cmd: counting, HostConfig: anyPort });
    const { Pid } = (await inspect(api, "orphan")).State;
    await Promise.all([engine.daemon.kill9(), kill9(spawnerOf(engine.daemon.pid)), kill9(monitorOf(Pid))]);
    await engine.next();

    const { State } = await inspect(api, "orphan");
    assert.equal(State.Status, "exited");
    assert.equal(State.ExitCode, 137);
    assert.match(State.Error, /its monitor process was killed/);
    assert.ok(!isAlive(Pid));
    assert.ok((await inspect(api, "other")).State.Running);
    for (const name of ["orphan", "other"])
      assert.equal((await api.call("DELETE", `/containers/${name}?force=1`)).status, 204);
    await nothingLeft(engine.daemon, before);
  });
});

describe("a spawner that is killed", () => {
  it("is started again, is told of, and harms no container", { timeout: 60_000 }, async () => {
    await using engine = await Succession.begin();
    const { api, daemon } = engine;
    const before = daemon.inventory();
    await createAndStart(api, "before", { Cmd: counting });
    const { Pid } = (await inspect(api, "before")).State;
    await kill9(spawnerOf(daemon.pid));

    assert.equal(await execIn(api, "before", ["echo", "unharmed"]), "unharmed\n");
    await createAndStart(api, "after", { Cmd: ["sh", "-c", "exit 4"] });
    assert.equal(await exitOf(api, "after"), 4);
    assert.equal((await inspect(api, "before")).State.Pid, Pid);
    assert.match(daemon.log(), /spawner ended: signal SIGKILL/);
    for (const name of ["before", "after"])
      assert.equal((await api.call("DELETE", `/containers/${name}?force=1`)).status, 204);
    await nothingLeft(daemon, before);
  });

  it("is started again as often as it is killed", { timeout: 60_000 }, async () => {
    await using engine = await Succession.begin();
    const { api, daemon } = engine;
    for (let i = 0; i < 5; i++) {
      await kill9(spawnerOf(daemon.pid));
      await createAndStart(api, `run${i}`, { Cmd: ["true"] });
      assert.equal(await exitOf(api, `run${i}`), 0);
    }
  });

  it("doesn't matter to a monitor that dies with it", { timeout: 60_000 }, async () => {
    await using engine = await Succession.begin();
    const { api, daemon } = engine;
    await createAndStart(api, "orphan", { Cmd: counting });
    const monitor = monitorOf((await inspect(api, "orphan")).State.Pid);
    const exit = exitOf(api, "orphan");
    await Promise.all([kill9(spawnerOf(daemon.pid)), kill9(monitor)]);
    assert.equal(await exit, 137);
    assert.equal((await api.call("DELETE", "/containers/orphan")).status, 204);
  });
});

describe("a daemon that is told to end", () => {
  it("ends within seconds whatever its clients do, and its containers go on", { timeout: 60_000 }, async () => {
    await using engine = await Succession.begin();
    const { api } = engine;
    await createAndStart(api, "keeper", { Cmd: counting, OpenStdin: true });
    const { Pid } = (await inspect(api, "keeper")).State;
    const clients = [
      engine.daemon.onggi(["logs", "-f", "keeper"]),
      engine.daemon.onggi(["attach", "--no-stdin", "keeper"]),
      engine.daemon.onggi(["exec", "keeper", "sleep", "100"]),
      engine.daemon.onggi(["wait", "keeper"]),
      engine.daemon.onggi(["events"]),
      engine.daemon.onggi(["stats"]),
    ];
    // One that never reads what it asked for.
    const stalled = await api.stream("GET", "/containers/keeper/logs?stdout=1&follow=1");
    stalled.pause();
    await sleep(800);

    const startedAt = performance.now();
    process.kill(engine.daemon.pid, "SIGTERM");
    await until("the daemon ends", () => !isAlive(engine.daemon.pid), 5000);
    assert.ok(performance.now() - startedAt < 5000);
    const results = await Promise.all(clients);
    assert.deepEqual(
      results.map(({ signal }) => signal),
      results.map(() => null),
      "clients end, too",
    );
    stalled.destroy();

    await engine.next();
    assert.equal((await inspect(api, "keeper")).State.Pid, Pid);
    assert.equal((await api.call("DELETE", "/containers/keeper?force=1")).status, 204);
  });
});

describe("fifty containers", () => {
  it("leave no file, descriptor, process, link or rule when they are gone", { timeout: 60_000 }, async () => {
    await using engine = await Succession.begin();
    const { api, daemon } = engine;
    const runAll = async (count: number) => {
      for (let i = 0; i < count; i++) {
        await createAndStart(api, `one${i}`, { Cmd: ["echo", "hello"], HostConfig: anyPort });
        assert.equal(await exitOf(api, `one${i}`), 0);
        assert.equal(await api.output(`/containers/one${i}/logs?stdout=1`), "hello\n");
        if (i % 10 === 0) assert.equal((await daemon.onggi(["run", "--rm", "host", "echo", "run"])).stdout, "run\n");
        assert.equal((await api.call("DELETE", `/containers/one${i}`)).status, 204);
      }
    };
    await runAll(5);
    await sleep(200);
    const before = daemon.inventory();
    await runAll(50);
    await trashIsEmptied(daemon);
    await nothingLeft(daemon, before, ["fds"]);
  });
});

function firstGap(lines: readonly string[]): string | undefined {
  const index = lines.findIndex((line, at) => line !== String(at + 1));
  return index < 0 ? undefined : `line ${index + 1} is ${lines[index]}`;
}

/** The daemon always; often its spawner or a monitor with it. */
async function killSome(daemon: TestDaemon, api: ApiClient, crowd: Crowd, random: () => number): Promise<void> {
  const spawner = random() < 0.3 ? spawnerOf(daemon.pid) : undefined;
  const orphan = random() < 0.3 ? crowd.steady : undefined;
  const monitor = orphan === undefined ? undefined : monitorOf((await inspect(api, orphan)).State.Pid);
  if (orphan !== undefined) crowd.orphan(orphan);
  await Promise.all([daemon.kill9(), kill9(spawner), kill9(monitor)]);
}

function publishedPorts(daemon: TestDaemon): number {
  return daemon.inventory().nft.filter((name) => /^map \S+ published \S/.test(name)).length;
}

async function runningPorts(api: ApiClient): Promise<number> {
  const all = await api.json<readonly { Ports: readonly { PublicPort?: number; IP?: string }[] }[]>(
    "GET",
    "/containers/json",
  );
  return all.flatMap(({ Ports }) =>
    Ports.filter(({ PublicPort, IP }) => PublicPort !== undefined && !IP?.includes(":")),
  ).length;
}

async function trashIsEmptied(daemon: TestDaemon): Promise<void> {
  await until("the trash is emptied", () => !daemon.inventory().files.some((name) => name.includes("/trash/")), 10_000);
}

/** Links go a moment after their containers; the trash is emptied later. */
async function nothingLeft(
  daemon: TestDaemon,
  before: Inventory,
  also: readonly (keyof Inventory)[] = [],
): Promise<void> {
  const kinds = ["mounts", "cgroups", "links", "netns", "nft", "files", ...also] as const;
  let left: readonly string[] = [];
  for (const deadline = Date.now() + 5000; Date.now() < deadline; await sleep(50)) {
    left = leaks(before, daemon.inventory(), kinds).filter((name) => !name.includes("/trash/"));
    if (left.length === 0 && engineProcesses(daemon.runRoot).length <= 2) return;
  }
  assert.deepEqual(left, []);
  assert.deepEqual(engineProcesses(daemon.runRoot), [], "more than the spawner and its spare");
}
