/** What a bridge network must do. Run by `network.test.ts` in a network namespace of its own, which stands for the host. */
import assert from "node:assert/strict";
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { isOnggiError } from "../../src/base/error.ts";
import type { Executor, Monitor, Worker } from "../../src/executor/executor.ts";
import { openExecutor } from "../../src/executor/spawner.ts";
import { type BridgeNetworkOptions, openBridgeNetwork } from "../../src/network/bridge-network.ts";
import { readInterfaceStats } from "../../src/network/interface-stats.ts";
import { loopbackSteps } from "../../src/network/loopback.ts";
import type { BridgeNetwork, Connection, PublishedPort } from "../../src/network/network.ts";
import { CLONE_NEWPID } from "../../src/program/kernel.ts";
import type { Op, Steps } from "../../src/program/op.ts";

const tag = process.pid % 100_000;
const bridge = `ogt${tag}`;
const table = `onggi-${bridge}`;
const subnet = "172.30.0.0/16";
const hostPort = 20_000 + (tag % 10_000);
/** A namespace that stands for the outside, with a cable to the host. */
const outside = { netns: `ogtout${tag}`, link: `ogto${tag}`, address: "198.51.100.2", host: "198.51.100.1" };

let scratch: string;
let executor: Executor;
let worker: Worker;
let network: BridgeNetwork;
let forwarding: string;
let serial = 0;
const live = new Set<Container>();
const listeners: Server[] = [];

const options = (): BridgeNetworkOptions => ({
  name: "bridge",
  bridge,
  subnet,
  root: join(scratch, "networks"),
  runRoot: join(scratch, "leases"),
  perform: (ops) => worker.run(ops),
});

before(async () => {
  scratch = mkdtempSync(join(tmpdir(), "onggi-network-"));
  executor = await openExecutor({
    binary: join(import.meta.dirname, "../../build/onggi-exec"),
    socketDirectory: scratch,
  });
  worker = await executor.work([]);
  forwarding = readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8").trim();
  ip("netns", "add", outside.netns);
  ip("link", "add", outside.link, "type", "veth", "peer", "name", "eth0", "netns", outside.netns);
  ip("addr", "add", `${outside.host}/24`, "dev", outside.link);
  ip("link", "set", outside.link, "up");
  const inside = (...args: string[]) => ip("-n", outside.netns, ...args);
  inside("link", "set", "lo", "up");
  inside("link", "set", "eth0", "up");
  inside("addr", "add", `${outside.address}/24`, "dev", "eth0");
  inside("route", "add", subnet, "via", outside.host);
  network = await openBridgeNetwork(options());
});

afterEach(async () => {
  for (const listener of listeners.splice(0)) listener.close();
  for (const container of [...live]) await container.end();
});

after(async () => {
  await network.close();
  assert.ok(!existsSync(`/sys/class/net/${bridge}`), "the bridge is still there");
  assert.ok(!nft("list", "tables").includes(table), "the table is still there");
  await worker.close();
  await executor.close();
  ip("netns", "del", outside.netns);
  rmSync(scratch, { recursive: true });
});

interface Container extends Connection {
  readonly id: string;
  readonly pid: number;
  readonly monitor: Monitor;
  end(): Promise<void>;
}

/** Starts a container of which nothing but the network is its own; `script` is Node's. */
async function start(ports: readonly PublishedPort[] = [], script = server): Promise<Container> {
  const id = `${(++serial).toString(16).padStart(12, "0")}${"0".repeat(52)}`;
  const connection = await network.connect(id, ports);
  const monitor = await launch(connection.steps, script);
  const end = async () => {
    monitor.kill(9);
    assert.deepEqual(await monitor.tornDown, []);
    network.release(id);
    live.delete(container);
  };
  const container: Container = { ...connection, id, pid: monitor.pid, monitor, end };
  live.add(container);
  if (script === server) await answering(container.address);
  return container;
}

