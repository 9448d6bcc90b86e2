import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { commands, groups } from "./catalog.ts";
import { fakeIo, frame, type Script, withFakeDaemon } from "./fake-daemon.ts";
import { main } from "./main.ts";
import { distance } from "./suggest.ts";

async function onggi(words: readonly string[], script?: Script, streams = fakeIo()) {
  if (script === undefined) return { status: await main(words, streams.io), asked: [], ...streams.texts };
  return await withFakeDaemon(script, async ({ socketPath, asked }) => {
    const status = await main(["-H", `unix://${socketPath}`, ...words], streams.io);
    return { status, asked, ...streams.texts };
  });
}

const running = { Running: true, Paused: false, Restarting: false };

describe("onggi", () => {
  it("shows all commands in groups, and the flags of one", async () => {
    const { out, status } = await onggi(["help"]);
    assert.equal(status, 0);
    for (const name of [...Object.keys(commands), ...Object.keys(groups)])
      assert.match(out, new RegExp(`^  ${name} `, "m"));

    const run = await onggi(["run", "--help"]);
    assert.match(run.out, /^Usage: {2}onggi run \[OPTIONS\] IMAGE \[COMMAND\] \[ARG\.\.\.\]$/m);
    assert.match(run.out, /^ {2}-p, --publish list +Publish a port/m);
    assert.equal((await onggi(["help", "run"])).out, run.out);
    assert.match((await onggi(["image"])).out, /from-host/);
    assert.equal((await onggi(["help", "nonsense"])).status, 1);
  });

  it("loads every command under its own name", async () => {
    for (const [name, { load }] of Object.entries(commands)) assert.equal((await load()).name, name);
    for (const { commands: verbs, aliases } of Object.values(groups)) {
      for (const load of Object.values(verbs)) assert.ok((await load()).summary.length > 0);
      for (const verb of Object.values(aliases)) assert.ok(verb in verbs);
    }
  });

  for (const [line, status, text] of [
    ["runn", 1, "onggi: unknown command: onggi runn\n\nDid you mean 'onggi run'?"],
    ["container lss", 1, "Did you mean 'onggi container ls'?"],
    ["xyzzyx", 1, "onggi: unknown command: onggi xyzzyx\n\nRun 'onggi --help'"],
    [
      "run --foo",
      125,
      "unknown flag: --foo\n\nUsage:  onggi run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\nRun 'onggi run --help'",
    ],
    ["run", 1, "onggi: 'onggi run' requires at least 1 argument\n\nUsage:"],
    ["ps x", 1, "onggi: 'onggi ps' accepts no arguments"],
    ["tag a", 1, "onggi: 'onggi tag' requires 2 arguments"],
    ["logs a b", 1, "onggi: 'onggi logs' requires 1 argument\n"],
    ["--nope ps", 125, "unknown flag: --nope"],
    [
      "-H tcp://1.2.3.4:5 ps",
      1,
      'onggi: can\'t reach the daemon at "tcp://1.2.3.4:5"\nOnggi listens on a unix socket only',
    ],
    ["run --rm --restart always x", 125, "cannot specify both --restart and --rm\n\nRun 'onggi run --help'"],
  ] as const) {
    it(`answers "${line}" as Docker does`, async () => {
      const { status: actual, err } = await onggi(line.split(" "));
      assert.equal(actual, status);
      assert.ok(err.includes(text), err);
    });
  }

  it("tells its version", async () => {
    assert.match((await onggi(["--version"])).out, /^Onggi version \d+\.\d+\.\d+\n$/);
  });

  it("counts the letters that two words differ by", () => {
    assert.equal(distance("run", "run"), 0);
    assert.equal(distance("rnu", "run"), 1);
    assert.equal(distance("iamges", "images"), 1);
    assert.equal(distance("", "abc"), 3);
  });

  it("reaches a socket whose path is too long for the kernel", async () => {
    const folder = mkdtempSync(join(tmpdir(), "onggi-long-"));
    const deep = join(folder, "d".repeat(100), "e".repeat(60));
    mkdirSync(deep, { recursive: true });
    const cwd = process.cwd();
    const server = createServer((_, response) => response.end("[]"));
    try {
      process.chdir(deep);
      await new Promise<void>((resolve) => server.listen("api.sock", resolve));
      process.chdir(cwd);
      const { status, err } = await onggi(["-H", `unix://${deep}/api.sock`, "ps", "-q"]);
      assert.equal(err, "");
      assert.equal(status, 0);
    } finally {
      process.chdir(cwd);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      rmSync(folder, { recursive: true });
    }
  });

  it("shows a stack only when debugging", async () => {
    const broken: Script = { "GET /containers/json": () => ({ text: "not JSON" }) };
    assert.doesNotMatch((await onggi(["ps"], broken)).err, /\n\s+at /);
    assert.match((await onggi(["-D", "ps"], broken)).err, /\n\s+at /);
  });
});

