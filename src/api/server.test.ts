import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { get } from "node:http";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { firstLines, linesOf, until } from "./testing/lines.ts";
import { serveFake } from "./testing/serve.ts";
import type { ErrorBody, EventMessage, InfoBody, NetworkBody, VersionBody } from "./wire.ts";

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
      { Image: "host", HostConfig: { Links: ["other:name"] } },
      501,
      /Links \(--link\) is not supported/,
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
      assert.match(reply.json<ErrorBody>().message, message);
      assert.deepEqual(api.logged, []);
    });
  }

  it("has Docker's sentence first, then the hint, and both apart", async () => {
    await using api = await serveFake();
    const failure = (await api.call("GET /containers/nope/json")).json<ErrorBody>();
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