function launch(steps: Steps, script: string): Promise<Monitor> {
  const argv = [process.execPath, "-e", script];
  return executor.launch({
    host: [
      ...steps.host,
      { op: "stdio", terminal: false, stdin: false, rows: 24, columns: 80 },
      { op: "clone", flags: CLONE_NEWPID },
    ],
    child: [...steps.child, { op: "exec", file: process.execPath, argv, env: [], searchPath: "/usr/bin:/bin" }],
    teardown: steps.teardown,
  });
}

/** Answers on TCP 8080 and UDP 9090 with its own address and, after a blank, whom it sees. */
const server = `
  const own = require("os").networkInterfaces().eth0[0].address;
  require("net").createServer((s) => { s.on("error", () => {}); s.end(own + " " + s.remoteAddress); }).listen(8080, "0.0.0.0");
  const u = require("dgram").createSocket("udp4");
  u.on("message", (_, from) => u.send(own + " " + from.address, from.port, from.address)).bind(9090);`;

const clients = {
  tcp: (address: string, port: number) => `
    const s = require("net").connect(${port}, "${address}");
    s.setTimeout(1500, () => { console.log("silence"); process.exit(); });
    s.on("error", (e) => console.log(e.code)).on("data", (d) => console.log(String(d)));`,
  udp: (address: string, port: number) => `
    const u = require("dgram").createSocket("udp4");
    setTimeout(() => { console.log("silence"); process.exit(); }, 1500).unref();
    u.on("error", (e) => console.log(e.code)).on("message", (d) => { console.log(String(d)); u.close(); });
    u.send("?", ${port}, "${address}");`,
};

/** Asks from the host itself, a container or the outside; the server's answer, an errno or "silence". */
async function ask(
  from: "host" | "outside" | Container,
  protocol: "tcp" | "udp",
  address: string,
  port: number,
): Promise<string> {
  const script = clients[protocol](address, port);
  const place =
    from === "host"
      ? []
      : [`nsenter`, `--net=${from === "outside" ? `/run/netns/${outside.netns}` : `/proc/${from.pid}/ns/net`}`];
  return (await output([...place, process.execPath, "-e", script])).trim();
}

async function answering(address: string): Promise<void> {
  for (let tries = 0; tries < 50; tries++) {
    const answer = await ask("host", "tcp", address, 8080);
    if (answer.startsWith(address)) return;
    await sleep(20);
  }
  assert.fail(`the server at ${address} does not answer`);
}

function port(fields: Partial<PublishedPort> = {}): PublishedPort {
  return { containerPort: 8080, protocol: "tcp", hostAddress: "", hostPort, ...fields };
}

async function output([file = "", ...args]: readonly string[]): Promise<string> {
  return (await promisify(execFile)(file, args, { timeout: 20_000 })).stdout;
}

function ip(...args: readonly string[]): string {
  return execFileSync("ip", args, { encoding: "utf8" });
}

function nft(...args: readonly string[]): string {
  return execFileSync("nft", args, { encoding: "utf8" });
}

/** The output of a command in a container's network namespace. */
async function inside(container: Container, ...argv: readonly string[]): Promise<string> {
  return output(["nsenter", `--net=/proc/${container.pid}/ns/net`, ...argv]);
}

