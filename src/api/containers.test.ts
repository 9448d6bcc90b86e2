import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { anImage, FakeEngine } from "./testing/fake-engine.ts";
import { firstLines } from "./testing/lines.ts";
import { serveFake } from "./testing/serve.ts";
import type { ContainerInspect, ContainerSummary, ErrorBody, StatsBody } from "./wire.ts";

describe("a container", () => {
  it("is made, started, waited for, and removed", async () => {
    await using api = await serveFake();
    const created = await api.call("POST /v1.50/containers/create?name=one", { Image: "host", Cmd: ["exit", "7"] });
    assert.equal(created.status, 201);
    assert.deepEqual(created.json<{ Warnings: unknown }>().Warnings, []);
    const wait = api.call("POST /containers/one/wait?condition=next-exit");
    await sleep(20);
    assert.equal((await api.call("POST /containers/one/start")).status, 204);
    assert.deepEqual((await wait).json(), { StatusCode: 7 });
    assert.equal((await api.call("DELETE /containers/one")).status, 204);
    assert.equal((await api.call("GET /containers/one/json")).status, 404);
  });

  it("that is in the asked for state already is a 304", async () => {
    await using api = await serveFake();
    await api.call("POST /containers/create?name=one", { Image: "host", Cmd: ["sleep"] });
    assert.equal((await api.call("POST /containers/one/stop")).status, 304);
    assert.equal((await api.call("POST /containers/one/start")).status, 204);
    assert.equal((await api.call("POST /containers/one/start")).status, 304);
    assert.equal((await api.call("POST /containers/one/stop?t=1")).status, 204);
  });

  it("with a name in use is a conflict, in Docker's words", async () => {
    await using api = await serveFake();
    await api.call("POST /containers/create?name=one", { Image: "host" });
    const { status, text } = await api.call("POST /containers/create?name=one", { Image: "host" });
    assert.equal(status, 409);
    assert.match(text, /Conflict\. The container name \\"\/one\\" is already in use by container/);
    await api.call("POST /containers/create?name=two", { Image: "host" });
    assert.match(
      (await api.call("POST /containers/two/rename?name=one")).text,
      /Error when allocating new name: Conflict\. The container name/,
    );
  });

  it("that doesn't run can't be killed", async () => {
    await using api = await serveFake();
    await api.call("POST /containers/create?name=one", { Image: "host" });
    const { status, text } = await api.call("POST /containers/one/kill?signal=TERM");
    assert.equal(status, 409);
    assert.match(text, /cannot kill container: one: container [0-9a-f]{64} is not running/);
  });

  it("whose program isn't there fails with words that mean exit status 127, or 126", async () => {
    await using api = await serveFake();
    await api.call("POST /containers/create?name=one", { Image: "host", Cmd: ["nope"] });
    const missing = await api.call("POST /containers/one/start");
    assert.equal(missing.status, 400);
    assert.match(missing.json<ErrorBody>().message, /executable file not found in \$PATH/);
    await api.call("POST /containers/create?name=two", { Image: "host", Cmd: ["/etc"] });
    const refused = await api.call("POST /containers/two/start");
    assert.equal(refused.status, 400);
    assert.match(refused.json<ErrorBody>().message, /permission denied/);
  });

  it("of another platform counts as absent, so that a client pulls the right one", async () => {
    await using api = await serveFake(new FakeEngine([anImage({ architecture: "s390x" })]));
    const { status, text } = await api.call("POST /containers/create?platform=linux/amd64", { Image: "host" });
    assert.equal(status, 404);
    assert.match(text, /does not match the specified platform/);
  });

  it("is inspected in Docker's shape", async () => {
    await using api = await serveFake();
    await api.call("POST /containers/create?name=one", {
      Image: "host",
      Cmd: ["sleep"],
      Env: ["A=1"],
      Labels: { a: "b" },
      HostConfig: { Memory: 2 ** 28, PortBindings: { "80/tcp": [{ HostPort: "" }] }, Binds: ["/a:/b:ro"] },
    });
    await api.call("POST /containers/one/start");
    const body = (await api.call("GET /containers/one/json?size=1")).json<ContainerInspect>();
    assert.match(body.Id, /^[0-9a-f]{64}$/);
    assert.equal(body.Name, "/one");
    assert.deepEqual([body.Path, body.Args], ["sleep", []]);
    assert.match(body.Created, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
    assert.deepEqual(
      [body.State.Status, body.State.Running, body.State.Pid, body.State.FinishedAt],
      ["running", true, 4242, "0001-01-01T00:00:00Z"],
    );
    assert.deepEqual(
      [body.Config.Cmd, body.Config.Entrypoint, body.Config.Env, body.Config.Labels],
      [["sleep"], null, ["PATH=/bin", "A=1"], { a: "b" }],
    );
    assert.deepEqual(body.Config.ExposedPorts, { "80/tcp": {} });
    assert.equal(body.HostConfig.Memory, 2 ** 28);
    assert.deepEqual(body.HostConfig.Binds, ["/a:/b:ro"]);
    assert.equal(body.HostConfig.NetworkMode, "bridge");
    assert.deepEqual(body.NetworkSettings.Ports, { "80/tcp": [{ HostIp: "0.0.0.0", HostPort: "32768" }] });
    assert.equal(body.NetworkSettings.Networks.bridge?.IPAddress, "172.17.0.2");
    assert.equal(body.NetworkSettings.IPAddress, "172.17.0.2");
    assert.equal(body.Mounts[0]?.Destination, "/b");
    assert.deepEqual(body.GraphDriver, { Name: "overlay", Data: { UpperDir: "/upper" } });
    assert.deepEqual([body.SizeRw, body.SizeRootFs], [10, 1000]);
    await api.call("POST /containers/one/pause");
    const paused = (await api.call("GET /containers/one/json")).json<ContainerInspect>().State;
    assert.deepEqual([paused.Status, paused.Running, paused.Paused], ["paused", true, true]);
  });

  it("that the memory limit killed says so in its state and in lists", async () => {
    await using api = await serveFake();
    const { Id } = (await api.call("POST /containers/create?name=one", { Image: "host" })).json<{ Id: string }>();
    const error = "the memory limit of 200 MiB killed stress";
    api.engine.containers.states.set(Id, {
      status: "exited",
      exitCode: 137,
      oomKilled: true,
      error,
      startedAtMs: 1,
      finishedAtMs: Date.now() - 3000,
    });
    const { State } = (await api.call("GET /containers/one/json")).json<ContainerInspect>();
    assert.deepEqual([State.OOMKilled, State.ExitCode, State.Error], [true, 137, error]);
    const [listed] = (await api.call("GET /containers/json?all=1")).json<ContainerSummary[]>();
    assert.equal(listed?.Status, `Exited (137) 3 seconds ago: ${error}`);
  });
});

describe("the list of containers", () => {
  async function withThree() {
    const api = await serveFake();
    await api.call("POST /containers/create?name=old", { Image: "host", Labels: { tier: "db", a: "1" } });
    await api.call("POST /containers/create?name=mid", {
      Image: "host",
      Cmd: ["sleep"],
      Labels: { tier: "web" },
      HostConfig: { PortBindings: { "80/tcp": [{ HostPort: "8080" }] } },
    });
    await api.call("POST /containers/create?name=new", {
      Image: "host",
      Cmd: ["exit", "3"],
      HostConfig: { NetworkMode: "none", Binds: ["/src:/dst"] },
    });
    await api.call("POST /containers/mid/start");
    await api.call("POST /containers/new/start");
    return api;
  }

  const cases: readonly (readonly [string, Record<string, readonly string[]>, readonly string[]])[] = [
    ["", {}, ["mid"]],
    ["all=1", {}, ["new", "mid", "old"]],
    ["limit=2", {}, ["new", "mid"]],
    ["", { status: ["exited"] }, ["new"]],
    ["", { status: ["exited", "created"] }, ["new", "old"]],
    ["all=1", { exited: ["3"] }, ["new"]],
    ["all=1", { name: ["o"] }, ["old"]],
    ["all=1", { name: ["^/mid$"] }, ["mid"]],
    ["all=1", { label: ["tier"] }, ["mid", "old"]],
    ["all=1", { label: ["tier=db", "a"] }, ["old"]],
    ["all=1", { before: ["mid"] }, ["old"]],
    ["all=1", { since: ["mid"] }, ["new"]],
    ["all=1", { ancestor: ["host"] }, ["new", "mid", "old"]],
    ["all=1", { ancestor: ["nope"] }, []],
    ["all=1", { network: ["none"] }, ["new"]],
    ["all=1", { volume: ["/dst"] }, ["new"]],
    ["all=1", { publish: ["80"] }, ["mid"]],
    ["all=1", { expose: ["70-90/tcp"] }, ["mid"]],
    ["all=1", { health: ["healthy"] }, []],
    ["all=1", { "is-task": ["true"] }, []],
  ];
  it("is filtered as Docker filters", async () => {
    await using api = await withThree();
    for (const [query, filters, names] of cases) {
      const path = `GET /containers/json?${query}&filters=${encodeURIComponent(JSON.stringify(filters))}`;
      const listed = (await api.call(path)).json<ContainerSummary[]>();
      assert.deepEqual(
        listed.map(({ Names }) => Names[0]?.slice(1)),
        names,
        path,
      );
    }
  });

  it("takes filters in their older form, too", async () => {
    await using api = await withThree();
    const filters = encodeURIComponent('{"name":{"old":true}}');
    assert.equal((await api.call(`GET /containers/json?all=1&filters=${filters}`)).json<unknown[]>().length, 1);
  });

  it("shows what docker ps shows", async () => {
    await using api = await withThree();
    const [one] = (await api.call("GET /containers/json?size=1")).json<ContainerSummary[]>();
    assert.deepEqual(
      [one?.Image, one?.Command, one?.State, one?.Status],
      ["host", "sleep", "running", "Up Less than a second"],
    );
    assert.deepEqual(one?.Ports, [{ IP: "0.0.0.0", PrivatePort: 80, PublicPort: 8080, Type: "tcp" }]);
    assert.equal(one?.SizeRw, 10);
  });

  it("is what prune goes by", async () => {
    await using api = await withThree();
    const filters = encodeURIComponent('{"label":["tier=db"]}');
    const { ContainersDeleted, SpaceReclaimed } = (await api.call(`POST /containers/prune?filters=${filters}`)).json<{
      ContainersDeleted: string[];
      SpaceReclaimed: number;
    }>();
    assert.deepEqual([ContainersDeleted.length, SpaceReclaimed], [1, 7]);
  });
});

describe("stats", () => {
  it("at one moment", async () => {
    await using api = await serveFake();
    await api.call("POST /containers/create?name=one", { Image: "host", Cmd: ["sleep"] });
    await api.call("POST /containers/one/start");
    const body = (await api.call("GET /containers/one/stats?stream=0&one-shot=1")).json<StatsBody>();
    assert.equal(body.name, "/one");
    assert.deepEqual(body.memory_stats, {
      usage: 52_428_800,
      max_usage: 62_914_560,
      limit: 209_715_200,
      stats: { inactive_file: 1_048_576 },
    });
    assert.deepEqual(body.pids_stats, { current: 3, limit: 100 });
    assert.deepEqual(body.precpu_stats.cpu_usage, { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 });
    assert.equal(body.networks?.eth0?.tx_bytes, 3);
    assert.deepEqual(
      body.blkio_stats.io_service_bytes_recursive?.map(({ op, value }) => [op, value]),
      [
        ["read", 10],
        ["write", 20],
      ],
    );
  });

  it("have the sample before in the second line of a stream, and end with the client", async () => {
    await using api = await serveFake();
    await api.call("POST /containers/create?name=one", { Image: "host", Cmd: ["sleep"] });
    await api.call("POST /containers/one/start");
    const lines = await firstLines(api.socketPath, "/containers/one/stats", 2);
    const [first, second] = lines.map((line) => JSON.parse(line) as StatsBody);
    assert.equal(first?.preread, "0001-01-01T00:00:00Z");
    assert.equal(second?.preread, first?.read);
    assert.deepEqual(second?.precpu_stats, first?.cpu_stats);
  });

  it("of a container that doesn't run are its name alone", async () => {
    await using api = await serveFake();
    await api.call("POST /containers/create?name=one", { Image: "host" });
    const body = (await api.call("GET /containers/one/stats?stream=0")).json<StatsBody>();
    assert.deepEqual([body.name, body.read, body.memory_stats], ["/one", "0001-01-01T00:00:00Z", {}]);
  });
});
