/** Containers that end and start again, that reach a limit, that print more than anybody wants, that are stopped or frozen. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { ApiClient } from "./api-client.ts";
import { createAndStart, execIn, exitOf, inspect, linesOf, until } from "./container-calls.ts";
import { isAlive } from "./engine-processes.ts";
import { Succession } from "./succession.ts";

const timeout = 60_000;
const MiB = 1024 * 1024;
/** Prints numbered lines, without any process but itself. */
const counting = ["bash", "-c", "exec 3<> <(:); while :; do echo $((++i)); read -t 0.005 -u 3; done"];

let engine: Succession;
let api: ApiClient;

before(async () => {
  engine = await Succession.begin();
  api = engine.api;
});

after(async () => {
  const all = await api.json<readonly { Id: string }[]>("GET", "/containers/json?all=1");
  for (const { Id } of all) await api.call("DELETE", `/containers/${Id}?force=1`);
  await engine[Symbol.asyncDispose]();
});

function restart(name: string, maximumRetryCount = 0): object {
  return { RestartPolicy: { Name: name, MaximumRetryCount: maximumRetryCount } };
}

const shell = (script: string) => ["sh", "-c", script];

describe("restart policies", () => {
  it("no: it stays as it ended", { timeout }, async () => {
    await createAndStart(api, "once", { Cmd: shell("exit 5") });
    assert.equal(await exitOf(api, "once"), 5);
    await sleep(500);
    const { State, RestartCount } = await inspect(api, "once");
    assert.deepEqual([State.Status, State.ExitCode, RestartCount], ["exited", 5, 0]);
  });

  it("on-failure: as often as it says, with the status of the last run", { timeout }, async () => {
    await createAndStart(api, "thrice", { Cmd: shell("echo run; exit 6"), HostConfig: restart("on-failure", 3) });
    await until("it gives up", async () => (await inspect(api, "thrice")).State.Status === "exited");
    const { State, RestartCount } = await inspect(api, "thrice");
    assert.deepEqual([State.ExitCode, RestartCount], [6, 3]);
    assert.deepEqual(await linesOf(api, "thrice"), ["run", "run", "run", "run"]);
    await createAndStart(api, "fine", { Cmd: shell("exit 0"), HostConfig: restart("on-failure") });
    await exitOf(api, "fine");
    await sleep(300);
    assert.deepEqual((await inspect(api, "fine")).RestartCount, 0);
  });

  it("always: until it is stopped, also while it waits to start again", { timeout }, async () => {
    await createAndStart(api, "again", { Cmd: shell("echo run; exit 0"), HostConfig: restart("always") });
    await until("it ran five times", async () => (await linesOf(api, "again")).length >= 5);
    await until("it waits", async () => (await inspect(api, "again")).State.Status === "restarting");
    assert.equal((await api.call("POST", "/containers/again/stop")).status, 204);
    const runs = (await linesOf(api, "again")).length;
    assert.equal((await inspect(api, "again")).State.Status, "exited");
    await sleep(3500);
    assert.equal((await linesOf(api, "again")).length, runs, "it isn't started any more");
    assert.equal((await api.call("POST", "/containers/again/start")).status, 204);
    await until("it starts again by itself", async () => (await inspect(api, "again")).RestartCount >= 2);
    assert.equal((await api.call("DELETE", "/containers/again?force=1")).status, 204, "removed while it restarts");
  });

  it("hold for what ends while no daemon is there", { timeout }, async () => {
    const untilMarked = (status: number) => shell(`echo up; while ! [ -e /mark ]; do sleep 0.05; done; exit ${status}`);
    const cases = [
      { name: "left-no", policy: "no", status: 3, runs: 1 },
      { name: "left-always", policy: "always", status: 0, runs: 2 },
      { name: "left-unless", policy: "unless-stopped", status: 0, runs: 2 },
      { name: "left-failed", policy: "on-failure", status: 3, runs: 2 },
      { name: "left-fine", policy: "on-failure", status: 0, runs: 1 },
    ];
    const pids = new Map<string, number>();
    for (const { name, policy, status } of cases) {
      await createAndStart(api, name, { Cmd: untilMarked(status), HostConfig: restart(policy) });
      pids.set(name, (await inspect(api, name)).State.Pid);
    }
    await createAndStart(api, "stopped-always", { Cmd: counting, HostConfig: restart("always") });
    await createAndStart(api, "stopped-unless", { Cmd: counting, HostConfig: restart("unless-stopped") });
    await createAndStart(api, "goes-on", { Cmd: counting, HostConfig: restart("unless-stopped") });
    const { Pid } = (await inspect(api, "goes-on")).State;
    for (const name of ["stopped-always", "stopped-unless"]) await api.call("POST", `/containers/${name}/stop?t=0`);

    const marks = [...pids.values()].map((pid) => `/proc/${pid}/root/mark`);
    await engine.daemon.kill9();
    for (const mark of marks) writeFileSync(mark, "");
    for (const pid of pids.values()) await until("it ends", () => !isAlive(pid));
    await engine.next();

    for (const { name, runs } of cases) {
      await until(`${name} ran ${runs} times`, async () => (await linesOf(api, name)).length >= runs);
      if (runs > 1) await api.call("DELETE", `/containers/${name}?force=1`);
    }
    for (const { name, status } of cases.filter(({ runs }) => runs === 1)) {
      const { State } = await inspect(api, name);
      assert.deepEqual([State.Status, State.ExitCode, await linesOf(api, name)], ["exited", status, ["up"]], name);
    }
    // As Docker has it: only unless-stopped remembers a stop.
    await until("always starts", async () => (await inspect(api, "stopped-always")).State.Running);
    assert.equal((await inspect(api, "stopped-unless")).State.Status, "exited");
    assert.equal((await inspect(api, "goes-on")).State.Pid, Pid);
    for (const name of ["stopped-always", "stopped-unless", "goes-on"])
      assert.equal((await api.call("DELETE", `/containers/${name}?force=1`)).status, 204);
  });
});