describe("a container on a bridge", () => {
  it("has the address, route and link that it was told of", async () => {
    const container = await start();
    const links = await inside(container, "ip", "-o", "addr", "show", "eth0");

    assert.match(links, new RegExp(`inet ${container.address}/16 brd 172.30.255.255`));
    assert.doesNotMatch(links, /inet6/);
    assert.match(await inside(container, "ip", "route"), /default via 172\.30\.0\.1 dev eth0/);
    assert.match(await inside(container, "ip", "link", "show", "eth0"), new RegExp(container.mac));
    assert.match(await inside(container, "ip", "link", "show", "lo"), /LOWER_UP/);
    assert.match(ip("link", "show", container.hostLink), new RegExp(`master ${bridge}`));
  });

  it("reaches the host, its neighbours and the outside, which sees the host's address", async () => {
    const [one, two] = [await start(), await start()];
    await listen("172.30.0.1", hostPort, "host");

    assert.equal(await ask(one, "tcp", "172.30.0.1", hostPort), "host");
    assert.equal(await ask(one, "tcp", two.address, 8080), `${two.address} ${one.address}`);
    const remote = await runServerOutside();
    assert.equal(await ask(one, "tcp", outside.address, 8080), `${outside.address} ${outside.host}`);
    remote.kill("SIGKILL");
  });

  it("is not reached from outside where nothing is published", async () => {
    const container = await start();

    assert.equal(await ask("outside", "tcp", container.address, 8080), "silence");
  });

  it("doesn't reach what listens on the host's loopback", async () => {
    const container = await start();
    await listen("127.0.0.1", hostPort, "secret");
    await inside(
      container,
      "sh",
      "-c",
      "echo 1 >/proc/sys/net/ipv4/conf/eth0/route_localnet; ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.0/8 via 172.30.0.1",
    );

    assert.equal(await ask(container, "tcp", "127.0.0.1", hostPort), "silence");
  });

  it("is made by the commands that its steps are explained with, too", async () => {
    const { steps, address, mac, hostLink } = network.preview("explained", [port()]);
    const holder = spawn("unshare", ["--net", "sleep", "60"], { stdio: "ignore" });
    await sleep(200);
    const commands = (ops: readonly Op[], slot: string) =>
      ops.flatMap((op) => (op.op === "netlink" && op.slot === slot ? op.shell : [])).join("\n");
    const run = (script: string) =>
      execFileSync("sh", ["-ec", script], { env: { ...process.env, pid: String(holder.pid) } });
    run(commands(steps.host, "net:firewall"));
    run(commands(steps.child, "net:host"));
    run(`nsenter --net=/proc/$pid/ns/net sh -ec '${commands(steps.child, "net:inside")}'`);
    const inside = ["--net", `--target=${holder.pid}`, "ip", "-o"];
    const shown = execFileSync("nsenter", [...inside, "addr", "show", "eth0"], { encoding: "utf8" });
    const link = execFileSync("nsenter", [...inside, "link", "show", "eth0"], { encoding: "utf8" });
    const route = execFileSync("nsenter", [...inside, "route"], { encoding: "utf8" });
    const published = nft("list", "map", "ip", table, "published");
    const hairpin = readFileSync(`/sys/class/net/${hostLink}/brport/hairpin_mode`, "utf8").trim();
    run(commands(steps.teardown, "net:teardown"));
    holder.kill();

    assert.match(shown, new RegExp(`^2: eth0 +inet ${address}/16 brd 172.30.255.255 scope global eth0`));
    assert.match(link, new RegExp(`state UP .* link/ether ${mac}`));
    assert.match(route, /default via 172\.30\.0\.1 dev eth0/);
    assert.match(published, new RegExp(`tcp \\. ${hostPort} : ${address} \\. 8080`));
    assert.equal(hairpin, "1");
    assert.doesNotMatch(nft("list", "map", "ip", table, "published"), /elements/);
  });

  it("is counted at the host's end, from its own point of view", async () => {
    const container = await start();
    const stats = readInterfaceStats(container.hostLink);

    assert.ok(stats !== undefined && stats.rxBytes > 0 && stats.txBytes > 0);
    await inside(
      container,
      process.execPath,
      "-e",
      `const u=require("dgram").createSocket("udp4");u.send(Buffer.alloc(1000),9,"172.30.0.1",()=>u.close())`,
    );
    const later = readInterfaceStats(container.hostLink);
    assert.ok(later !== undefined && later.txBytes - stats.txBytes >= 1000);
    assert.equal(readInterfaceStats("ogt-none"), undefined);
  });

  it("leaves nothing when it ends", async () => {
    const container = await start([port(), port({ protocol: "udp", containerPort: 9090 })]);
    assert.equal(readdirSync(join(scratch, "leases")).length, 1);
    await container.end();

    assert.deepEqual(readdirSync(join(scratch, "leases")), []);
    assert.doesNotMatch(nft("list", "map", "ip", table, "published"), /elements/);
    for (let tries = 0; existsSync(`/sys/class/net/${container.hostLink}`); tries++) {
      assert.ok(tries < 100, "the link is still there");
      await sleep(50);
    }
  });
});

