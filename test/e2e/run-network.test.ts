/** Networks and published ports as clients ask for them, reached from everywhere that one may come from. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createServer } from "node:net";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Inventory } from "../host-inventory.ts";
import { assertNothingLeft, type Client, clientNames, clientOf, skipOf } from "./clients.ts";
import { runCommand, startDaemon, type TestDaemon } from "./harness.ts";

const node = process.execPath;
const tag = process.pid % 1000;
/** Below the range that the kernel gives to clients. */
let nextPort = 30_000 + tag * 2;
const freePorts = (count: number) => {
  nextPort += count;
  return nextPort - count;
};

/** Says whom it talks to, over TCP and UDP, on the ports given. */
const server = `
for (const word of process.argv.slice(1)) {
  const [port, protocol] = word.split("/");
  if (protocol === "udp") {
    const socket = require("node:dgram").createSocket("udp4", (_, from) => socket.send(port + " to " + from.address, from.port, from.address));
    socket.bind(+port);
  } else {
    require("node:net").createServer((socket) => socket.end(port + " to " + socket.remoteAddress.replace("::ffff:", ""))).listen(+port);
  }
}
setInterval(() => {}, 60_000);`;

/** Prints the answer, or why there is none. */
const asker = `
const [address, word] = process.argv.slice(1);
const [port, protocol] = word.split("/");
const say = (text) => { console.log(text); process.exit(0); };
setTimeout(say, 1500, "silence");
if (protocol === "udp") {
  const socket = require("node:dgram").createSocket("udp4", (data) => say(data.toString())).on("error", (error) => say(error.code));
  socket.connect(+port, address, () => socket.send("ask"));
} else {
  let text = "";
  require("node:net").connect(+port, address).on("data", (data) => { text += data; }).on("end", () => say(text)).on("error", (error) => say(error.code));
}`;

/** A namespace that stands for the outside, with a cable to the host. */
const outside = { netns: `ogrnet${tag}`, link: `ogrn${tag}`, address: "203.0.113.2", host: "203.0.113.1" };
const canReach = await runCommand("ip", ["-V"]).then(
  ({ code }) => code === 0 && process.getuid?.() === 0,
  () => false,
);

let daemon: TestDaemon;
let atFirst: Inventory;
let gateway: string;

const fromHost = async (address: string, port: string) =>
  (await runCommand(node, ["-e", asker, address, port])).stdout.trim();
const fromOutside = async (address: string, port: string) =>
  (await runCommand("ip", ["netns", "exec", outside.netns, node, "-e", asker, address, port])).stdout.trim();

