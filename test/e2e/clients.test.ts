/** All that isn't `run`: the life of containers and the ways to look at them, through both clients, and both compared. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Inventory } from "../host-inventory.ts";
import { assertNothingLeft, type Client, clientNames, clientOf, skipOf } from "./clients.ts";
import { startDaemon, type TestDaemon } from "./harness.ts";

let daemon: TestDaemon;
let atFirst: Inventory;

before(async () => {
  daemon = await startDaemon();
  await daemon.onggi(["image", "from-host"]);
  await daemon.onggi(["run", "--rm", "host", "true"]);
  atFirst = daemon.inventory();
});

after(async () => {
  try {
    await assertNothingLeft(daemon, atFirst);
  } finally {
    await daemon.stop();
  }
});

const lines = (text: string) => text.split("\n").filter((line) => line !== "");

for (const name of clientNames) {
  describe(`the life of a container by ${name}`, { skip: skipOf(name) }, () => {
    let client: Client;
    const ok = (...args: string[]) => client.output(args);
    const failure = async (...args: string[]) => {
      const { code, stderr } = await client.run(args);
      return `${code}: ${stderr}`;
    };
    const state = (key: string) => ok("inspect", "-f", "{{.State.Status}}", key);
    before(() => {
      client = clientOf(name, daemon);
    });

    it("create, start, wait, start again, rm", async () => {
      const id = await ok("create", "--name", "life", "host", "sh", "-c", "echo run; exit 3");
      assert.equal(await state("life"), "created");
      assert.equal(await ok("start", "life"), "life");
      assert.equal(await ok("wait", "life"), "3");
      assert.equal(await state(id.slice(0, 12)), "exited");
      const again = await client.run(["start", "-a", "life"]);
      assert.deepEqual([again.code, again.stdout], [3, "run\n"]);
      assert.equal(await ok("logs", "life"), "run\nrun");
      assert.equal(await ok("rm", "life"), "life");
      assert.match(await failure("inspect", "life"), /^1: .*[Nn]o such object: life/);
    });

    it("wait waits, for several", async () => {
      await ok("run", "-d", "--name", "slow", "host", "sh", "-c", "sleep 0.5; exit 4");
      await ok("run", "-d", "--name", "slower", "host", "sh", "-c", "sleep 0.8; exit 5");
      assert.equal(await ok("wait", "slow", "slower"), "4\n5");
      assert.equal(await ok("wait", "slow"), "4", "and tells of the past");
      await ok("rm", "slow", "slower");
    });

    it("stop asks, then insists; kill doesn't ask", async () => {
      await ok("run", "-d", "--name", "asked", "--init", "host", "sleep", "60");
      assert.equal(await ok("stop", "asked"), "asked");
      assert.equal(await ok("inspect", "-f", "{{.State.ExitCode}} {{.State.OOMKilled}}", "asked"), "143 false");
      await ok("start", "asked");
      assert.equal(await ok("kill", "asked"), "asked");
      assert.equal(await ok("inspect", "-f", "{{.State.ExitCode}}", "asked"), "137");
      await ok("start", "asked");
      await ok("kill", "-s", "USR1", "asked");
      assert.equal(await ok("wait", "asked"), "138");
      assert.match(await failure("kill", "asked"), /^1: .*is not running/);
      assert.match(await failure("kill", "-s", "BOGUS", "asked"), /^1: .*BOGUS/i);
      assert.equal(await ok("stop", "asked"), "asked", "stopping what doesn't run is fine");
      await ok("rm", "asked");
    });

    it("restart gives it a new life with the same files", async () => {
      await ok(
        "run",
        "-d",
        "--init",
        "--name",
        "renewed",
        "host",
        "sh",
        "-c",
        "echo x >> /count; cat /count; sleep 60",
      );
      const [pid, address] = (
        await ok("inspect", "-f", "{{.State.Pid}} {{.NetworkSettings.IPAddress}}", "renewed")
      ).split(" ");
      await untilLogged(client, "renewed", "x");
      await ok("restart", "-t", "2", "renewed");
      const [newPid, newAddress] = (
        await ok("inspect", "-f", "{{.State.Pid}} {{.NetworkSettings.IPAddress}}", "renewed")
      ).split(" ");
      assert.notEqual(pid, newPid);
      assert.ok(address !== "" && newAddress !== "");
      await untilLogged(client, "renewed", "x\nx\nx");
      await ok("rm", "-f", "renewed");
    });

    it("pause stops the clock, unpause lets it go on", async () => {
      await ok("run", "-d", "--name", "frozen", "host", "sh", "-c", "while :; do echo tick; sleep 0.02; done");
      await untilLogged(client, "frozen", "tick");
      assert.equal(await ok("pause", "frozen"), "frozen");
      assert.equal(await state("frozen"), "paused");
      assert.match(await ok("ps", "--format", "{{.Status}}", "-f", "name=frozen"), /\(Paused\)$/);
      const ticks = lines(await ok("logs", "frozen")).length;
      await sleep(200);
      assert.equal(lines(await ok("logs", "frozen")).length, ticks);
      assert.match(await failure("exec", "frozen", "true"), /is paused/);
      assert.match(await failure("pause", "frozen"), /already paused/);
      assert.equal(await ok("unpause", "frozen"), "frozen");
      await sleep(200);
      assert.ok(lines(await ok("logs", "frozen")).length > ticks);
      await ok("pause", "frozen");
      await ok("rm", "-f", "frozen");
    });

    it("rename renames, and frees the old name", async () => {
      await ok("create", "--name", "old-name", "host");
      await ok("rename", "old-name", "new-name");
      assert.equal(await ok("ps", "-a", "--format", "{{.Names}}"), "new-name");
      await ok("create", "--name", "old-name", "host");
      assert.match(await failure("rename", "old-name", "new-name"), /^1: .*Conflict.*new-name/);
      assert.match(await failure("rename", "old-name", "bad!name"), /^1: .*Invalid container name/);
      await ok("rm", "old-name", "new-name");
    });

    it("rm refuses what runs, unless it is forced", async () => {
      await ok("run", "-d", "--name", "busy", "host", "sleep", "60");
      assert.match(await failure("rm", "busy"), /^1: .*cannot remove container.*container is running/);
      assert.match(await failure("rmi", "host"), /^1: .*(unable to|conflict)/);
      assert.equal(await ok("rm", "-f", "busy"), "busy");
      assert.match(await failure("rm", "busy"), /^1: .*No such container: busy/);
    });

    it("container prune removes what has ended", async () => {
      const ended = await ok("run", "-d", "host", "true");
      await ok("wait", ended);
      const running = await ok("run", "-d", "host", "sleep", "60");
      assert.match(await ok("container", "prune", "-f"), new RegExp(ended));
      assert.equal(await ok("ps", "-aq", "--no-trunc"), running);
      await ok("rm", "-f", running);
    });

    it("exec: streams, status, environment, input, in the background", async () => {
      await ok("run", "-d", "--name", "host-of-execs", "-e", "A=1", "host", "sleep", "60");
      const both = await client.run([
        "exec",
        "-e",
        "B=2",
        "host-of-execs",
        "sh",
        "-c",
        "echo $A$B; echo err >&2; exit 6",
      ]);
      assert.deepEqual([both.code, both.stdout, both.stderr], [6, "12\n", "err\n"]);
      const input = Buffer.alloc(1_500_000, "0123456789abcde\n");
      const piped = await client.run(["exec", "-i", "host-of-execs", "sh", "-c", "cat; echo end"], { input });
      assert.ok(piped.stdout === `${input}end\n`);
      await ok("exec", "-d", "host-of-execs", "sh", "-c", "echo done > /tmp/mark");
      await ok("exec", "host-of-execs", "sh", "-c", "until [ -s /tmp/mark ]; do sleep 0.02; done");
      assert.equal((await client.run(["exec", "host-of-execs", "absent"])).code, 127);
      assert.equal((await client.run(["exec", "host-of-execs", "/etc"])).code, 126);
      const unknown = await client.run(["exec", "-u", "nosuch", "host-of-execs", "true"]);
      assert.match(`${unknown.stdout}${unknown.stderr}`, /unable to find user nosuch/);
      assert.notEqual(unknown.code, 0);
      assert.equal((await client.run(["exec", "-w", "/nosuch", "host-of-execs", "true"])).code, 126);
      assert.match(await failure("exec", "absent", "true"), /^1: .*No such container: absent/);
      await ok("stop", "-t", "0", "host-of-execs");
      assert.match(await failure("exec", "host-of-execs", "true"), /^1: .*is not running/);
      await ok("rm", "host-of-execs");
    });

    it("attach shows what comes, gives input, and ends with it", async () => {
      await ok(
        "run",
        "-di",
        "--name",
        "attached",
        "host",
        "sh",
        "-c",
        "read line; echo got $line; echo err >&2; exit 8",
      );
      const { code, stdout, stderr } = await client.run(["attach", "attached"], { input: "input\n" });
      assert.deepEqual([code, stdout, stderr], [8, "got input\n", "err\n"]);
      assert.match(await failure("attach", "attached"), /cannot attach to a stopped container/);
      await ok("rm", "attached");
    });

    it("logs: both streams, tail, times, since, until, follow", async () => {
      const script = "echo one; echo two >&2; sleep 0.4; echo three; until [ -e /go ]; do sleep 0.02; done; echo four";
      await ok("run", "-d", "--name", "logged", "host", "sh", "-c", script);
      await untilLogged(client, "logged", "three");
      const all = await client.run(["logs", "logged"]);
      assert.deepEqual([all.stdout, all.stderr], ["one\nthree\n", "two\n"]);
      assert.equal(await ok("logs", "--tail", "1", "logged"), "three");
      assert.equal(await ok("logs", "-n0", "logged"), "");
      const timed = await client.run(["logs", "-t", "logged"]);
      assert.match(timed.stdout, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z one\n/);
      const moment = /^\S+(?= three)/m.exec(timed.stdout)?.[0] ?? "";
      assert.equal(await ok("logs", "--since", moment, "logged"), "three");
      assert.equal(
        (await client.run(["logs", "--until", moment.replace(/\d{6}Z$/, "000000Z"), "logged"])).stdout,
        "one\n",
      );

      const following = client.run(["logs", "-f", "--tail", "1", "logged"]);
      await sleep(200);
      await ok("exec", "logged", "touch", "/go");
      assert.equal((await following).stdout, "three\nfour\n");
      assert.match(await failure("logs", "absent"), /^1: .*No such container: absent/);
      await ok("rm", "logged");
    });

    it("top and stats look inside", async () => {
      await ok("run", "-d", "--name", "seen", "--memory", "100m", "host", "sh", "-c", "sleep 61 & sleep 62");
      await untilProcesses(client, "seen", 3);
      assert.match(await ok("top", "seen"), /^UID +PID +PPID +C +STIME +TTY +TIME +CMD\n/);
      assert.match(await ok("top", "seen", "-o", "pid,comm"), /^PID +COMMAND\n\d+ +sh\n\d+ +sleep\n\d+ +sleep$/);
      assert.match(
        await ok("stats", "--no-stream", "seen"),
        /CONTAINER ID +NAME +CPU % +MEM USAGE \/ LIMIT +MEM % +NET I\/O +BLOCK I\/O +PIDS\n[0-9a-f]{12} +seen +[\d.]+% +[\d.]+[KM]iB \/ 100MiB +[\d.]+% .* 3\s*$/,
      );
      const row = JSON.parse(await ok("stats", "--no-stream", "--format", "json", "seen"));
      assert.deepEqual([row.Name, row.PIDs], ["seen", "3"]);
      await ok("rm", "-f", "seen");
    });

    it("events tell of each step, in order", async () => {
      const since = String(Date.now() / 1000);
      await client.run(["run", "--rm", "--name", "watched", "host", "sh", "-c", "exit 2"]);
      await untilGone(client, "watched");
      await ok("create", "--name", "watched", "-l", "a=b", "host", "sleep", "60");
      for (const verb of ["start", "pause", "unpause"]) await ok(verb, "watched");
      await ok("kill", "watched");
      await ok("wait", "watched");
      await ok("rename", "watched", "watched2");
      await ok("rm", "watched2");
      const until = String(Date.now() / 1000 + 0.01);
      await sleep(20);
      const tell = (...args: string[]) => ok("events", "--since", since, "--until", until, ...args);
      const actions = lines(await tell("--filter", "type=container", "--format", "{{.Action}}"));
      const expected = "create attach start die destroy create start pause unpause kill die rename destroy".split(" ");
      assert.deepEqual(
        actions.filter((action) => action !== "attach"),
        expected.filter((action) => action !== "attach"),
      );
      const died = lines(await tell("--filter", "event=die", "--format", "json")).map((line) => JSON.parse(line));
      assert.deepEqual(
        died.map(({ Actor }) => Actor.Attributes.exitCode),
        ["2", "137"],
      );
      assert.equal(died[1].Actor.Attributes.a, "b");
      assert.match(
        await tell("--filter", "event=create", "--filter", "label=a=b"),
        /^\S+ container create [0-9a-f]{64} \(.*name=watched.*\)$/,
      );
    });

    it("events go on telling until they are ended", async () => {
      const watcher = spawn(client.words[0] ?? "", [...client.words.slice(1), "events", "--format", "{{.Action}}"], {
        env: client.env,
        stdio: ["ignore", "pipe", "inherit"],
      });
      let text = "";
      watcher.stdout.on("data", (chunk) => {
        text += chunk;
      });
      await sleep(400);
      await ok("run", "--rm", "host", "true");
      for (let tries = 0; tries < 100 && !text.includes("destroy"); tries++) await sleep(20);
      watcher.kill("SIGINT");
      await new Promise((resolve) => watcher.once("exit", resolve));
      assert.deepEqual(
        lines(text).filter((action) => action !== "attach"),
        ["create", "start", "die", "destroy"],
      );
    });

    it("info and version tell of the engine", async () => {
      assert.match(await ok("version", "--format", "{{.Server.Version}} {{.Server.Os}}"), /^\d+\.\d+\.\d+ linux$/);
      const info = JSON.parse(await ok("info", "--format", "{{json .}}"));
      assert.deepEqual([info.Containers, info.Images, info.DockerRootDir], [0, 1, daemon.root]);
      assert.match(await ok("info"), /Storage Driver: (erofs|overlay)/);
    });
  });
}

/** What Docker's client makes of the daemon's answers is what ours must print. */
const same = [
  "ps",
  "ps -a",
  "ps -aq",
  "ps -aq --no-trunc",
  "ps -a --no-trunc",
  "ps -as",
  "ps -n 2",
  "ps -l",
  "ps -a --format json",
  "ps -a --format {{.Names}}:{{.State}}:{{.Labels}}:{{.Ports}}:{{.Mounts}}:{{.Networks}}",
  'ps -a --format {{.Label "role"}}',
  "ps -a --format table{{.ID}}\\t{{.Names}}",
  "ps -a --format table {{.Names}}\\t{{.Status}}",
  "ps -a -f status=created",
  "ps -a -f status=exited -f status=paused",
  "ps -a -f exited=3",
  "ps -f label=role",
  "ps -f label=role=web",
  "ps -f name=^/web$",
  "ps -a -f since=web",
  "ps -a -f before=ended",
  "ps -f ancestor=host",
  "ps -f network=bridge",
  "ps -f bogus=1",
  "images",
  "images -q",
  "images --no-trunc",
  "images --digests",
  "images --format {{.Repository}}:{{.Tag}}@{{.ID}}",
  "images -f reference=h*",
  "images absent",
  "history host",
  "history -q host",
  "history --no-trunc --format {{.CreatedBy}}|{{.Size}} host",
  "inspect web",
  "inspect -s web",
  "inspect host",
  "inspect made ended host",
  "inspect -f {{.Name}}|{{.State.Status}}|{{json@.Config.Labels}} web made",
  "inspect -f {{range@.Config.Env}}{{println@.}}{{end}} web",
  "inspect -f {{.NetworkSettings.Networks.bridge.IPAddress}} web",
  "inspect --type image web",
  "inspect --type container host",
  "inspect absent",
  "logs web",
  "logs -t web",
  "logs --tail 1 web",
  "logs absent",
  "port web",
  "port web 80",
  "port web 80/tcp",
  "port web 81",
  "port made",
  "top web",
  "top web -o pid,comm",
  "top made",
  "stats --no-stream --format {{.Name}}:{{.PIDs}} web",
  "wait ended",
  "exec web false",
  "exec made true",
  "kill made",
  "pause made",
  "unpause web",
  "rm web",
  "rm absent",
  "rmi host",
  "rmi absent",
  "restart absent",
  "stop absent",
  "version --format {{.Server.Version}}|{{.Server.APIVersion}}",
  "info --format {{.Driver}}|{{.Containers}}|{{.ContainersPaused}}|{{.NCPU}}|{{.CgroupDriver}}",
];