describe("a published port", () => {
  it("is reached at every address of the host, from everywhere", async () => {
    const container = await start([port(), port({ protocol: "udp", containerPort: 9090 })]);
    const other = await start();

    for (const protocol of ["tcp", "udp"] as const) {
      const at = async (from: "host" | "outside" | Container, address: string) =>
        (await ask(from, protocol, address, hostPort)).split(" ")[0];
      assert.equal(await at("host", "127.0.0.1"), container.address, `${protocol} at 127.0.0.1`);
      assert.equal(await at("host", outside.host), container.address, `${protocol} at the host's address`);
      assert.equal(await at("host", "172.30.0.1"), container.address, `${protocol} at the bridge`);
      assert.equal(await at("outside", outside.host), container.address, `${protocol} from outside`);
      assert.equal(await at(other, outside.host), container.address, `${protocol} from another container`);
      assert.equal(
        await at(other, "172.30.0.1"),
        container.address,
        `${protocol} from another container, at the bridge`,
      );
      assert.equal(await at(container, outside.host), container.address, `${protocol} from itself`);
    }
  });

  it("shows the container who asks from outside", async () => {
    const container = await start([port()]);

    assert.equal(await ask("outside", "tcp", outside.host, hostPort), `${container.address} ${outside.address}`);
  });

  it("on 127.0.0.1 is for the host alone", async () => {
    const container = await start([port({ hostAddress: "127.0.0.1" })]);
    const other = await start();

    assert.equal((await ask("host", "tcp", "127.0.0.1", hostPort)).split(" ")[0], container.address);
    assert.equal(await ask("host", "tcp", outside.host, hostPort), "ECONNREFUSED");
    assert.equal(await ask("outside", "tcp", outside.host, hostPort), "ECONNREFUSED");
    assert.equal(await ask(other, "tcp", "172.30.0.1", hostPort), "ECONNREFUSED");
  });

  it("leads to another container at another address of the host", async () => {
    const [one, two] = [
      await start([port({ hostAddress: "127.0.0.1" })]),
      await start([port({ hostAddress: outside.host })]),
    ];

    assert.equal((await ask("host", "tcp", "127.0.0.1", hostPort)).split(" ")[0], one.address);
    assert.equal((await ask("outside", "tcp", outside.host, hostPort)).split(" ")[0], two.address);
  });

  it("of UDP leads to the next container at once, whoever had it before", async () => {
    const udp = port({ protocol: "udp", containerPort: 9090 });
    const script = `const u=require("dgram").createSocket("udp4");let n=0;
      u.on("message",(d)=>console.log(String(d).split(" ")[0]));
      u.bind(0,()=>setInterval(()=>{u.send("?",${hostPort},"${outside.host}");if(++n>40)process.exit()},100))`;
    const asking = output(["nsenter", `--net=/run/netns/${outside.netns}`, process.execPath, "-e", script]);
    await sleep(300); // its first datagrams pass by, and are remembered
    const one = await start([udp]);
    await sleep(500);
    await one.end();
    const two = await start([udp]);
    const heard = new Set((await asking).trim().split("\n"));

    assert.deepEqual([...heard], [one.address, two.address]);
  });

  it("is chosen where none is named, and is free", async () => {
    const container = await start([port({ hostPort: 0 }), port({ hostPort: 0 })]);
    const [first, second] = container.ports;

    assert.ok(first !== undefined && second !== undefined && first.hostPort !== second.hostPort);
    assert.equal((await ask("host", "tcp", "127.0.0.1", first.hostPort)).split(" ")[0], container.address);
  });

  it("is refused when a process of the host listens on it, which is named", async () => {
    await listen("127.0.0.1", hostPort, "");
    await assert.rejects(network.connect("c", [port({ hostPort: hostPort + 1 }), port()]), (error) => {
      assert.ok(isOnggiError(error, "conflict"));
      assert.match(
        error.message,
        new RegExp(
          `^driver failed programming external connectivity .*: Bind for 0\\.0\\.0\\.0:${hostPort} failed: port is already allocated$`,
        ),
      );
      assert.match(error.hint ?? "", new RegExp(`process ${process.pid}\\) listens on it`));
      return true;
    });
    const freed = await start([port({ hostPort: hostPort + 1 })]); // what it had taken before that
    assert.equal(freed.ports[0]?.hostPort, hostPort + 1);
  });

  it("is refused when another container has it, on any address that is meant", async () => {
    const container = await start([port()]);

    await assert.rejects(network.connect("c", [port({ hostAddress: "127.0.0.1" })]), (error) => {
      assert.ok(isOnggiError(error, "conflict"));
      assert.match(error.hint ?? "", new RegExp(container.id.slice(0, 12)));
      return true;
    });
  });
});

