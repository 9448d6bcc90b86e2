import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { createServer, get } from "node:http";
import { createServer as createNetServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { listenOn, parseHosts } from "./listen.ts";
import { anImage, FakeEngine } from "./testing/fake-engine.ts";
import { serveFake } from "./testing/serve.ts";
import type {
  ContainerInspect,
  ContainerSummary,
  EventMessage,
  ImageInspect,
  ImageSummary,
  InfoBody,
  NetworkBody,
  ProgressLine,
  StatsBody,
  VersionBody,
} from "./wire.ts";

interface Failure {
  readonly message: string;
  readonly code: string;
  readonly hint?: string;
}

describe("every answer", () => {
  it("tells the API's version and the system", async () => {
    await using api = await serveFake();
    const { status, headers, text } = await api.call("GET /_ping");
    assert.equal(status, 200);
    assert.equal(text, "OK");
    assert.equal(headers["api-version"], "1.51");
    assert.equal(headers.ostype, "linux");
    assert.equal(headers.server, "Onggi/0.1.0 (linux)");
    assert.equal(headers["docker-experimental"], "false");
  });

  it("has no body for HEAD", async () => {
    await using api = await serveFake();
    const { status, headers, text } = await api.call("HEAD /v1.51/_ping");
    assert.deepEqual([status, text, headers["api-version"]], [200, "", "1.51"]);
  });
});

describe("a failure", () => {
  const cases: readonly (readonly [string, unknown, number, RegExp])[] = [
    ["GET /nowhere", undefined, 404, /^page not found$/],
    ["GET /v9.0/version", undefined, 400, /client version 9\.0 is too new/],
    ["GET /containers/nope/json", undefined, 404, /^No such container: nope\nonggi ps -a/],
    ["POST /containers/create", { Image: "nope" }, 404, /^No such image: nope:latest/],
    [
      "POST /containers/create",
      { Image: "host", HostConfig: { Binds: ["name:/x"] } },
      501,
      /volumes are not supported yet/,
    ],
    ["POST /containers/create", Buffer.from("{"), 400, /invalid JSON/],
    ["POST /containers/create", [], 400, /must be an object/],
    ["GET /containers/nope/logs?stdout=1", undefined, 404, /No such container: nope/],
    ["POST /containers/nope/attach", undefined, 404, /No such container: nope/],
    ["POST /containers/nope/wait", undefined, 404, /No such container: nope/],
    ["POST /exec/nope/start", {}, 404, /^No such exec instance: nope$/],
    ["GET /images/nope/json", undefined, 404, /^No such image: nope:latest/],
    ["GET /images/a/b/c:1/get", undefined, 404, /^No such image: a\/b\/c:1/],
    ["GET /networks/nope", undefined, 404, /^network nope not found$/],
    ['GET /containers/json?filters={"colour":["red"]}', undefined, 400, /^invalid filter 'colour'/],
    ["GET /containers/json?filters=nonsense", undefined, 400, /^invalid filter/],
    ["GET /containers/json?limit=x", undefined, 400, /not a whole number/],
    ["POST /build", undefined, 501, /building images is not supported yet/],
    ["POST /networks/create", {}, 501, /making networks is not supported yet/],
  ];
  for (const [request, body, status, message] of cases) {
    it(`of ${request} ${body === undefined ? "" : JSON.stringify(body)} is ${status}`, async () => {
      await using api = await serveFake();
      const reply = await api.call(request, body);
      assert.equal(reply.status, status);
      assert.match(reply.json<Failure>().message, message);
      assert.deepEqual(api.logged, []);
    });
  }

  it("has Docker's sentence first, then the hint, and both apart", async () => {
    await using api = await serveFake();
    const failure = (await api.call("GET /containers/nope/json")).json<Failure>();
    assert.deepEqual(failure, {
      message: "No such container: nope\nonggi ps -a lists all there are.",
      code: "not_found",
      sentence: "No such container: nope",
      hint: "onggi ps -a lists all there are.",
    });
  });

  it("of ours is a 500 and a line in the log, and the next request is served", async () => {
    await using api = await serveFake();
    api.engine.containers.list = () => {
      throw new TypeError("a defect");
    };
    const { status, text } = await api.call("GET /containers/json");
    assert.deepEqual([status, JSON.parse(text)], [500, { message: "a defect", code: "internal" }]);
    assert.match(api.logged.join("\n"), /^GET \/containers\/json: TypeError: a defect\n/);
    assert.equal((await api.call("GET /_ping")).status, 200);
  });
});

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
    assert.match(missing.json<Failure>().message, /executable file not found in \$PATH/);
    await api.call("POST /containers/create?name=two", { Image: "host", Cmd: ["/etc"] });
    const refused = await api.call("POST /containers/two/start");
    assert.equal(refused.status, 400);
    assert.match(refused.json<Failure>().message, /permission denied/);
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

describe("images", () => {
  it("are listed and inspected in Docker's shape", async () => {
    await using api = await serveFake();
    const [listed] = (await api.call("GET /images/json")).json<ImageSummary[]>();
    assert.deepEqual([listed?.RepoTags, listed?.Size, listed?.Created], [["host:latest"], 12_345_678, 1_704_164_645]);
    const one = (await api.call("GET /images/host/json")).json<ImageInspect>();
    assert.deepEqual(
      [one.Os, one.Architecture, one.Created, one.Config.Cmd],
      ["linux", "amd64", "2024-01-02T03:04:05Z", ["true"]],
    );
    assert.equal(one.RootFS.Layers.length, 1);
  });

  it("are filtered by reference, label and what hangs", async () => {
    const engine = new FakeEngine([
      anImage({ id: `sha256:${"1".repeat(64)}`, references: ["docker.io/library/debian:12"], labels: { a: "b" } }),
      anImage({ id: `sha256:${"2".repeat(64)}`, references: ["localhost:5000/team/app:v1"] }),
      anImage({ id: `sha256:${"3".repeat(64)}`, references: [] }),
    ]);
    await using api = await serveFake(engine);
    const tags = async (filters: object) =>
      (await api.call(`GET /images/json?filters=${encodeURIComponent(JSON.stringify(filters))}`))
        .json<ImageSummary[]>()
        .map(({ RepoTags }) => RepoTags[0]);
    assert.deepEqual(await tags({ reference: ["debian"] }), ["debian:12"]);
    assert.deepEqual(await tags({ reference: ["deb*:1?"] }), ["debian:12"]);
    assert.deepEqual(await tags({ reference: ["localhost:5000/*/app"] }), ["localhost:5000/team/app:v1"]);
    assert.deepEqual(await tags({ label: ["a=b"] }), ["debian:12"]);
    assert.deepEqual(await tags({ dangling: ["true"] }), [undefined]);
  });

  it("have a history, the newest first", async () => {
    await using api = await serveFake();
    const items = (await api.call("GET /images/host/history")).json<
      { Id: string; CreatedBy: string; Tags: unknown }[]
    >();
    assert.deepEqual(
      items.map(({ Id, CreatedBy, Tags }) => [Id.slice(0, 9), CreatedBy, Tags]),
      [
        ["sha256:1a", 'CMD ["true"]', ["host:latest"]],
        ["<missing>", "COPY /", null],
      ],
    );
  });

  it("are tagged and deleted", async () => {
    await using api = await serveFake();
    assert.equal((await api.call("POST /images/host/tag?repo=localhost:5000/a/b&tag=v2")).status, 201);
    assert.equal((await api.call("GET /images/localhost:5000/a/b:v2/json")).status, 200);
    assert.match((await api.call("POST /images/host/tag?repo=UPPER&tag=v2")).text, /must be lowercase/);
    const deleted = (await api.call("DELETE /images/localhost:5000/a/b:v2")).json<object[]>();
    assert.deepEqual(deleted.slice(0, 2), [{ Untagged: "host:latest" }, { Untagged: "localhost:5000/a/b:v2" }]);
  });

  it("are pulled with progress, login and platform", async () => {
    await using api = await serveFake();
    const auth = Buffer.from(JSON.stringify({ username: "me", password: "secret" })).toString("base64url");
    const { status, text } = await api.call(
      "POST /images/create?fromImage=registry.test/a&tag=1&platform=linux/arm64",
      undefined,
      { "X-Registry-Auth": auth },
    );
    assert.equal(status, 200);
    const lines = linesOf<ProgressLine>(text);
    assert.deepEqual(lines[1], {
      status: "Downloading",
      id: "2b2b2b2b2b2b",
      progressDetail: { current: 10, total: 20 },
    });
    assert.deepEqual(api.engine.images.pulled?.reference, "registry.test/a:1");
    assert.deepEqual(api.engine.images.pulled?.login, { username: "me", password: "secret" });
    assert.deepEqual(api.engine.images.pulled?.platform, "linux/arm64");
  });

  it("that can't be pulled fail at once where nothing was said yet, else in the last line", async () => {
    await using api = await serveFake();
    const absent = await api.call("POST /images/create?fromImage=absent&tag=latest");
    assert.equal(absent.status, 404);
    assert.match(absent.json<Failure>().message, /pull access denied for absent/);
    const broken = await api.call("POST /images/create?fromImage=broken&tag=latest");
    assert.equal(broken.status, 200);
    const message = "blob sha256:00 has the digest sha256:11\nTry again.";
    assert.deepEqual(linesOf(broken.text).at(-1), { errorDetail: { message }, error: message });
  });

  it("are pushed, loaded, saved and pruned", async () => {
    await using api = await serveFake();
    assert.equal(
      linesOf<ProgressLine>((await api.call("POST /images/localhost:5000/a/push?tag=1")).text)[0]?.status,
      "The push refers to repository [localhost:5000/a:1]",
    );
    const archive = Buffer.alloc(3_000_000, "tar");
    const loaded = await api.call("POST /images/load?quiet=1", archive, { "Content-Type": "application/x-tar" });
    assert.deepEqual(linesOf(loaded.text), [{ status: "", stream: "Loaded image: host:latest\n" }]);
    assert.ok(api.engine.images.loaded.equals(archive));
    const one = await api.call("GET /images/host:latest/get");
    assert.deepEqual([one.text, one.headers["content-type"]], ["archive of host:latest", "application/x-tar"]);
    assert.equal((await api.call("GET /images/get?names=host&names=host:latest")).text, "archive of host host:latest");
    const pruned = (await api.call(`POST /images/prune?filters=${encodeURIComponent('{"dangling":["false"]}')}`)).json<{
      ImagesDeleted: object[];
    }>();
    assert.deepEqual(pruned.ImagesDeleted, [{ Deleted: anImage().id }]);
  });

  it("are made of the host's own programs", async () => {
    await using api = await serveFake();
    const { text } = await api.call("POST /onggi/v1/images/from-host", { reference: "mine", programs: ["sh", "ls"] });
    assert.deepEqual(
      linesOf<ProgressLine>(text).map(({ status, stream }) => stream ?? status),
      ["Adding sh", "Adding ls", "Made mine:latest\n"],
    );
  });
});

describe("the rest", () => {
  it("tells version, host and disk use", async () => {
    await using api = await serveFake();
    const version = (await api.call("GET /version")).json<VersionBody>();
    assert.deepEqual([version.ApiVersion, version.MinAPIVersion, version.Version], ["1.51", "1.24", "0.1.0"]);
    const info = (await api.call("GET /info")).json<InfoBody>();
    assert.deepEqual(
      [info.Containers, info.CgroupVersion, info.Driver, info.Onggi.bridge?.name],
      [3, "2", "overlay", "onggi0"],
    );
    const usage = (await api.call("GET /system/df")).json<{ LayersSize: number }>();
    assert.equal(usage.LayersSize, 12_345_678);
  });

  it("tells networks, and who is on one", async () => {
    await using api = await serveFake();
    const networks = (await api.call("GET /networks")).json<NetworkBody[]>();
    assert.deepEqual(
      networks.map(({ Name, Driver }) => [Name, Driver]),
      [
        ["bridge", "bridge"],
        ["host", "host"],
        ["none", "null"],
      ],
    );
    const bridge = (await api.call("GET /networks/bridge")).json<NetworkBody>();
    assert.deepEqual(bridge.IPAM.Config, [{ Subnet: "172.17.0.0/16", Gateway: "172.17.0.1" }]);
    assert.equal(bridge.Containers["c".repeat(64)]?.IPv4Address, "172.17.0.2/16");
    const filtered = (await api.call(`GET /networks?filters=${encodeURIComponent('{"driver":["host"]}')}`)).json<
      NetworkBody[]
    >();
    assert.deepEqual(
      filtered.map(({ Name }) => Name),
      ["host"],
    );
  });

  it("explains a container that is there, and one that is asked for", async () => {
    await using api = await serveFake();
    await api.call("POST /containers/create?name=one", { Image: "host" });
    const one = await api.call("GET /onggi/v1/containers/one/explain");
    assert.deepEqual([one.text, one.headers["content-type"]], ["#!/bin/bash\n# one\n", "text/plain; charset=utf-8"]);
    assert.equal((await api.call("POST /onggi/v1/explain", { Image: "host" })).text, "#!/bin/bash\n# host\n");
  });

  it("tells events as they happen, filtered, with all digits of the time", async () => {
    await using api = await serveFake();
    const filters = encodeURIComponent('{"container":["one"],"event":["start"]}');
    const lines = firstLines(api.socketPath, `/events?filters=${filters}`, 1, async () => {
      await api.call("POST /containers/create?name=two", { Image: "host" });
      await api.call("POST /containers/create?name=one", { Image: "host" });
      await api.call("POST /containers/two/start");
      await api.call("POST /containers/one/start");
    });
    const [line = ""] = await lines;
    const event = JSON.parse(line) as EventMessage;
    assert.deepEqual(
      [event.Type, event.Action, event.status, event.from, event.Actor.Attributes.name],
      ["container", "start", "start", "host", "one"],
    );
    assert.match(line, /"timeNano":\d{19}\}$/);
  });

  it("tells past events up to a moment, and ends", async () => {
    await using api = await serveFake();
    await api.call("POST /containers/create?name=one", { Image: "host" });
    await sleep(5);
    const { text } = await api.call(`GET /events?since=1&until=${(Date.now() / 1000).toFixed(3)}`);
    assert.deepEqual(
      linesOf<EventMessage>(text).map(({ Action }) => Action),
      ["create"],
    );
  });
});