describe("onggi prints what docker prints", { skip: skipOf("docker") }, () => {
  let docker: Client;
  let onggi: Client;

  before(async () => {
    docker = clientOf("docker", daemon);
    onggi = clientOf("onggi", daemon);
    const create = (...args: string[]) => onggi.output(args);
    await create(
      "run",
      "-d",
      "--name",
      "web",
      "-l",
      "role=web",
      "-p",
      "127.0.0.1::80",
      "-v",
      "/tmp:/data:ro",
      "--memory",
      "64m",
      "host",
      "sh",
      "-c",
      "echo hello; echo err >&2; sleep 100",
    );
    await create("run", "-d", "--name", "frozen", "host", "sleep", "100");
    await create("pause", "frozen");
    await create("create", "--name", "made", "--entrypoint", "echo", "host", 'a "quoted" word');
    await create("run", "-d", "--name", "ended", "host", "sh", "-c", "exit 3");
    await create("wait", "ended");
    await untilLogged(onggi, "web", "hello");
  });

  after(async () => {
    await onggi.output(["rm", "-f", "web", "frozen", "made", "ended"]);
  });

  for (const command of same) {
    it(command, async () => {
      const words = command.startsWith("ps -a --format ")
        ? ["ps", "-a", "--format", command.slice("ps -a --format ".length)]
        : command.split(" ").map((word) => word.replaceAll("@", " "));
      const [theirs, ours] = await Promise.all([docker.run(words), onggi.run(words)]);

      assert.equal(timeless(ours.stdout), timeless(theirs.stdout));
      assert.equal(sentence(ours.stderr), sentence(theirs.stderr));
      assert.equal(ours.code, theirs.code);
    });
  }
});

/** The two are asked a moment apart. */
function timeless(text: string): string {
  const moments = /(About an? (minute|second)|Less than a second|\d+ (seconds?|minutes?))( ago)?/g;
  return text.replaceAll(moments, "a while").replaceAll(/ {2,}/g, "  ");
}

/** The first line, without the program's own name: the hints that follow are each client's own. */
function sentence(text: string): string {
  return (text.split("\n")[0] ?? "").replace(/^(onggi|docker): /, "").toLowerCase();
}

async function untilLogged(client: Client, container: string, text: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++, await sleep(30)) {
    const { stdout } = await client.run(["logs", container]);
    if (stdout.includes(text)) return;
  }
  assert.fail(`${container} never printed ${text}`);
}

async function untilProcesses(client: Client, container: string, count: number): Promise<void> {
  for (let tries = 0; tries < 100; tries++, await sleep(30)) {
    if (lines(await client.output(["top", container])).length === count + 1) return;
  }
  assert.fail(`${container} never had ${count} processes`);
}

async function untilGone(client: Client, name: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++, await sleep(30)) {
    if ((await client.output(["ps", "-aq", "-f", `name=${name}`])) === "") return;
  }
  assert.fail(`${name} is still there`);
}
