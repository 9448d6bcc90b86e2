/** Docker's own client against the API, with an engine in memory behind it: what it sends and what it makes of the answers. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type ServedEngine, serveFake } from "../../src/api/testing/serve.ts";
import { type CommandOptions, type CommandResult, runCommand } from "./harness.ts";

const hasDocker = await runCommand("docker", ["--version"]).then(
  ({ code }) => code === 0,
  () => false,
);

describe("docker's client", { skip: hasDocker ? false : "there is no docker" }, () => {
  let api: ServedEngine;
  let config: string;

  before(async () => {
    api = await serveFake();
    config = mkdtempSync(join(tmpdir(), "onggi-docker-"));
  });

  after(async () => {
    await api[Symbol.asyncDispose]();
    rmSync(config, { recursive: true, force: true });
    assert.deepEqual(api.logged, []);
  });

  function docker(args: string, options: CommandOptions = {}): Promise<CommandResult> {
    const env = {
      ...process.env,
      DOCKER_HOST: `unix://${api.socketPath}`,
      DOCKER_CONFIG: config,
      DOCKER_CLI_HINTS: "false",
    };
    return runCommand("docker", args.split(" "), { timeoutMs: 15_000, ...options, env });
  }

  async function output(args: string): Promise<string> {
    const { code, stdout, stderr } = await docker(args);
    assert.equal(code, 0, `docker ${args}: ${stderr}`);
    return stdout;
  }

  it("agrees on a version of the API", async () => {
    assert.match(await output("version"), /API version: +1\.51 \(minimum version 1\.24\)/);
  });

  it("runs, and parts the streams", async () => {
    assert.equal(await output("run --rm host echo hello world"), "hello world\n");
    const both = await docker("run --rm host both");
    assert.deepEqual([both.code, both.stdout, both.stderr], [3, "to stdout\n", "to stderr\n"]);
  });

  it("runs with input, to its end", async () => {
    const input = Buffer.alloc(3_000_000, "0123456789abcdef\n");
    const { code, stdout } = await docker("run --rm -i host cat", { input });
    assert.equal(code, 0);
    assert.ok(stdout === input.toString());
  });

  it("gets all of a lot of output", async () => {
    const { stdout } = await docker("run --rm host flood 50");
    assert.equal(stdout.length, 50 * 2 ** 20);
  });

  it("ends with 127, 126 and 125 for a program that isn't there, can't be run, and for other failures", async () => {
    assert.equal((await docker("run --rm host nope")).code, 127);
    assert.equal((await docker("run --rm host /etc/passwd")).code, 126);
    const other = await docker("run --rm --link other:name host true");
    assert.equal(other.code, 125);
    assert.match(other.stderr, /Links \(--link\) is not supported/);
    const unknown = await docker("run --rm absent");
    assert.equal(unknown.code, 125);
    assert.match(unknown.stderr, /Unable to find image 'absent:latest' locally[\s\S]*pull access denied for absent/);
  });

  it("pulls an image that isn't there, then runs it", async () => {
    const { code, stderr } = await docker("run --rm other:1 true");
    assert.equal(code, 0, stderr);
    assert.match(stderr, /Status: Downloaded newer image for other:1/);
  });

  it("runs in the background, execs, stops, waits and removes", async () => {
    const id = (await output("run -d --name back host sleep")).trim();
    assert.match(id, /^[0-9a-f]{64}$/);
    const both = await docker("exec back both");
    assert.deepEqual([both.code, both.stdout, both.stderr], [3, "to stdout\n", "to stderr\n"]);
    assert.equal((await docker("exec -i back cat", { input: "piped" })).stdout, "piped");
    assert.equal((await docker("exec back nope")).code, 127);
    assert.equal(await output("stop back"), "back\n");
    assert.equal(await output("wait back"), "143\n");
    assert.match((await docker("exec back true")).stderr, /is not running/);
    assert.equal(await output("rm back"), "back\n");
    assert.match((await docker("inspect back")).stderr, /No such object: back/);
  });

  it("starts what ended once more, attached", async () => {
    await docker("run --name again host exit 5");
    assert.equal((await docker("start -a again")).code, 5);
    assert.match(
      await output("ps -a --format {{.Names}}:{{.Status}} -f name=again"),
      /^again:Exited \(5\) Less than a second ago\n$/,
    );
    assert.match(
      (await docker("create --name again host")).stderr,
      /Conflict\. The container name "\/again" is already in use by container/,
    );
    await output("rm again");
  });

  it("gives a terminal, and its size", async () => {
    const { stdout } = await runCommand(
      "script",
      ["-qec", `docker -H unix://${api.socketPath} run --name tty -it host echo in a terminal`, "/dev/null"],
      {
        timeoutMs: 15_000,
        env: { ...process.env, DOCKER_CONFIG: config },
      },
    );
    assert.match(stdout, /in a terminal/);
    assert.equal(api.engine.containers.created?.terminal, true);
    await output("rm tty");
  });

  it("sends what its flags say", async () => {
    const flags =
      "--cpus 0.2 -m 200m --pids-limit 9 --ulimit nofile=1:2 --cap-drop ALL --cap-add chown --read-only --init --device /dev/null";
    const more =
      "-p 127.0.0.1:8080:80 -p 53/udp -v /src:/dst:ro --mount type=tmpfs,target=/t,tmpfs-size=1m --tmpfs /run --restart on-failure:3";
    await output(
      `create --name flags ${flags} ${more} --network none -e A=1 -l a=b -w /tmp -u 1:2 -h jar --entrypoint echo --shm-size 1m host x`,
    );
    const { created } = api.engine.containers;
    assert.deepEqual(created?.resources, { nanoCpus: 200_000_000, memoryBytes: 209_715_200, pidsLimit: 9 });
    assert.deepEqual(created?.ports, [
      { containerPort: 53, protocol: "udp", hostAddress: "", hostPort: 0 },
      { containerPort: 80, protocol: "tcp", hostAddress: "127.0.0.1", hostPort: 8080 },
    ]);
    assert.deepEqual(created?.mounts, [
      { kind: "bind", source: "/src", target: "/dst", createSource: true, recursive: true, readonly: true },
      { kind: "tmpfs", target: "/t", options: ["size=1048576"] },
      { kind: "tmpfs", target: "/run", options: [] },
    ]);
    assert.deepEqual(created?.restart, { name: "on-failure", maximumRetryCount: 3 });
    assert.deepEqual(
      [created?.entrypoint, created?.command, created?.user, created?.hostname],
      [["echo"], ["x"], "1:2", "jar"],
    );
    assert.deepEqual(
      [created?.network, created?.readonlyRootfs, created?.init, created?.shmBytes],
      ["none", true, true, 1_048_576],
    );
    assert.deepEqual([created?.capAdd, created?.capDrop], [["CAP_CHOWN"], ["ALL"]]);
    assert.equal(
      await output("inspect flags -f {{.HostConfig.Memory}},{{.HostConfig.NanoCpus}},{{.Config.Hostname}}"),
      "209715200,200000000,jar\n",
    );
    await output("rm flags");
  });

  it("shows lists, ports, processes, use and logs", async () => {
    await output("run -d --name shown -p 8080:80 host sleep");
    assert.match(await output("ps"), /host +"sleep" .*Up Less than a second +0\.0\.0\.0:8080->80\/tcp +shown/);
    assert.equal(await output("port shown"), "80/tcp -> 0.0.0.0:8080\n");
    assert.match(await output("top shown"), /PID +CMD\n4242 +-ef/);
    assert.match(await output("stats --no-stream shown"), /shown +\d+\.\d+% +49MiB \/ 200MiB +24\.50%/);
    await output("pause shown");
    assert.match(await output("ps"), /Up Less than a second \(Paused\)|Up \d+ seconds? \(Paused\)/);
    await output("unpause shown");
    await output("rename shown known");
    await output("kill known");
    await output("rm known");
    await docker("run --name logged host both");
    const logs = await docker("logs logged");
    assert.deepEqual([logs.stdout, logs.stderr], ["to stdout\n", "to stderr\n"]);
    await output("rm logged");
  });

  it("moves images", async () => {
    assert.match(await output("images host"), /host +latest +1a1a1a1a1a1a/);
    await output("tag host localhost:5000/copy:v1");
    assert.match(
      await output("push localhost:5000/copy:v1"),
      /The push refers to repository \[localhost:5000\/copy:v1\]/,
    );
    assert.match(await output("history host"), /<missing> .*COPY \//);
    assert.equal((await docker("load", { input: "archive" })).stdout, "Loaded image: host:latest\n");
    assert.equal(await output("save host localhost:5000/copy:v1"), "archive of host localhost:5000/copy:v1");
    assert.match(await output("pull fresh"), /Status: Downloaded newer image for fresh:latest/);
    assert.match(await output("rmi fresh"), /Untagged: fresh:latest\nDeleted: sha256:/);
  });

  it("shows networks, events, host and disk", async () => {
    assert.match(await output("network ls"), /bridge +bridge +local/);
    assert.match(await output("network inspect bridge -f {{.Name}}"), /bridge/);
    assert.match(
      await output("events --since 1h --until 0s -f event=start"),
      /container start [0-9a-f]{64} \(image=host, name=/,
    );
    assert.match(await output("info"), /Storage Driver: overlay\n {2}overlay: usable\n {2}zfs: the kernel has no zfs/);
    assert.match(await output("system df"), /Images +\d+/);
  });
});