describe("a client that goes away", () => {
  it("ends its wait", async () => {
    await using api = await serveFake();
    await api.call("POST /containers/create?name=one", { Image: "host", Cmd: ["sleep"] });
    await api.call("POST /containers/one/start");
    const controller = new AbortController();
    const answer = new Promise<void>((resolve) => {
      const request = get(
        { socketPath: api.socketPath, path: "/containers/one/wait", method: "POST", signal: controller.signal },
        () => resolve(),
      );
      request.on("error", () => {});
    });
    // The header comes before the end of the container.
    await answer;
    assert.equal(api.engine.containers.waiters("one"), 1);
    controller.abort();
    await until(() => api.engine.containers.waiters("one") === 0);
    assert.deepEqual(api.logged, []);
  });
});

describe("closing", () => {
  it("lets go of those who wait and leaves no socket", async () => {
    const api = await serveFake();
    await api.call("POST /containers/create?name=one", { Image: "host", Cmd: ["sleep"] });
    await api.call("POST /containers/one/start");
    const wait = api.call("POST /containers/one/wait").catch((error: unknown) => error);
    const events = api.call("GET /events").catch((error: unknown) => error);
    await sleep(50);
    const start = performance.now();
    await api[Symbol.asyncDispose]();
    await Promise.all([wait, events]);
    assert.ok(performance.now() - start < 1500);
    assert.ok(!existsSync(api.socketPath));
  });
});