describe("networks of containers", { skip: canReach ? false : "there is no ip" }, () => {
  before(async () => {
    ip("netns", "add", outside.netns);
    ip("link", "add", outside.link, "type", "veth", "peer", "name", "eth0", "netns", outside.netns);
    ip("addr", "add", `${outside.host}/24`, "dev", outside.link);
    ip("link", "set", outside.link, "up");
    ip("-n", outside.netns, "addr", "add", `${outside.address}/24`, "dev", "eth0");
    ip("-n", outside.netns, "link", "set", "eth0", "up");
    ip("-n", outside.netns, "link", "set", "lo", "up");
    daemon = await startDaemon();
    const made = await daemon.onggi([
      "image",
      "from-host",
      "-t",
      "net",
      "sh",
      "sleep",
      "cat",
      "ip",
      "ping",
      "hostname",
      "grep",
      node,
    ]);
    assert.equal(made.code, 0, made.stderr);
    gateway =
      (await daemon.onggi(["run", "--rm", "net", "sh", "-c", "ip route show default"])).stdout.split(" ")[2] ?? "";
    atFirst = daemon.inventory();
  });

  after(async () => {
    try {
      await assertNothingLeft(daemon, atFirst);
    } finally {
      await daemon.stop();
      ip("link", "del", outside.link);
      ip("netns", "del", outside.netns);
    }
  });

  for (const name of clientNames) {
    describe(`by ${name}`, { skip: skipOf(name) }, () => {
      let client: Client;
      const start = async (flags: readonly string[], ...ports: string[]) => {
        const id = await client.output(["run", "-d", "--rm", ...flags, "net", node, "-e", server, ...ports]);
        const address = await client.output(["inspect", "-f", "{{.NetworkSettings.IPAddress}}", id]);
        if (address !== "") for (const port of ports) await untilAnswers(address, port);
        return { id, address };
      };
      const fromContainer = (address: string, port: string) =>
        client.output(["run", "--rm", "net", node, "-e", asker, address, port]);
      before(() => {
        client = clientOf(name, daemon);
      });

      it("-p publishes TCP and UDP to everyone", async () => {
        const port = freePorts(1);
        const { id, address } = await start([`-p${port}:80`, "-p", `${port}:53/udp`], "80", "53/udp");
        for (const [inner, outer] of [
          ["80", `${port}`],
          ["53", `${port}/udp`],
        ] as const) {
          for (const target of ["127.0.0.1", gateway, outside.host])
            assert.match(await fromHost(target, outer), new RegExp(`^${inner} to `), `host to ${target}:${outer}`);
          assert.equal(
            await fromOutside(outside.host, outer),
            `${inner} to ${outside.address}`,
            "who asks from outside is known by its own address",
          );
          assert.match(
            await fromContainer(gateway, outer),
            new RegExp(`^${inner} to `),
            `another container to ${outer}`,
          );
          assert.match(
            await fromContainer(outside.host, outer),
            new RegExp(`^${inner} to `),
            `another container to the outer address`,
          );
          assert.match(
            await client.output(["exec", id, node, "-e", asker, gateway, outer]),
            new RegExp(`^${inner} to `),
            `itself by ${outer}`,
          );
        }
        assert.equal(
          await fromContainer(address, "80").then((text) => text.startsWith("80 to ")),
          true,
          "containers reach each other",
        );
        await client.output(["rm", "-f", id]);
        assert.equal(await fromHost("127.0.0.1", `${port}`), "ECONNREFUSED");
        assert.notEqual(await fromOutside(outside.host, `${port}`), `80 to ${outside.address}`);
      });

      it("-p with an address publishes there only", async () => {
        const port = freePorts(1);
        const { id } = await start(["-p", `127.0.0.1:${port}:80`], "80");
        assert.match(await fromHost("127.0.0.1", `${port}`), /^80 to /);
        assert.match(await fromHost(outside.host, `${port}`), /ECONNREFUSED|silence/);
        assert.match(await fromOutside(outside.host, `${port}`), /ECONNREFUSED|silence/);
        assert.equal(await client.output(["port", id]), `80/tcp -> 127.0.0.1:${port}`);
        await client.output(["rm", "-f", id]);

        const other = await start(["-p", `${outside.host}:${port}:80`], "80");
        assert.equal(await fromOutside(outside.host, `${port}`), `80 to ${outside.address}`);
        assert.match(await fromHost("127.0.0.1", `${port}`), /ECONNREFUSED|silence/);
        await client.output(["rm", "-f", other.id]);
      });

      it("-p with a range publishes each", async () => {
        const port = freePorts(3);
        const { id } = await start(["-p", `${port}-${port + 2}:8000-8002`, "--name", "ranged"], "8000", "8001", "8002");
        for (const at of [0, 1, 2])
          assert.match(await fromHost("127.0.0.1", `${port + at}`), new RegExp(`^800${at} to `));
        assert.match(
          await client.output(["ps", "--format", "{{.Ports}}", "-f", "name=ranged"]),
          new RegExp(`^0\\.0\\.0\\.0:${port}->8000/tcp, .*:${port + 2}->8002/tcp$`),
        );
        await client.output(["rm", "-f", id]);
      });

      it("-p with the container's port alone, and -P, choose the host's", async () => {
        const { id } = await start(["-p", "80", "--expose", "81", "--expose", "53/udp", "-P"], "80", "81", "53/udp");
        for (const [inner, word] of [
          ["80/tcp", "80"],
          ["81/tcp", "81"],
          ["53/udp", "53"],
        ] as const) {
          const chosen = (await client.output(["port", id, inner])).split("\n")[0] ?? "";
          const port = /^0\.0\.0\.0:(\d+)$/.exec(chosen)?.[1];
          assert.ok(port !== undefined, chosen);
          assert.match(
            await fromHost("127.0.0.1", inner.endsWith("udp") ? `${port}/udp` : port),
            new RegExp(`^${word} to `),
          );
        }
        await client.output(["rm", "-f", id]);
      });

      it("a port that is taken is refused, by whom it may be", async () => {
        const port = freePorts(1);
        const { id } = await start(["-p", `${port}:80`], "80");
        const again = await client.run(["run", "--rm", "-p", `${port}:80`, "net", "true"]);
        assert.equal(again.code, 125);
        assert.match(again.stderr, /port is already allocated|address already in use/);
        await client.output(["rm", "-f", id]);

        const listener = createServer().listen(port, "0.0.0.0");
        const busy = await client.run(["run", "--rm", "-p", `${port}:80`, "net", "true"]);
        await new Promise((resolve) => listener.close(resolve));
        assert.equal(busy.code, 125);
        assert.match(busy.stderr, new RegExp(`${port}.*(address already in use|port is already allocated)`));
        assert.equal(await client.output(["ps", "-aq"]), "");
      });

      it("containers, host and gateway reach each other by ping", async () => {
        const { id, address } = await start([]);
        assert.match(await client.output(["run", "--rm", "net", "ping", "-c1", "-W2", address]), / 0% packet loss/);
        assert.match(await client.output(["exec", id, "ping", "-c1", "-W2", gateway]), / 0% packet loss/);
        assert.equal((await runCommand("ping", ["-c1", "-W2", address])).code, 0);
        await client.output(["rm", "-f", id]);
      });

      it("the outside is reached under the host's address", async () => {
        const listening = runCommand("ip", [
          "netns",
          "exec",
          outside.netns,
          node,
          "-e",
          `${server}; setTimeout(() => process.exit(0), 4000)`,
          "7000",
        ]);
        await untilAnswers(outside.address, "7000");
        assert.equal(await fromContainer(outside.address, "7000"), `7000 to ${outside.host}`);
        await listening;
      });

      it("--network none has nothing but lo", async () => {
        assert.equal(
          await client
            .output([
              "run",
              "--rm",
              "--network",
              "none",
              "net",
              "sh",
              "-c",
              "ip -o link | grep -vc lo:; ip -o addr show lo | grep -c 127.0.0.1",
            ])
            .catch((error: Error) => error.message),
          "0\n1",
        );
        assert.equal(
          await client.output(["run", "--rm", "--network", "none", "net", node, "-e", asker, gateway, "80"]),
          "ENETUNREACH",
        );
      });

      it("--network host listens on the host itself", async () => {
        const port = freePorts(1);
        const id = await client.output([
          "run",
          "-d",
          "--rm",
          "--network",
          "host",
          "net",
          node,
          "-e",
          server,
          `${port}`,
        ]);
        await untilAnswers("127.0.0.1", `${port}`);
        assert.equal(await fromOutside(outside.host, `${port}`), `${port} to ${outside.address}`);
        await client.output(["rm", "-f", id]);
      });

      it("--network container:NAME shares another's", async () => {
        const { id, address } = await start(["--name", "owner", "-h", "jar"], "80");
        const shared = (...words: string[]) =>
          client.output(["run", "--rm", "--network", "container:owner", "net", ...words]);
        assert.equal(await shared(node, "-e", asker, "127.0.0.1", "80"), "80 to 127.0.0.1");
        assert.equal(await shared("sh", "-c", "hostname; cat /etc/hostname"), "jar\njar");
        assert.match(await shared("cat", "/etc/hosts"), new RegExp(`^${address}\\s+jar$`, "m"));
        await client.output(["rm", "-f", id]);
        const orphan = await client.run(["run", "--rm", "--network", "container:owner", "net", "true"]);
        assert.equal(orphan.code, 125);
        assert.match(orphan.stderr, /[Nn]o such container: owner/);
      });

      it("addresses come back, and no two have the same", async () => {
        const started = await Promise.all([0, 1, 2, 3].map(() => start([])));
        assert.equal(new Set(started.map(({ address }) => address)).size, 4);
        await client.output(["rm", "-f", ...started.map(({ id }) => id)]);
      });
    });
  }
});

async function untilAnswers(address: string, port: string): Promise<void> {
  for (let tries = 0; tries < 30; tries++) {
    if (/ to /.test(await fromHost(address, port))) return;
    await sleep(50);
  }
  assert.fail(`nobody answers at ${address}:${port}`);
}

function ip(...args: string[]): void {
  execFileSync("ip", args, { stdio: ["ignore", "ignore", "inherit"] });
}
