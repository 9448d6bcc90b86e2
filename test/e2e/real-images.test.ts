/** Debian with a web server and with a database: loaded, served from, pushed, pulled, saved and built upon. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Inventory } from "../host-inventory.ts";
import { assertNothingLeft, type Client, clientNames, clientOf, skipOf } from "./clients.ts";
import { startDaemon, type TestDaemon } from "./harness.ts";
import { type DebianImage, debianImage, whyNoDebian } from "./image-debian.ts";

const webPackages = ["nginx-light"];
const storePackages = ["redis-server"];
/** As the images of nginx do it, its log goes to where a container's output goes. */
const serveWeb = ["sh", "-c", "ln -sf /dev/stdout /var/log/nginx/access.log && exec nginx -g 'daemon off;'"];
const serveStore = ["redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--dir", "/var/lib/redis"];
const slow = { timeoutMs: 60_000 };

const skip = process.getuid?.() === 0 ? whyNoDebian(webPackages) || whyNoDebian(storePackages) : "needs root";

describe("real images", { skip }, () => {
  let scratch: string;
  let daemon: TestDaemon;
  let onggi: Client;
  let web: DebianImage;
  let store: DebianImage;

  before(async () => {
    web = await debianImage(webPackages);
    store = await debianImage(storePackages);
    scratch = mkdtempSync(join(tmpdir(), "onggi-real-"));
    daemon = await startDaemon();
    onggi = clientOf("onggi", daemon);
  });
  after(async () => {
    await daemon?.stop();
    if (scratch !== undefined) rmSync(scratch, { recursive: true, force: true });
  });

  it("are loaded", async () => {
    for (const { archive, reference } of [web, store]) {
      assert.equal(await onggi.output(["load", "-i", archive], slow), `Loaded image: ${reference}`);
    }
  });

  for (const name of clientNames) {
    describe(`are run by ${name}`, { skip: skipOf(name) }, () => {
      let client: Client;
      let atFirst: Inventory;
      before(() => {
        client = clientOf(name, daemon);
        atFirst = daemon.inventory();
      });
      after(() => assertNothingLeft(daemon, atFirst));

      it("nginx serves its page to the host and to another container, and ends in peace", async () => {
        const id = await client.output([
          "run",
          "-d",
          "-p",
          "0:80",
          "--stop-signal",
          "SIGQUIT",
          web.reference,
          ...serveWeb,
        ]);
        const port = await publishedPort(client, id, "80/tcp");
        const page = await pageOf(port);
        assert.equal(page.status, 200);
        assert.match(await page.text(), /<h1>Welcome to nginx!<\/h1>/);

        const address = await client.output(["inspect", "-f", "{{.NetworkSettings.IPAddress}}", id]);
        const ask = `exec 3<>/dev/tcp/${address}/80; printf 'GET /inside HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3`;
        const answer = await client.output(["run", "--rm", store.reference, "bash", "-c", ask]);
        assert.match(answer, /^HTTP\/1\.1 404 Not Found\r\nServer: nginx/);

        const version = await client.run(["exec", id, "nginx", "-v"]);
        assert.deepEqual([version.code, version.stdout], [0, ""]);
        assert.match(version.stderr, /^nginx version: nginx\/1\./);
        assert.equal(await client.output(["exec", id, "cat", "/proc/1/comm"]), "nginx");
        const said = await untilLogged(client, id, "/inside");
        assert.match(said, /"GET \/ HTTP\/1\.1" 200/);
        assert.match(said, /"GET \/inside HTTP\/1\.0" 404/);

        await client.output(["stop", id]);
        assert.equal(await client.output(["wait", id]), "0");
        await assert.rejects(pageOf(port, 0));
        await client.output(["rm", id]);
      });

      it("redis answers, keeps what it was told over a restart, and ends in peace", async () => {
        const id = await client.output(["run", "-d", "-p", "0:6379", store.reference, ...serveStore]);
        const first = await publishedPort(client, id, "6379/tcp");
        assert.equal(await redis(first, "PING"), "+PONG\r\n");
        assert.equal(await redis(first, "SET jar soy"), "+OK\r\n");
        assert.equal(await redis(first, "GET jar"), "$3\r\nsoy\r\n");
        assert.equal(await client.output(["exec", id, "redis-cli", "get", "jar"]), "soy");

        await client.output(["restart", id]);
        const second = await publishedPort(client, id, "6379/tcp");
        assert.equal(await redis(second, "GET jar"), "$3\r\nsoy\r\n");

        await client.output(["stop", id]);
        assert.equal(await client.output(["wait", id]), "0");
        assert.match(await client.output(["logs", id]), /Ready to accept connections[\s\S]*bye bye/);
        await client.output(["rm", id]);
      });
    });
  }
});

async function publishedPort(client: Client, id: string, port: string): Promise<number> {
  const said = await client.output(["port", id, port]);
  const found = /^0\.0\.0\.0:(\d+)$/m.exec(said)?.[1];
  assert.ok(found !== undefined, `no port in: ${said}`);
  return Number(found);
}

/** The web server's first page, once it listens. */
async function pageOf(port: number, patienceMs = 10_000): Promise<Response> {
  for (const deadline = Date.now() + patienceMs; ; await sleep(50)) {
    try {
      return await fetch(`http://127.0.0.1:${port}/`, {
        headers: { connection: "close" },
        signal: AbortSignal.timeout(5000),
      });
    } catch (error) {
      if (Date.now() >= deadline) throw error;
    }
  }
}

/** The answer to one command in Redis' inline form, once it listens. */
async function redis(port: number, command: string): Promise<string> {
  for (const deadline = Date.now() + 10_000; ; await sleep(50)) {
    const answer = await exchange(port, `${command}\r\nQUIT\r\n`).catch((error: Error) => error);
    if (typeof answer === "string" && answer.endsWith("+OK\r\n")) return answer.slice(0, -"+OK\r\n".length);
    if (Date.now() >= deadline) throw new Error(`redis on port ${port} answered ${command} with ${answer}`);
  }
}

function exchange(port: number, question: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(question));
    socket.setTimeout(5000, () => socket.destroy(new Error("silence")));
    socket.setEncoding("utf8");
    socket.on("data", (text) => {
      answer += text;
    });
    socket.once("end", () => resolve(answer)).once("error", reject);
  });
}

async function untilLogged(client: Client, id: string, text: string): Promise<string> {
  for (const deadline = Date.now() + 5000; ; await sleep(50)) {
    const said = await client.output(["logs", id]);
    if (said.includes(text) || Date.now() >= deadline) return said;
  }
}
