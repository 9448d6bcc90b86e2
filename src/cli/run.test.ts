import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type Answer, type Asked, fakeIo, frame, type Script, withFakeDaemon } from "./fake-daemon.ts";
import { main } from "./main.ts";

const id = "c".repeat(64);

/** A daemon with one container: `behave` is what it does with its connection once it was started. */
function aContainer(behave: (socket: Socket) => Promise<number> | number, extra: Script = {}): Script {
  let socket: Socket | undefined;
  const end = Promise.withResolvers<{ StatusCode: number }>();
  return {
    ...extra,
    "POST /containers/create":
      extra["POST /containers/create"] ?? (() => ({ status: 201, json: { Id: id, Warnings: [] } })),
    [`POST /containers/${id}/attach`]: () => ({
      hijack: (one) => {
        socket = one;
      },
    }),
    [`POST /containers/${id}/wait`]: () => ({ later: end.promise }),
    [`POST /containers/${id}/start`]: (): Answer => {
      if (socket === undefined) return { status: 500, json: { message: "started before it was attached" } };
      void Promise.resolve(behave(socket)).then((StatusCode) => {
        end.resolve({ StatusCode });
        socket?.end();
      });
      return { status: 204 };
    },
    [`POST /containers/${id}/resize`]: () => ({ status: 200 }),
    [`POST /containers/${id}/kill`]: extra["POST kill"] ?? (() => ({ status: 204 })),
  };
}

async function onggi(script: Script, words: readonly string[], streams = fakeIo()) {
  return await withFakeDaemon(script, async ({ socketPath, asked }) => {
    const status = await main(["-H", `unix://${socketPath}`, ...words], streams.io);
    return { status, asked, ...streams.texts };
  });
}

const bodyOf = (asked: readonly Asked[]) =>
  asked.find(({ path }) => path === "/containers/create")?.body as { HostConfig: Record<string, unknown> } & Record<
    string,
    unknown
  >;

