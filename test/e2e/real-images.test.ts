/** Debian with a web server and with a database: loaded, served from, pushed, pulled, saved and built upon. */
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { tarEntry } from "../../src/image/tar-entry.ts";
import { encodeTarHeader, tarEnd, tarPadding } from "../../src/image/tar-writer.ts";
import type { Inventory } from "../host-inventory.ts";
import { assertNothingLeft, type Client, clientNames, clientOf, skipOf } from "./clients.ts";
import { login, startRegistry, whyNoRegistry } from "./docker-registry.ts";
import { startDaemon, type TestDaemon } from "./harness.ts";
import { type DebianImage, debianImage, whyNoDebian, writeArchive } from "./image-debian.ts";
import { runCommand } from "./run-command.ts";

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

  describe("go through a registry", { skip: whyNoRegistry }, () => {
    let registry: ChildProcess;
    let host: string;
    before(async () => {
      ({ registry, host } = await startRegistry(scratch));
      const auth = Buffer.from(`${login.username}:${login.password}`).toString("base64");
      mkdirSync(join(scratch, "docker"));
      writeFileSync(join(scratch, "docker/config.json"), JSON.stringify({ auths: { [host]: { auth } } }));
    });
    after(() => {
      registry?.kill("SIGKILL");
    });

    it("not without a login, nor under names that aren't there", async () => {
      const fails = async (pattern: RegExp, ...args: string[]) => {
        const { code, stderr } = await onggi.run(args, { env: { ONGGI_CONFIG: join(scratch, "nobody") } });
        assert.notEqual(code, 0, args.join(" "));
        assert.match(stderr, pattern);
      };
      const name = `${host}/team/debian:1`;
      await fails(/An image does not exist locally with the tag: .*team\/debian/, "push", name);
      await onggi.output(["tag", web.reference, name]);
      await fails(/unauthorized: authentication required\n.*log in first/, "push", name);
      await onggi.output(["rmi", name]);
      await fails(/pull access denied for .*team\/debian/, "pull", name);
      await fails(/127\.0\.0\.1:1\b/, "pull", "127.0.0.1:1/team/debian");
    });

    for (const name of clientNames) {
      it(`and come back the same, by ${name}`, { skip: skipOf(name) }, async () => {
        const client = clientOf(name, daemon);
        // Docker's own file, which onggi reads as well.
        const env = { ONGGI_CONFIG: join(scratch, "nobody"), DOCKER_CONFIG: join(scratch, "docker") };
        const output = (...args: string[]) => client.output(args, { ...slow, env });

        for (const { reference } of name === "onggi" ? [web, store] : [store]) {
          const { Id: id, RootFS } = await inspected(client, reference);
          const repository = `${host}/${name}/${reference.split(":")[0]}`;
          await output("tag", reference, `${repository}:1`);
          const said = await output("push", `${repository}:1`);
          const digest = /^1: digest: (sha256:[0-9a-f]{64}) size: \d+$/m.exec(said)?.[1] ?? assert.fail(said);
          const ids = [...said.matchAll(/^([0-9a-f]{12}): /gm)].map((match) => match[1] ?? "");
          assert.deepEqual([...new Set(ids)], [RootFS.Layers[0]?.slice("sha256:".length, 19)], said);
          await output("rmi", `${repository}:1`, reference);
          await assert.rejects(output("inspect", id));

          assert.match(await output("pull", `${repository}:1`), new RegExp(`^Digest: ${digest}$`, "m"));
          assert.equal((await inspected(client, `${repository}:1`)).Id, id);
          await output("rmi", id);
          await output("pull", `${repository}@${digest}`);
          assert.equal((await inspected(client, `${repository}@${digest}`)).Id, id);
          assert.match(
            await output("run", "--rm", `${repository}@${digest}`, "cat", "/etc/debian_version"),
            /^12\.\d+$/,
          );

          const missing = await client.run(["pull", `${repository}:2`], { env });
          assert.match(missing.stderr, /manifest for .*:2 not found|manifest unknown/);
          const wrong = await client.run(["pull", `${repository}@sha256:${"0".repeat(64)}`], { env });
          assert.match(wrong.stderr, /not found|manifest unknown/);
          assert.ok(missing.code !== 0 && wrong.code !== 0);
          await output("tag", `${repository}@${digest}`, reference);
          await output("rmi", `${repository}@${digest}`);
          assert.equal((await inspected(client, reference)).Id, id);
        }
      });
    }
  });

  it("are saved and loaded again, compressed or not", async () => {
    const { Id: id } = await inspected(onggi, web.reference);
    const path = join(scratch, "saved.tar");
    await onggi.output(["save", "-o", path, web.reference], slow);
    for (const [program, suffix] of [
      ["gzip", ".gz"],
      ["zstd", ".zst"],
    ] as const) {
      const { code, stderr } = await runCommand(program, ["-1", "-k", "-q", path], slow);
      assert.equal(code, 0, stderr);
      await onggi.output(["rmi", id]);
      await assert.rejects(inspected(onggi, web.reference));
      assert.equal(await onggi.output(["load", "-i", `${path}${suffix}`], slow), `Loaded image: ${web.reference}`);
      assert.equal((await inspected(onggi, web.reference)).Id, id);
    }
    await onggi.output(["rmi", id]);
    await onggi.output(["load", "-i", path], slow);
    assert.equal((await inspected(onggi, web.reference)).Id, id);
    assert.match(
      await onggi.output(["run", "--rm", web.reference, "dpkg", "-V", "nginx-light", "coreutils", "bash"]),
      /^$/,
    );
  });

  it("are told of alike by docker and onggi", { skip: skipOf("docker") }, async () => {
    const docker = clientOf("docker", daemon);
    const ours = await inspected(onggi, web.reference);
    const theirs = await inspected(docker, web.reference);
    assert.equal(ours.Id, theirs.Id);
    assert.deepEqual(ours.RootFS, theirs.RootFS);
    assert.deepEqual(withoutEmpty(ours.Config), withoutEmpty(theirs.Config));
    assert.deepEqual(ours.Config.Cmd, ["bash"]);
    assert.equal(ours.RootFS.Layers.length, 1);
    for (const format of ["{{.ID}}", "{{.CreatedBy}}", "{{.CreatedAt}}"]) {
      const args = ["history", "--no-trunc", "--format", format, web.reference];
      assert.equal(await onggi.output(args), await docker.output(args));
    }
    assert.equal(await onggi.output(["history", "--format", "{{.CreatedBy}}", web.reference]), "debootstrap");
  });

  it("show a layer on top, and no longer what it takes away", async () => {
    const archive = join(scratch, "changed.tar");
    const top = layerOf({
      "etc/.wh.issue": "",
      "etc/debian_version": "kept in a jar\n",
      "usr/share/nginx/.wh..wh..opq": "",
      "usr/share/nginx/only": "this\n",
    });
    const reference = "debian-changed:test";
    await writeArchive(archive, { reference, command: ["cat", "/etc/debian_version"], layers: [web.layer, top] });
    await onggi.output(["load", "-i", archive], slow);

    const { RootFS } = await inspected(onggi, reference);
    assert.equal(RootFS.Layers.length, 2);
    assert.equal(RootFS.Layers[0], (await inspected(onggi, web.reference)).RootFS.Layers[0]);
    assert.equal(await onggi.output(["run", "--rm", reference]), "kept in a jar");
    const list = ["sh", "-c", "ls -A /usr/share/nginx; ls -d /etc/issue* /etc/passwd"];
    const inside = async (image: string) => (await onggi.output(["run", "--rm", image, ...list])).split("\n");
    assert.deepEqual(await inside(reference), ["only", "/etc/issue.net", "/etc/passwd"]);
    const below = await inside(web.reference);
    assert.ok(below.includes("html") && below.includes("/etc/issue"), `${below}`);
    await onggi.output(["rmi", reference]);
    assert.ok((await inside(web.reference)).includes("/etc/issue"));
  });
});

interface Inspected {
  readonly Id: string;
  readonly RootFS: { readonly Type: string; readonly Layers: readonly string[] };
  readonly Config: { readonly Cmd: readonly string[] };
}

async function inspected(client: Client, image: string): Promise<Inspected> {
  return JSON.parse(await client.output(["image", "inspect", "-f", "{{json .}}", image])) as Inspected;
}

/** Docker's command line leaves out what is empty in an image's configuration, so that part may differ. */
function withoutEmpty(config: object): object {
  return Object.fromEntries(
    Object.entries(config).filter(([, value]) => value !== null && value !== "" && value !== false),
  );
}

/** The tar of a layer with these files. */
function layerOf(files: Readonly<Record<string, string>>): Buffer {
  const parts = Object.entries(files).flatMap(([path, text]) => {
    const content = Buffer.from(text);
    const header = encodeTarHeader(tarEntry({ type: "file", path, size: content.length }));
    return [header, content, tarPadding(content.length)];
  });
  return Buffer.concat([...parts, tarEnd()]);
}

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