describe("listenOn", () => {
  it("makes a socket for its owner and group", async () => {
    await using api = await serveFake();
    assert.equal(statSync(api.socketPath).mode & 0o777, 0o660);
  });

  it("refuses a socket that somebody answers on", async () => {
    await using api = await serveFake();
    await assert.rejects(listenOn(createServer(), { path: api.socketPath }), {
      code: "in_use",
      message: /another daemon serves unix:/,
    });
    assert.equal((await api.call("GET /_ping")).status, 200);
  });

  it("replaces a socket that nobody answers on", async () => {
    const folder = mkdtempSync(join(tmpdir(), "onggi-api-"));
    const path = join(folder, "stale.sock");
    const { spawnSync } = await import("node:child_process");
    // A process that is killed leaves its socket behind.
    const script = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
    spawnSync(process.execPath, ["-e", script]);
    assert.ok(existsSync(path));
    const server = createNetServer();
    await listenOn(server, { path });
    assert.ok(server.listening);
    server.close();
    rmSync(folder, { recursive: true });
  });
});

describe("parseHosts", () => {
  it("reads several sockets", () => {
    assert.deepEqual(parseHosts("unix:///run/a.sock,unix:///run/b.sock"), [
      { path: "/run/a.sock" },
      { path: "/run/b.sock" },
    ]);
  });

  it("refuses tcp, which has no access control", () => {
    assert.throws(() => parseHosts("tcp://0.0.0.0:2375"), { code: "unsupported" });
    assert.throws(() => parseHosts("/run/a.sock"), { code: "invalid" });
  });
});

function linesOf<T>(text: string): T[] {
  return text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => JSON.parse(line) as T);
}

/** The first lines of an answer that goes on; then the client goes away. `meanwhile` runs once the header is there. */
function firstLines(
  socketPath: string,
  path: string,
  count: number,
  meanwhile: () => Promise<void> = async () => {},
): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const request = get({ socketPath, path }, (answer) => {
      let text = "";
      answer.on("data", (chunk: Buffer) => {
        text += chunk.toString();
        const lines = text.split("\n").slice(0, -1);
        if (lines.length < count) return;
        request.destroy();
        resolve(lines.slice(0, count));
      });
      answer.on("error", () => {});
      meanwhile().catch(reject);
    });
    request.on("error", reject);
  });
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    assert.ok(tries < 200, "it takes too long");
    await sleep(5);
  }
}
