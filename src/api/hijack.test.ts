import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "./testing/lines.ts";
import { type ServedEngine, serveFake } from "./testing/serve.ts";

const upgrade = { Connection: "Upgrade", Upgrade: "tcp" };

describe("attach", () => {
  it("upgrades, and carries both streams in frames from the first byte on", async () => {
    await using api = await serveFake();
    await create(api, { Cmd: ["both"] });
    const client = new RawClient(api, "POST /v1.50/containers/one/attach?stderr=1&stdout=1&stream=1", {
      headers: upgrade,
    });
    await client.header();
    await api.call("POST /containers/one/start");
    await client.ended;
    assert.match(client.head, /^HTTP\/1\.1 101 UPGRADED\r\n/);
    assert.match(client.head, /\r\nContent-Type: application\/vnd\.docker\.multiplexed-stream\r\n/);
    assert.deepEqual(client.frames(), [
      [1, "to stdout\n"],
      [2, "to stderr\n"],
    ]);
  });

  it("answers 200 to a client that doesn't ask for an upgrade, with the bare stream behind it", async () => {
    await using api = await serveFake();
    await create(api, { Cmd: ["both"] });
    const client = new RawClient(api, "POST /containers/one/attach?stdout=1&stream=1");
    await client.header();
    await api.call("POST /containers/one/start");
    await client.ended;
    assert.match(client.head, /^HTTP\/1\.1 200 OK\r\n/);
    assert.doesNotMatch(client.head, /chunked/i);
    assert.deepEqual(client.frames(), [[1, "to stdout\n"]]);
  });

  it("carries stdin, its half-close, and what comes after it", async () => {
    await using api = await serveFake();
    await create(api, { Cmd: ["cat"], OpenStdin: true, StdinOnce: true });
    const client = new RawClient(api, "POST /containers/one/attach?stdin=1&stdout=1&stream=1", { headers: upgrade });
    await client.header();
    client.socket.write("before the start, ");
    await api.call("POST /containers/one/start");
    client.socket.end("and after");
    await client.ended;
    assert.equal(client.output(), "before the start, and after");
    assert.deepEqual((await api.call("POST /containers/one/wait")).json(), { StatusCode: 0 });
  });

  it("takes stdin that came together with the request", async () => {
    await using api = await serveFake();
    await create(api, { Cmd: ["cat"], OpenStdin: true, StdinOnce: true });
    await api.call("POST /containers/one/start");
    const client = new RawClient(api, "POST /containers/one/attach?stdin=1&stdout=1&stream=1", {
      headers: upgrade,
      extra: "early bird",
    });
    client.socket.end();
    await client.ended;
    assert.equal(client.output(), "early bird");
  });

  it("drops a JSON body, as dockerode sends one", async () => {
    await using api = await serveFake();
    await create(api, { Cmd: ["cat"], OpenStdin: true, StdinOnce: true });
    await api.call("POST /containers/one/start");
    const client = new RawClient(api, "POST /containers/one/attach?stream=true&stdin=true&stdout=true", {
      headers: { ...upgrade, "Content-Type": "application/json" },
      body: '{"stream":true,"stdin":true}',
      extra: "stdin",
    });
    client.socket.end();
    await client.ended;
    assert.equal(client.output(), "stdin");
  });

  it("is raw with a terminal, and lets go at the detach keys", async () => {
    await using api = await serveFake();
    await create(api, { Cmd: ["cat"], OpenStdin: true, Tty: true });
    await api.call("POST /containers/one/start");
    const client = new RawClient(api, "POST /containers/one/attach?stdin=1&stdout=1&stderr=1&stream=1", {
      headers: upgrade,
    });
    await client.header();
    assert.match(client.head, /vnd\.docker\.raw-stream/);
    client.socket.write("typed\u0010x\u0010");
    await sleep(20);
    client.socket.write("\u0011");
    await client.ended;
    assert.equal(client.body(), "typed\u0010x");
    assert.deepEqual(
      (await api.call("GET /containers/one/json")).json<{ State: { Status: string } }>().State.Status,
      "running",
    );
  });

  it("gives what was kept with logs=1, and nothing more without stream", async () => {
    await using api = await serveFake();
    await create(api, { Cmd: ["both"] });
    await api.call("POST /containers/one/start");
    await api.call("POST /containers/one/wait");
    const client = new RawClient(api, "POST /containers/one/attach?logs=1&stdout=1&stderr=1", { headers: upgrade });
    await client.ended;
    assert.deepEqual(
      client.frames().map(([, text]) => text),
      ["to stdout\n", "to stderr\n"],
    );
  });

  it("refuses as any request does, upgrade or not", async () => {
    await using api = await serveFake();
    const client = new RawClient(api, "POST /containers/nope/attach?stream=1", { headers: upgrade });
    await client.ended;
    assert.match(client.head, /^HTTP\/1\.1 404 Not Found\r\n/);
    assert.match(client.body(), /"No such container: nope/);
  });

  it("holds the process back while the client is slow, and loses nothing", async () => {
    await using api = await serveFake();
    await create(api, { Cmd: ["flood", "64"] });
    const client = new RawClient(api, "POST /containers/one/attach?stdout=1&stream=1", { headers: upgrade });
    await client.header();
    client.socket.pause();
    await api.call("POST /containers/one/start");
    await sleep(200);
    const { State } = (await api.call("GET /containers/one/json")).json<{ State: { Status: string } }>();
    assert.equal(State.Status, "running");
    assert.ok(process.memoryUsage.rss() < 2 ** 30);
    client.socket.resume();
    await client.ended;
    assert.equal(client.output().length, 64 * 2 ** 20);
  });

  it("ends with a client that breaks off, and the process goes on", async () => {
    await using api = await serveFake();
    await create(api, { Cmd: ["sleep"] });
    await api.call("POST /containers/one/start");
    const client = new RawClient(api, "POST /containers/one/attach?stdout=1&stream=1", { headers: upgrade });
    await client.header();
    assert.equal(api.engine.containers.readers("one"), 1);
    client.socket.destroy();
    await until(() => api.engine.containers.readers("one") === 0);
    assert.equal(
      (await api.call("GET /containers/one/json")).json<{ State: { Status: string } }>().State.Status,
      "running",
    );
    assert.deepEqual(api.logged, []);
  });

  it("ends with a client that first sends no more, and later breaks off", async () => {
    await using api = await serveFake();
    await create(api, { Cmd: ["sleep"] });
    await api.call("POST /containers/one/start");
    const client = new RawClient(api, "POST /containers/one/attach?stdout=1&stream=1", { headers: upgrade });
    await client.header();
    client.socket.end();
    await sleep(50);
    assert.equal(api.engine.containers.readers("one"), 1);
    client.socket.destroy();
    await until(() => api.engine.containers.readers("one") === 0, 3000);
  });

  it("lets a client read all of the output that goes on writing to a process that ended", async () => {
    await using api = await serveFake();
    await create(api, { Cmd: ["flood", "8"], OpenStdin: true, StdinOnce: true });
    const client = new RawClient(api, "POST /containers/one/attach?stdin=1&stdout=1&stream=1", { headers: upgrade });
    await client.header();
    const block = Buffer.alloc(64 * 1024);
    const writer = setInterval(() => client.socket.write(block), 1);
    await api.call("POST /containers/one/start");
    await client.ended;
    clearInterval(writer);
    assert.equal(client.output().length, 8 * 2 ** 20);
    client.socket.destroy();
  });
});

describe("closing the server", () => {
  it("ends what is attached at once", async () => {
    const api = await serveFake();
    await create(api, { Cmd: ["sleep"] });
    await api.call("POST /containers/one/start");
    const client = new RawClient(api, "POST /containers/one/attach?stdout=1&stream=1", { headers: upgrade });
    await client.header();
    const start = performance.now();
    await Promise.all([api[Symbol.asyncDispose](), client.ended]);
    assert.ok(performance.now() - start < 500);
  });
});

describe("exec", () => {
  it("reads the request's body that comes with an upgrade, in one piece with stdin or apart from the header", async () => {
    await using api = await serveFake();
    await create(api, { Cmd: ["sleep"] });
    await api.call("POST /containers/one/start");
    for (const isApart of [false, true]) {
      const id = await createExec(api, { Cmd: ["cat"], AttachStdin: true, AttachStdout: true });
      const client = new RawClient(api, `POST /v1.50/exec/${id}/start`, {
        headers: { ...upgrade, "Content-Type": "application/json" },
        body: '{"Detach":false,"Tty":false,"ConsoleSize":[24,80]}',
        extra: "input",
        isApart,
      });
      await client.header();
      client.socket.end(" and more");
      await client.ended;
      assert.match(client.head, /^HTTP\/1\.1 101 UPGRADED/);
      assert.equal(client.output(), "input and more");
      assert.deepEqual(api.engine.containers.sizes.get(id), [24, 80]);
      const { ExitCode, Running } = (await api.call(`GET /exec/${id}/json`)).json<{
        ExitCode: number;
        Running: boolean;
      }>();
      assert.deepEqual([ExitCode, Running], [0, false]);
    }
  });

  it("answers 200 to a client that doesn't ask for an upgrade", async () => {
    await using api = await serveFake();
    await create(api, { Cmd: ["sleep"] });
    await api.call("POST /containers/one/start");
    const id = await createExec(api, { Cmd: ["both"], AttachStdout: true, AttachStderr: true });
    const client = new RawClient(api, `POST /exec/${id}/start`, { body: '{"Detach":false}' });
    await client.ended;
    assert.match(client.head, /^HTTP\/1\.1 200 OK/);
    assert.deepEqual(client.frames(), [
      [1, "to stdout\n"],
      [2, "to stderr\n"],
    ]);
  });

  it("tells on the stream of a program that isn't there, and 127 in its inspection", async () => {
    await using api = await serveFake();
    await create(api, { Cmd: ["sleep"] });
    await api.call("POST /containers/one/start");
    const id = await createExec(api, { Cmd: ["nope"], AttachStdout: true });
    const client = new RawClient(api, `POST /exec/${id}/start`, { headers: upgrade, body: "{}" });
    await client.ended;
    assert.match(client.output(), /executable file not found in \$PATH\r\n$/);
    assert.equal((await api.call(`GET /exec/${id}/json`)).json<{ ExitCode: number }>().ExitCode, 127);
  });

  it("runs detached", async () => {
    await using api = await serveFake();
    await create(api, { Cmd: ["sleep"] });
    await api.call("POST /containers/one/start");
    const id = await createExec(api, { Cmd: ["exit", "4"] });
    assert.equal((await api.call(`POST /exec/${id}/start`, { Detach: true })).status, 200);
    assert.equal(await api.engine.containers.waitExec(id), 4);
    assert.equal((await api.call(`POST /exec/${id}/start`, { Detach: true })).status, 409);
  });

  it("is refused in a container that doesn't run", async () => {
    await using api = await serveFake();
    await create(api, { Cmd: ["sleep"] });
    const { status, text } = await api.call("POST /containers/one/exec", { Cmd: ["true"] });
    assert.equal(status, 409);
    assert.match(text, /is not running/);
    assert.match((await api.call("POST /containers/one/exec", {})).text, /No exec command specified/);
  });
});

describe("logs", () => {
  it("come in frames, chosen by stream and tail, and raw of a terminal", async () => {
    await using api = await serveFake();
    await create(api, { Cmd: ["both"] });
    await api.call("POST /containers/one/start");
    await api.call("POST /containers/one/wait");
    const { text, headers } = await api.call("GET /containers/one/logs?stdout=1&stderr=1");
    assert.equal(headers["content-type"], "application/vnd.docker.multiplexed-stream");
    assert.deepEqual(framesOf(Buffer.from(text)), [
      [1, "to stdout\n"],
      [2, "to stderr\n"],
    ]);
    assert.deepEqual(framesOf(Buffer.from((await api.call("GET /containers/one/logs?stderr=1")).text)), [
      [2, "to stderr\n"],
    ]);
    assert.deepEqual(
      framesOf(Buffer.from((await api.call("GET /containers/one/logs?stdout=1&stderr=1&tail=1")).text)),
      [[2, "to stderr\n"]],
    );
    assert.equal((await api.call("GET /containers/one/logs")).status, 400);
    await api.call("POST /containers/create?name=tty", { Image: "host", Cmd: ["echo", "hi"], Tty: true });
    await api.call("POST /containers/tty/start");
    await api.call("POST /containers/tty/wait");
    assert.equal((await api.call("GET /containers/tty/logs?stdout=1")).text, "hi\n");
  });

  it("of any size arrive whole", async () => {
    await using api = await serveFake();
    await create(api, { Cmd: ["flood", "32"] });
    await api.call("POST /containers/one/start");
    await api.call("POST /containers/one/wait");
    const { text } = await api.call("GET /containers/one/logs?stdout=1");
    assert.equal(text.length, 32 * 16 * (64 * 1024 + 8));
  });

  it("are followed until the end, the header first", async () => {
    await using api = await serveFake();
    await create(api, { Cmd: ["sleep"] });
    await api.call("POST /containers/one/start");
    const client = new RawClient(api, "GET /containers/one/logs?stdout=1&follow=1");
    await client.header();
    assert.match(client.head, /^HTTP\/1\.1 200 OK/);
    await api.call("POST /containers/one/kill");
    await until(() => client.body().endsWith("0\r\n\r\n"));
    client.socket.destroy();
  });
});

interface RawRequest {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** What comes behind the request: stdin. */
  readonly extra?: string;
  /** Sends body and what follows some time after the header. */
  readonly isApart?: boolean;
}

/** A client that speaks HTTP by hand, so that the bytes are what docker's and dockerode's are. */
class RawClient {
  readonly socket: Socket;
  /** Resolves when the server has ended its side. */
  readonly ended: Promise<void>;
  #received: Buffer[] = [];

  constructor(
    api: ServedEngine,
    methodAndPath: string,
    { headers = {}, body = "", extra = "", isApart = false }: RawRequest = {},
  ) {
    this.socket = api.connect();
    this.socket.on("data", (chunk: Buffer) => this.#received.push(chunk));
    this.socket.on("error", () => {});
    this.ended = new Promise((resolve) => {
      this.socket.once("end", () => {
        this.socket.end();
        resolve();
      });
    });
    const all = { Host: "docker", ...headers, ...(body === "" ? {} : { "Content-Length": String(body.length) }) };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    const head = `${methodAndPath} HTTP/1.1\r\n${lines.join("")}\r\n`;
    if (isApart) {
      this.socket.write(head);
      setTimeout(() => this.socket.write(body + extra), 30);
    } else {
      this.socket.write(head + body + extra);
    }
  }

  /** Resolves when the answer's header is there. */
  async header(): Promise<void> {
    await until(() => this.head !== "");
  }

  get head(): string {
    const all = this.#all();
    const end = all.indexOf("\r\n\r\n");
    return end < 0 ? "" : all.subarray(0, end + 4).toString();
  }

  body(): string {
    return this.#body().toString();
  }

  frames(): [number, string][] {
    return framesOf(this.#body());
  }

  /** What the frames hold, joined. */
  output(): string {
    return this.frames()
      .map(([, text]) => text)
      .join("");
  }

  #body(): Buffer {
    return this.#all().subarray(this.head.length);
  }

  #all(): Buffer {
    const all = Buffer.concat(this.#received);
    this.#received = [all];
    return all;
  }
}

function framesOf(data: Buffer): [number, string][] {
  const frames: [number, string][] = [];
  for (let at = 0; at < data.length; ) {
    const length = data.readUInt32BE(at + 4);
    frames.push([data.readUInt8(at), data.subarray(at + 8, at + 8 + length).toString()]);
    at += 8 + length;
  }
  return frames;
}

async function create(api: ServedEngine, body: object): Promise<void> {
  assert.equal((await api.call("POST /containers/create?name=one", { Image: "host", ...body })).status, 201);
}

async function createExec(api: ServedEngine, body: object): Promise<string> {
  return (await api.call("POST /containers/one/exec", body)).json<{ Id: string }>().Id;
}