describe("onggi exec", () => {
  const script = (exitCode: number): Script => ({
    "POST /containers/web/exec": () => ({ status: 201, json: { Id: "e1" } }),
    "POST /exec/e1/start": () => ({ hijack: (socket) => void socket.end(frame(1, "hi\n")) }),
    "GET /exec/e1/json": () => ({ json: { Running: false, ExitCode: exitCode } }),
  });

  it("ends with the command's status", async () => {
    const { status, out, asked } = await onggi(
      ["exec", "-e", "A=1", "-w", "/x", "web", "sh", "-c", "exit 5"],
      script(5),
    );
    assert.equal(status, 5);
    assert.equal(out, "hi\n");
    const body = asked[0]?.body as Record<string, unknown>;
    assert.deepEqual(body.Cmd, ["sh", "-c", "exit 5"]);
    assert.deepEqual(body.Env, ["A=1"]);
    assert.equal(body.WorkingDir, "/x");
  });

  it("ends with 127 for a command that isn't there", async () => {
    const refused: Script = {
      ...script(0),
      "POST /exec/e1/start": () => ({
        status: 400,
        json: { message: 'exec: "x": executable file not found in $PATH' },
      }),
    };
    const { status, err } = await onggi(["exec", "web", "x"], refused);
    assert.equal(status, 127);
    assert.match(err, /^Error response from daemon: exec: "x"/);
  });

  it("returns at once when detached", async () => {
    const detached: Script = { ...script(0), "POST /exec/e1/start": () => ({ status: 200 }) };
    const { status, asked } = await onggi(["exec", "-d", "web", "x"], detached);
    assert.equal(status, 0);
    assert.deepEqual(asked.at(-1)?.body, { Detach: true, Tty: false });
  });
});