describe("onggi run", () => {
  it("attaches and waits before it starts, parts the streams, and ends with the container's status", async () => {
    const script = aContainer((socket) => {
      socket.write(frame(1, "out\n"));
      socket.write(Buffer.concat([frame(2, "err\n"), frame(1, "more\n")]));
      return 7;
    });
    const { status, out, err, asked } = await onggi(script, ["run", "--rm", "debian", "sh", "-c", "exit 7"]);

    assert.equal(status, 7);
    assert.equal(out, "out\nmore\n");
    assert.equal(err, "err\n");
    assert.deepEqual(bodyOf(asked).Cmd, ["sh", "-c", "exit 7"]);
    assert.equal(bodyOf(asked).HostConfig.AutoRemove, true);
    assert.equal(asked.find(({ path }) => path.endsWith("/wait"))?.query.condition, "removed");
    assert.equal(asked.at(-1)?.path, `/containers/${id}/start`);
  });

  it("waits for the next exit of a container that stays", async () => {
    const { asked, status } = await onggi(
      aContainer(() => 0),
      ["run", "debian"],
    );

    assert.equal(status, 0);
    assert.equal(asked.find(({ path }) => path.endsWith("/wait"))?.query.condition, "next-exit");
  });

  it("prints the id of a detached container and attaches to nothing", async () => {
    const script = { ...aContainer(() => 0), [`POST /containers/${id}/start`]: () => ({ status: 204 }) };
    const { status, out, asked } = await onggi(script, ["run", "-d", "debian"]);

    assert.equal(status, 0);
    assert.equal(out, `${id}\n`);
    assert.deepEqual(
      asked.map(({ path }) => path),
      ["/containers/create", `/containers/${id}/start`],
    );
    assert.equal(bodyOf(asked).AttachStdout, false);
  });

  it("carries stdin to its end and still reads what comes back", async () => {
    const script = aContainer(async (socket) => {
      let text = "";
      socket.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      await once(socket, "end");
      socket.write(frame(1, text.toUpperCase()));
      return 0;
    });
    const streams = fakeIo();
    streams.stdin.end("hello");
    const { status, out, asked } = await onggi(script, ["run", "-i", "debian", "cat"], streams);

    assert.equal(status, 0);
    assert.equal(out, "HELLO");
    assert.equal(bodyOf(asked).StdinOnce, true);
  });

  it("sets the terminal raw, tells its size, and puts it back", async () => {
    const script = aContainer(async (socket) => {
      socket.write("plain \x01 bytes\r\n");
      await new Promise((resolve) => setTimeout(resolve, 20));
      return 0;
    });
    const streams = fakeIo({ tty: true });
    const { status, out, asked } = await onggi(script, ["run", "-it", "debian"], streams);

    assert.equal(status, 0);
    assert.equal(out, "plain \x01 bytes\r\n");
    assert.deepEqual(streams.raw, [true, false]);
    assert.deepEqual(bodyOf(asked).HostConfig.ConsoleSize, [24, 80]);
    assert.deepEqual(asked.find(({ path }) => path.endsWith("/resize"))?.query, { h: "24", w: "80" });
  });

  it("lets go at ctrl-p ctrl-q and leaves the container running", async () => {
    const passed: string[] = [];
    const script = aContainer((socket) => {
      socket.on("data", (chunk: Buffer) => passed.push(chunk.toString()));
      return new Promise(() => {});
    });
    const streams = fakeIo({ tty: true });
    setTimeout(() => streams.stdin.write("ls\x10"), 30);
    setTimeout(() => streams.stdin.write("\x11never"), 60);
    const { status } = await onggi(script, ["run", "-it", "debian"], streams);

    assert.equal(status, 0);
    assert.equal(passed.join(""), "ls");
    assert.deepEqual(streams.raw, [true, false]);
  });

  it("refuses a terminal where there is none, before anything is made", async () => {
    const { status, err, asked } = await onggi({}, ["run", "-it", "debian"]);

    assert.equal(status, 1);
    assert.match(err, /the input device is not a TTY/);
    assert.deepEqual(asked, []);
  });

  it("pulls an image that isn't there, on stderr", async () => {
    let pulled = false;
    const script = aContainer(() => 0, {
      "POST /containers/create": () =>
        pulled
          ? { status: 201, json: { Id: id, Warnings: ["careful"] } }
          : { status: 404, json: { message: "No such image: debian:latest" } },
      "POST /images/create": () => {
        pulled = true;
        return { text: `${JSON.stringify({ id: "latest", status: "Pulling from library/debian" })}\n` };
      },
    });
    const { status, out, err, asked } = await onggi(script, ["run", "debian"]);

    assert.equal(status, 0);
    assert.equal(out, "");
    assert.equal(
      err,
      "Unable to find image 'debian:latest' locally\nlatest: Pulling from library/debian\nWARNING: careful\n",
    );
    const pull = asked.find(({ path }) => path === "/images/create");
    assert.deepEqual(pull?.query, { fromImage: "debian", tag: "latest" });
  });

  it("makes the image host instead of pulling it", async () => {
    let made = false;
    const script = aContainer(() => 0, {
      "POST /containers/create": () =>
        made
          ? { status: 201, json: { Id: id, Warnings: [] } }
          : { status: 404, json: { message: "No such image: host:latest" } },
      "POST /onggi/v1/images/from-host": () => {
        made = true;
        return { text: '{"status":"stress is missing"}\n{"aux":{"ID":"sha256:1"}}\n' };
      },
    });
    const { status, err, asked } = await onggi(script, ["run", "--rm", "host", "true"]);

    assert.equal(status, 0);
    assert.match(err, /making the image 'host'/);
    assert.match(err, /stress is missing/);
    assert.deepEqual(asked.find(({ path }) => path.startsWith("/onggi"))?.body, { reference: "host:latest" });
  });

  it("never pulls with --pull never", async () => {
    const { status, err } = await onggi(
      { "POST /containers/create": () => ({ status: 404, json: { message: "No such image: x:latest" } }) },
      ["run", "--pull=never", "x"],
    );

    assert.equal(status, 125);
    assert.match(err, /^onggi: Error response from daemon: No such image: x:latest/);
  });

  for (const [message, expected] of [
    ['exec: "nope": executable file not found in $PATH', 127],
    ['exec: "/etc": permission denied', 126],
    ["something else", 125],
  ] as const) {
    it(`ends with ${expected} for "${message}"`, async () => {
      const script = {
        ...aContainer(() => 0),
        [`POST /containers/${id}/start`]: () => ({ status: 400, json: { message } }),
      };
      const { status, err } = await onggi(script, ["run", "debian", "nope"]);

      assert.equal(status, expected);
      assert.ok(err.includes(message));
    });
  }

  it("shows the daemon's sentence and hint apart", async () => {
    const { err } = await onggi(
      {
        "POST /containers/create": () => ({
          status: 409,
          json: { message: "taken\nRename it.", sentence: "taken", hint: "Rename it." },
        }),
      },
      ["run", "debian"],
    );

    assert.equal(err, "onggi: Error response from daemon: taken\nRename it.\n");
  });

  it("hands signals on to the container", async () => {
    let killed: string | undefined;
    const done = Promise.withResolvers<number>();
    const script = aContainer(
      () => {
        setTimeout(() => process.emit("SIGTERM", "SIGTERM"), 20);
        return done.promise;
      },
      {
        "POST kill": ({ query }) => {
          killed = query.signal;
          done.resolve(143);
          return { status: 204 };
        },
      },
    );
    const { status } = await onggi(script, ["run", "debian", "sleep"]);

    assert.equal(killed, "SIGTERM");
    assert.equal(status, 143);
    assert.equal(process.listenerCount("SIGTERM"), 0);
  });

  it("writes the id to --cidfile, and takes the file away when nothing was made", async () => {
    const folder = mkdtempSync(join(tmpdir(), "onggi-cid-"));
    const path = join(folder, "id");
    try {
      const failed = await onggi({ "POST /containers/create": () => ({ status: 500, json: { message: "no" } }) }, [
        "run",
        "--cidfile",
        path,
        "x",
      ]);
      assert.equal(failed.status, 125);
      assert.equal(existsSync(path), false);

      await onggi(
        aContainer(() => 0),
        ["run", "--cidfile", path, "x"],
      );
      assert.equal(readFileSync(path, "utf8"), id);

      const again = await onggi({}, ["run", "--cidfile", path, "x"]);
      assert.equal(again.status, 125);
      assert.match(again.err, /container ID file found/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("names the socket, the reason and the remedy when no daemon answers there", async () => {
    const { io, texts } = fakeIo();
    const status = await main(["-H", "unix:///nonexistent/api.sock", "run", "debian"], io);

    assert.equal(status, 125);
    assert.match(texts.err, /unix:\/\/\/nonexistent\/api.sock: there is no such socket\n.*-H or ONGGI_HOST/);
  });
});