describe("a bridge network", () => {
  it("keeps id, subnet and containers when it is opened again", async () => {
    const container = await start([port()]);
    const again = await openBridgeNetwork(options());

    assert.deepEqual([again.id, again.subnet, again.createdAtMs], [network.id, subnet, network.createdAtMs]);
    assert.deepEqual(again.leases(), network.leases());
    assert.equal((await ask("outside", "tcp", outside.host, hostPort)).split(" ")[0], container.address);
    await assert.rejects(again.connect("c", [port()]), (error) => isOnggiError(error, "conflict"));
    const next = await again.connect("d", []);
    assert.notEqual(next.address, container.address);
  });

  it("takes another subnet only while no container is connected", async () => {
    const place = { name: "other", bridge: `ogs${tag}`, runRoot: join(scratch, "other") };
    const first = await openBridgeNetwork({ ...options(), ...place, subnet: "172.31.1.0/24" });
    const container = await first.connect("a", []);
    await worker.run(container.steps.host.slice(0, 1)); // its lease
    const change = () => openBridgeNetwork({ ...options(), ...place, subnet: "172.31.2.0/24" });
    await assert.rejects(change(), (error) => isOnggiError(error, "in_use"));
    await worker.run(container.steps.teardown);
    const second = await change();
    const addresses = ip("-o", "-4", "addr", "show", place.bridge);
    await second.close();

    assert.equal(second.id, first.id);
    assert.match(addresses, /inet 172\.31\.2\.1\/24/);
    assert.doesNotMatch(addresses, /172\.31\.1\.1/);
  });

  it("forgets containers that don't run any more, and only those", async () => {
    const [gone, running] = [await start([port()]), await start([port({ hostPort: hostPort + 1 })])];
    const again = await openBridgeNetwork(options());
    await worker.run(again.reconcile(new Set([running.id])));

    assert.deepEqual(readdirSync(join(scratch, "leases")), [running.address]);
    assert.doesNotMatch(nft("list", "map", "ip", table, "published"), new RegExp(`tcp \\. ${hostPort} `));
    assert.equal((await ask("host", "tcp", "127.0.0.1", hostPort + 1)).split(" ")[0], running.address);
    await gone.end();
  });

  it("leaves other tables as they are", async () => {
    const foreign = `ogtforeign${tag}`;
    nft("add", "table", "ip", foreign);
    nft("add", "chain", "ip", foreign, "c", "{ type filter hook forward priority 5; policy accept; }");
    const before = nft("list", "table", "ip", foreign);
    const container = await start([port()]);
    await openBridgeNetwork(options());
    await container.end();

    assert.equal(nft("list", "table", "ip", foreign), before);
    nft("delete", "table", "ip", foreign);
  });

  it("warns of a firewall that drops what is forwarded", async () => {
    const foreign = `ogtforeign${tag}`;
    nft("add", "table", "ip", foreign);
    nft("add", "chain", "ip", foreign, "c", "{ type filter hook forward priority 5; policy drop; }");
    const warnings = await network.warnings();
    nft("delete", "table", "ip", foreign);

    assert.ok(warnings.some((warning) => warning.includes(`chain ip ${foreign} c of this host drops`)));
  });

  it("refuses a link of its name that is no bridge", async () => {
    const { link } = outside;
    await assert.rejects(openBridgeNetwork({ ...options(), name: "other", bridge: link }), (error) =>
      isOnggiError(error, "conflict"),
    );
  });

  it("shows the steps of a container without keeping anything of it", async () => {
    const container = await start([port()]);
    const shown = network.preview("preview", [port(), port({ hostPort: 0 })]);
    const own = network.preview(container.id, [port()]);
    const next = await network.connect("next", []);
    network.release("next");

    assert.ok(shown.steps.child.length > 0);
    assert.equal(own.address, container.address);
    assert.notEqual(shown.address, container.address);
    assert.deepEqual(
      network.leases().map(({ containerId }) => containerId),
      [container.id],
    );
    assert.notEqual(next.address, container.address);
  });

  it("says that its bridge is full before the kernel does", async () => {
    const ids = Array.from({ length: 1023 }, (_, i) => `many${i}`);
    for (const id of ids) await network.connect(id, []);
    await assert.rejects(
      network.connect("one-more", []),
      (error) => isOnggiError(error, "exhausted") && /has all its 1023 ports in use$/.test(error.message),
    );
    for (const id of ids) network.release(id);
  });

  it("takes back what a dead monitor left, by the same steps", async () => {
    const container = await start([port()]);
    process.kill(Number(readFileSync(`/proc/${container.pid}/stat`, "utf8").split(" ")[3]), "SIGKILL");
    await assert.rejects(container.monitor.exited);
    process.kill(container.pid, "SIGKILL");
    await worker.run(container.steps.teardown);
    network.release(container.id);
    live.delete(container);

    assert.deepEqual(readdirSync(join(scratch, "leases")), []);
    assert.doesNotMatch(nft("list", "map", "ip", table, "published"), /elements/);
  });

  it("says that its subnet is full", async () => {
    const small = await openBridgeNetwork({
      ...options(),
      name: "small",
      bridge: `ogs${tag}`,
      subnet: "172.31.255.0/30",
      runRoot: join(scratch, "small"),
    });
    const only = await small.connect("a", []);

    assert.equal(only.address, "172.31.255.2");
    await assert.rejects(
      small.connect("b", []),
      (error) => isOnggiError(error, "exhausted") && /no free address/.test(error.message),
    );
    small.release("a");
    await small.close();
    assert.ok(!existsSync(`/sys/class/net/ogs${tag}`));
  });

  it("turns forwarding on and says so", async () => {
    assert.equal(readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8").trim(), "1");
    const said = (await network.warnings()).some((warning) => warning.includes("ip_forward"));
    assert.equal(said, forwarding === "0");
  });
});

describe("no network", () => {
  it("leaves a container its loopback interface alone", async () => {
    const monitor = await launch(loopbackSteps(), "setTimeout(() => {}, 60000)");
    const links = execFileSync("nsenter", [`--net=/proc/${monitor.pid}/ns/net`, "ip", "-br", "addr"], {
      encoding: "utf8",
    });
    monitor.kill(9);
    await monitor.tornDown;

    assert.match(links, /^lo +UNKNOWN +127\.0\.0\.1\/8/);
    assert.equal(links.trim().split("\n").length, 1);
  });
});

function listen(address: string, at: number, answer: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const listener = createServer((socket) => socket.on("error", () => {}).end(answer));
    listeners.push(listener);
    listener.once("error", reject).listen(at, address, resolve);
  });
}

/** The answering server in the namespace that stands for the outside. */
async function runServerOutside(): Promise<ChildProcess> {
  const place = `--net=/run/netns/${outside.netns}`;
  const child = spawn("nsenter", [place, process.execPath, "-e", server], { stdio: "ignore" });
  await answering(outside.address);
  return child;
}