describe("commands", () => {
  const inspected = {
    Id: "c1",
    Name: "/web",
    State: running,
    Config: { Tty: false, OpenStdin: false },
    HostConfig: {},
    NetworkSettings: { Ports: {} },
  };

  it("go on where one of several fails", async () => {
    const { status, out, err } = await onggi(["stop", "-t", "3", "a", "nope", "b"], {
      "POST /containers/a/stop": () => ({ status: 204 }),
      "POST /containers/b/stop": () => ({ status: 304 }),
      "POST /containers/nope/stop": () => ({ status: 404, json: { message: "No such container: nope" } }),
    });
    assert.equal(status, 1);
    assert.equal(out, "a\nb\n");
    assert.equal(err, "Error response from daemon: No such container: nope\n");
  });

  it("rm -f is content with what isn't there", async () => {
    const script: Script = {
      "DELETE /containers/x": () => ({ status: 404, json: { message: "No such container: x" } }),
    };
    assert.equal((await onggi(["rm", "-f", "x"], script)).status, 0);
    assert.equal((await onggi(["rm", "x"], script)).status, 1);
  });

  it("logs parts the streams and passes on what was asked", async () => {
    const { out, err, asked } = await onggi(["logs", "-f", "-n", "5", "-t", "--since", "1767225600", "web"], {
      "GET /containers/web/json": () => ({ json: inspected }),
      "GET /containers/c1/logs": () => ({ text: Buffer.concat([frame(1, "a\n"), frame(2, "b\n")]) }),
    });
    assert.equal(out, "a\n");
    assert.equal(err, "b\n");
    assert.deepEqual(asked.at(-1)?.query, {
      stdout: "1",
      stderr: "1",
      follow: "1",
      timestamps: "1",
      tail: "5",
      since: "1767225600",
    });
  });

  it("inspect prints a list, fills templates, and names what isn't there", async () => {
    const script: Script = { "GET /containers/web/json": () => ({ json: inspected }) };
    assert.equal((await onggi(["inspect", "web"], script)).out, `${JSON.stringify([inspected], undefined, 4)}\n`);
    assert.equal((await onggi(["inspect", "-f", "{{.State.Running}}", "web"], script)).out, "true\n");
    const missing = await onggi(["inspect", "web", "nope"], script);
    assert.equal(missing.status, 1);
    assert.equal(missing.err, "Error: No such object: nope\n");
    assert.equal(JSON.parse(missing.out).length, 1);
    assert.match(
      (await onggi(["inspect", "-f", "{{.Nope}}", "web"], script)).err,
      /^template parsing error: .*map has no entry for key "Nope"/,
    );
  });

  it("wait prints each status", async () => {
    const { out } = await onggi(["wait", "a", "b"], {
      "POST /containers/a/wait": () => ({ later: Promise.resolve({ StatusCode: 3 }) }),
      "POST /containers/b/wait": () => ({ later: Promise.resolve({ StatusCode: 0 }) }),
    });
    assert.equal(out, "3\n0\n");
  });

  it("events prints a line each, to the nanosecond", async () => {
    const event =
      '{"Type":"container","Action":"start","Actor":{"ID":"abc","Attributes":{"name":"web","image":"d"}},"scope":"local","time":1767225600,"timeNano":1767225600123456789}\n';
    const script: Script = { "GET /events": () => ({ text: event }) };
    assert.match(
      (await onggi(["events"], script)).out,
      /^\d{4}-\d\d-\d\dT[\d:]{8}\.123456789\S+ container start abc \(image=d, name=web\)\n$/,
    );
    assert.equal(
      (await onggi(["events", "--format", "{{.Action}} {{.TimeNano}}"], script)).out,
      "start 1767225600123456789\n",
    );
    assert.equal((await onggi(["events", "--format", "json"], script)).out, event);
  });

  it("port lists all, or one", async () => {
    const ports = {
      "80/tcp": [
        { HostIp: "0.0.0.0", HostPort: "8080" },
        { HostIp: "::", HostPort: "8080" },
      ],
      "443/tcp": null,
    };
    const script: Script = {
      "GET /containers/web/json": () => ({ json: { ...inspected, NetworkSettings: { Ports: ports } } }),
    };
    assert.equal((await onggi(["port", "web"], script)).out, "80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080\n");
    assert.equal((await onggi(["port", "web", "80"], script)).out, "0.0.0.0:8080\n[::]:8080\n");
    assert.equal((await onggi(["port", "web", "443/tcp"], script)).status, 1);
  });

  it("ps sends filters as Docker does", async () => {
    const { asked } = await onggi(["ps", "-a", "-f", "status=exited", "-f", "status=created", "-f", "name=x"], {
      "GET /containers/json": () => ({ json: [] }),
    });
    assert.deepEqual(JSON.parse(asked[0]?.query.filters ?? ""), {
      status: { exited: true, created: true },
      name: { x: true },
    });
    assert.equal(asked[0]?.query.all, "1");
  });

  it("pull ends with an error of the stream", async () => {
    const script: Script = {
      "POST /images/create": () => ({
        text: '{"status":"x"}\n{"errorDetail":{"message":"manifest unknown"},"error":"manifest unknown"}\n',
      }),
    };
    const { status, err } = await onggi(["pull", "localhost:5000/x:1"], script);
    assert.equal(status, 1);
    assert.match(err, /manifest unknown/);
  });

  it("save refuses to write to a terminal", async () => {
    const { status, err } = await onggi(["save", "x"], {}, fakeIo({ tty: true }));
    assert.equal(status, 1);
    assert.match(err, /refusing to save to a terminal/);
  });

  it("load streams an archive from stdin", async () => {
    const streams = fakeIo();
    streams.stdin.end("archive");
    const script: Script = {
      "GET /_ping": () => ({ text: "OK" }),
      "POST /images/load": () => ({ text: '{"stream":"Loaded image: x:1\\n"}\n' }),
    };
    const { out, asked } = await onggi(["load"], script, streams);
    assert.equal(out, "Loaded image: x:1\n");
    assert.equal(asked.at(-1)?.body, "archive");
  });

  it("image from-host prints the id, and what is missing on stderr", async () => {
    const script: Script = {
      "POST /onggi/v1/images/from-host": () => ({
        text: '{"status":"stress is missing"}\n{"status":"copying"}\n{"aux":{"ID":"sha256:1"}}\n',
      }),
    };
    const { out, err, asked } = await onggi(["image", "from-host", "-t", "mine", "ls", "cat"], script);
    assert.equal(out, "sha256:1\n");
    assert.equal(err, "onggi: stress is missing\n");
    assert.deepEqual(asked[0]?.body, { reference: "mine:latest", programs: ["ls", "cat"] });
  });

  it("explain run sends what run would create, and makes nothing", async () => {
    const { out, asked } = await onggi(["explain", "run", "--rm", "-p", "80:80", "host", "ls", "-l"], {
      "POST /onggi/v1/explain": () => ({ text: "#!/bin/bash\n" }),
    });
    assert.equal(out, "#!/bin/bash\n");
    assert.equal(asked.length, 1);
    assert.partialDeepStrictEqual(asked[0]?.body, { Cmd: ["ls", "-l"] });
  });

  it("attach refuses a stopped container", async () => {
    const script: Script = {
      "GET /containers/web/json": () => ({ json: { ...inspected, State: { ...running, Running: false } } }),
    };
    const { status, err } = await onggi(["attach", "web"], script);
    assert.equal(status, 1);
    assert.match(err, /stopped container, start it first/);
  });
});
