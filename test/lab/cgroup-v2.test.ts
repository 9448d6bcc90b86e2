/** Limits, measures and signals where systemd holds one hierarchy of cgroup v2, as on today's distributions. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { placesFor } from "../../src/engine/data-root.ts";
import { assertNothingLeft, type Client, clientOf } from "../e2e/clients.ts";
import { startDaemon, type TestDaemon } from "../e2e/harness.ts";
import type { Inventory } from "../host-inventory.ts";

const root = "/sys/fs/cgroup";
const mib = 1024 * 1024;

describe("containers on cgroup v2", () => {
  let daemon: TestDaemon;
  let client: Client;
  let atFirst: Inventory;
  const inside = (args: readonly string[], script: string) =>
    client.run(["run", "--rm", "--network", "none", ...args, "host", "sh", "-c", script]);
  const start = (name: string, args: readonly string[], script: string) =>
    client.output(["run", "-d", "--name", name, "--network", "none", ...args, "host", "sh", "-c", script]);
  const groupOf = async (name: string) => {
    const pid = await client.output(["inspect", "-f", "{{.State.Pid}}", name]);
    return join(root, /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8"))?.[1] ?? "absent");
  };
  const value = (group: string, file: string) => readFileSync(join(group, file), "utf8").trim();

  before(async () => {
    daemon = await startDaemon();
    client = clientOf("onggi", daemon);
    await client.output(["image", "from-host"]);
    await inside([], "true");
    atFirst = daemon.inventory();
  });

  after(async () => {
    try {
      await assertNothingLeft(daemon, atFirst);
    } finally {
      await daemon.stop();
    }
  });

  it("writes what was asked for into the container's own group", async () => {
    const limits = [
      "--memory",
      "64m",
      "--memory-swap",
      "96m",
      "--cpus",
      "0.5",
      "--pids-limit",
      "30",
      "--cpu-shares",
      "512",
    ];
    await start("limited", [...limits, "--cpuset-cpus", "1"], "exec sleep 60");
    const group = await groupOf("limited");
    const files = ["memory.max", "memory.swap.max", "cpu.max", "cpu.weight", "pids.max", "cpuset.cpus"];
    const values = files.map((file) => value(group, file));
    await client.output(["rm", "-f", "limited"]);

    assert.ok(!existsSync(group));
    assert.deepEqual(values, [`${64 * mib}`, `${32 * mib}`, "50000 100000", values[3], "30", "1"]);
    assert.match(values[3] ?? "", /^(20|59)$/);
    assert.ok(group.includes(placesFor({ root: daemon.root }).cgroupParent.replace(/^\//, "")), group);
  });

  it("shows a container its own limits, and nothing above", async () => {
    const limits = ["--memory", "64m", "--cpus", "0.5", "--pids-limit", "30", "--cpuset-cpus", "1"];
    const { stdout } = await inside(
      limits,
      "cd /sys/fs/cgroup; cat memory.max cpu.max pids.max cpuset.cpus; cat /proc/self/cgroup; nproc",
    );
    assert.equal(stdout, `${64 * mib}\n50000 100000\n30\n1\n0::/\n1\n`);
  });

  it("says in a sentence what the memory limit killed", async () => {
    await start(
      "greedy",
      ["--memory", "64m", "--memory-swap", "64m"],
      "exec stress --vm 1 --vm-bytes 200M --vm-hang 9 -t 20",
    );
    await client.output(["wait", "greedy"]);
    const [container] = JSON.parse(await client.output(["inspect", "greedy"]));
    await client.output(["rm", "greedy"]);

    assert.equal(container.State.OOMKilled, true);
    assert.match(container.State.Error, /^the memory limit of 64 MiB killed stress \(pid \d+\) at [56]\d(\.\d)? MiB$/);
  });

  it("holds a busy container at its share of a processor, and counts what it uses", async () => {
    await start("busy", ["--cpus", "0.2", "--memory", "128m", "--pids-limit", "9"], "exec stress -c 1 -t 60");
    const group = await groupOf("busy");
    const usedUs = () => Number(/^usage_usec (\d+)$/m.exec(value(group, "cpu.stat"))?.[1]);
    await sleep(1000);
    const [before, from] = [usedUs(), process.hrtime.bigint()];
    await sleep(4000);
    const share = ((usedUs() - before) * 1000) / Number(process.hrtime.bigint() - from);
    const line = await client.output(["stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", "busy"]);
    await client.output(["rm", "-f", "busy"]);

    assert.ok(share > 0.1 && share < 0.25, `${(100 * share).toFixed(1)} %`);
    assert.match(line, /[KM]iB \/ 128MiB 2$/);
  });

  it("keeps the number of processes within its limit", async () => {
    const { stderr } = await inside(["--pids-limit", "5"], "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait");
    assert.match(stderr, /fork/i);
  });

  it("pauses all of a container, and goes on", async () => {
    await start("paused", [], "while :; do /bin/true; done");
    const group = await groupOf("paused");
    const used = () => /^usage_usec (\d+)$/m.exec(value(group, "cpu.stat"))?.[1];
    await client.output(["pause", "paused"]);
    const [frozen, state] = [used(), await client.output(["inspect", "-f", "{{.State.Status}}", "paused"])];
    assert.match(value(group, "cgroup.events"), /^frozen 1$/m);
    await sleep(500);
    assert.equal(used(), frozen);
    assert.equal(state, "paused");
    await client.output(["unpause", "paused"]);
    await sleep(500);
    assert.notEqual(used(), frozen);
    await client.output(["kill", "paused"]);
    assert.equal(await client.output(["wait", "paused"]), "137");
    await client.output(["rm", "paused"]);
    assert.ok(!existsSync(group));
  });

  it("lets a container that may make groups of its own, and removes them with it", async () => {
    const script = "mount -o remount,rw /sys/fs/cgroup && mkdir /sys/fs/cgroup/inner && exec sleep 60";
    await start("nested", ["--privileged"], script);
    const group = await groupOf("nested");
    for (let tries = 0; !existsSync(join(group, "inner")) && tries < 100; tries++) await sleep(50);
    assert.ok(readdirSync(group).includes("inner"));
    await client.output(["rm", "-f", "nested"]);
    assert.ok(!existsSync(group));
  });
});
