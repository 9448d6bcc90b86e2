import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { listenOn, parseHosts } from "./listen.ts";
import { serveFake } from "./testing/serve.ts";

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
    // A process that is killed leaves its socket behind.
    const script = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
    spawnSync(process.execPath, ["-e", script]);
    assert.ok(existsSync(path));
    const server = createServer();
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