describe("the memory limit", () => {
  it("kills, and inspect, ps and the events say so in a sentence", { timeout }, async () => {
    const HostConfig = { Memory: 32 * MiB, MemorySwap: 32 * MiB };
    const sinceSeconds = (Date.now() / 1000).toFixed(3);
    await createAndStart(api, "eater", { Cmd: ["tail", "/dev/zero"], HostConfig });
    assert.equal(await exitOf(api, "eater"), 137);
    const { State } = await inspect(api, "eater");
    assert.equal(State.OOMKilled, true);
    const sentence = /the memory limit of 32 MiB killed tail \(pid \d+\) at [23]\d(\.\d+)? MiB/;
    assert.match(State.Error, sentence);
    const { stdout } = await engine.daemon.onggi(["ps", "-a", "--no-trunc", "--filter", "name=eater"]);
    assert.match(stdout, sentence);
    const events = await engine.daemon.onggi(["events", "--since", sinceSeconds, "--until", "0s"]);
    assert.match(events.stdout, sentence);
  });
});

describe("the CPU limit", () => {
  const skip = existsSync("/usr/bin/stress") ? false : "there is no stress on this host";

  it("holds stress -c 1 at a fifth of a core", { timeout, skip }, async () => {
    await createAndStart(api, "busy", { Cmd: ["stress", "-c", "1"], HostConfig: { NanoCpus: 200_000_000 } });
    const cpu = async () => {
      const stats = await api.json<{ cpu_stats: { cpu_usage: { total_usage: number } } }>(
        "GET",
        "/containers/busy/stats?stream=0&one-shot=1",
      );
      return { atMs: performance.now(), usedMs: stats.cpu_stats.cpu_usage.total_usage / 1e6 };
    };
    await sleep(300);
    const from = await cpu();
    await sleep(4000);
    const to = await cpu();
    const share = (to.usedMs - from.usedMs) / (to.atMs - from.atMs);
    await api.call("DELETE", "/containers/busy?force=1");
    assert.ok(share < 0.23, `it used ${share} of a core`);
    // A host that is busy itself may give less, but not nothing.
    assert.ok(share > 0.05, `it used ${share} of a core`);
  });
});

describe("output", () => {
  it("is bounded on disk, and its end is kept", { timeout }, async () => {
    for (const [name, LogConfig, mostBytes] of [
      ["torrent", { Type: "json-file", Config: { "max-size": "2m", "max-file": "3" } }, 6.5 * MiB],
      ["flood", { Type: "local", Config: { "max-size": "4m", "max-file": "2" } }, 9 * MiB],
    ] as const) {
      await createAndStart(api, name, { Cmd: ["seq", "1", "7500000"], HostConfig: { LogConfig } });
      assert.equal(await exitOf(api, name), 0);
      const { Id } = await inspect(api, name);
      assert.ok(logBytes(Id) < mostBytes, `${name}: ${logBytes(Id)} bytes`);
      assert.ok(logBytes(Id) > mostBytes / 4, `${name}: ${logBytes(Id)} bytes`);
      const tail = await api.output(`/containers/${name}/logs?stdout=1&tail=2`);
      assert.equal(tail, "7499999\n7500000\n");
      const lines = await linesOf(api, name);
      const first = Number(lines[1]);
      assert.equal(lines.at(-1), "7500000");
      assert.equal(lines.length - 1, 7_500_000 - first + 1, "no line is missing after the first");
      await api.call("DELETE", `/containers/${name}`);
    }
  });

  it("of 60 MB by default stays below the default bounds", { timeout }, async () => {
    await createAndStart(api, "default", { Cmd: ["seq", "1", "7500000"] });
    assert.equal(await exitOf(api, "default"), 0);
    const { Id } = await inspect(api, "default");
    assert.ok(logBytes(Id) <= 101 * MiB);
    assert.equal(await api.output("/containers/default/logs?stdout=1&tail=1"), "7500000\n");
  });

  it("holds no container for good by a client that stalls and dies, and lets it be stopped meanwhile", {
    timeout,
  }, async () => {
    for (const end of ["client", "stop"] as const) {
      const name = `held-${end}`;
      await api.json("POST", `/containers/create?name=${name}`, { Image: "host", Cmd: ["seq", "1", "2000000"] });
      const attached = await api.stream("POST", `/containers/${name}/attach?stream=1&stdout=1`);
      attached.pause();
      await api.call("POST", `/containers/${name}/start`);
      await sleep(700);
      assert.ok((await inspect(api, name)).State.Running, "it is held back by who asked for its output");
      if (end === "client") {
        attached.destroy();
        assert.equal(await exitOf(api, name), 0);
        assert.equal((await linesOf(api, name)).at(-1), "2000000");
      } else {
        assert.equal((await api.call("POST", `/containers/${name}/stop?t=1`)).status, 204);
        assert.ok([137, 143].includes(await exitOf(api, name)));
      }
      assert.equal((await api.call("DELETE", `/containers/${name}?force=1`)).status, 204);
      attached.destroy();
    }
  });
});

describe("a paused container", () => {
  it("stands still, refuses execs, and goes on", { timeout }, async () => {
    await createAndStart(api, "frozen", { Cmd: counting });
    await until("it counts", async () => (await linesOf(api, "frozen")).length > 5);
    assert.equal((await api.call("POST", "/containers/frozen/pause")).status, 204);
    assert.equal((await inspect(api, "frozen")).State.Status, "paused");
    const count = (await linesOf(api, "frozen")).length;
    await sleep(300);
    assert.equal((await linesOf(api, "frozen")).length, count);
    const exec = await api.call("POST", "/containers/frozen/exec", { Cmd: ["true"] });
    assert.equal(exec.status, 409);
    assert.match(exec.body.toString(), /is paused/);
    assert.equal((await api.call("POST", "/containers/frozen/pause")).status, 409);

    await engine.crash();
    assert.equal((await inspect(api, "frozen")).State.Status, "paused", "the next daemon knows it");
    assert.equal((await api.call("POST", "/containers/frozen/unpause")).status, 204);
    await until("it counts on", async () => (await linesOf(api, "frozen")).length > count);
    assert.equal(await execIn(api, "frozen", ["echo", "awake"]), "awake\n");
  });

  for (const [verb, path] of [
    ["killed", "kill"],
    ["stopped", "stop?t=1"],
  ]) {
    it(`is ${verb} all the same`, { timeout }, async () => {
      assert.equal((await api.call("POST", "/containers/frozen/start")).status < 400, true);
      assert.equal((await api.call("POST", "/containers/frozen/pause")).status, 204);
      const startedAt = performance.now();
      assert.equal((await api.call("POST", `/containers/frozen/${path}`)).status, 204);
      assert.ok([137, 143].includes(await exitOf(api, "frozen")));
      assert.ok(performance.now() - startedAt < 4000);
      assert.equal((await inspect(api, "frozen")).State.Status, "exited");
    });
  }
});

function logBytes(id: string): number {
  const directory = join(engine.first.root, "containers", id);
  return readdirSync(directory)
    .filter((name) => name.includes(".log"))
    .reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
}
