import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { setTimeout } from "node:timers/promises";
import { isErrno } from "../../src/base/errno.ts";
import type { Cgroups } from "../../src/cgroup/cgroups.ts";
import { readControl } from "../../src/cgroup/control-file.ts";
import { defaultDeviceRules } from "../../src/cgroup/devices.ts";
import { KernelLog } from "../../src/cgroup/kernel-log.ts";
import { readLayout } from "../../src/cgroup/layout.ts";
import { oomSentence } from "../../src/cgroup/oom-report.ts";
import { openCgroups } from "../../src/cgroup/open.ts";
import { HierarchyV2 } from "../../src/cgroup/v2.ts";
import type { Executor } from "../../src/executor/executor.ts";
import { openExecutor } from "../../src/executor/spawner.ts";
import type { LinuxResources } from "../../src/oci/runtime-spec.ts";
import type { Op } from "../../src/program/op.ts";

const parent = `/onggi-e2e-${process.pid}`;
const layout = readLayout();
const v1 = layout.v1.has("memory") && layout.v1.has("cpu") ? false : "needs the controllers on cgroup v1";
const mib = 1024 * 1024;
let serial = 0;

/** Performs the few ops that cgroups are made of, as the executor would. */
async function perform(ops: readonly Op[]): Promise<void> {
  for (const op of ops) {
    if (op.op === "mkdir") mkdirSync(op.path, { mode: op.mode });
    else if (op.op === "writeControl") write(op.path, op.data, op.ignore?.includes("ENOENT"));
    else if (op.op === "remove") await remove(op.path);
    else if (op.op === "killCgroup") await kill(op.path);
    else assert.equal(op.op, "open");
  }
}

function write(path: string, data: string, mayMiss = false): void {
  if (!mayMiss || existsSync(path)) writeFileSync(path, data, { flag: "r+" });
}

async function kill(path: string): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    const pids = (readControl(join(path, "cgroup.procs")) ?? "").split("\n").filter((line) => line !== "");
    if (pids.length === 0) return;
    for (const pid of pids) killIfThere(Number(pid));
    await setTimeout(5);
  }
  assert.fail(`${path} has processes that don't end`);
}

/** What was listed a moment ago may have ended by itself. */
function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (!isErrno(error, "ESRCH")) throw error;
  }
}

async function remove(path: string): Promise<void> {
  for (let tries = 0; existsSync(path); tries++) {
    try {
      rmdirSync(path);
    } catch (error) {
      if (tries > 200) throw error;
      await setTimeout(10);
    }
  }
}

/** A shell that joins as the child part says, then becomes the command. */
function start(steps: { host: readonly Op[]; child: readonly Op[] }, command: string): ChildProcess {
  const paths = new Map(steps.host.flatMap((op) => (op.op === "open" ? [[op.slot, op.path] as const] : [])));
  const joins = steps.child.map((op) => (op.op === "writeSlot" ? `echo ${op.data} > ${paths.get(op.slot)}` : "false"));
  return spawn("sh", ["-ec", [...joins, command].join("\n")], { stdio: "ignore" });
}

describe("cgroups of this host", { skip: v1 }, () => {
  let cgroups: Cgroups;
  const running: { id: string; child: ChildProcess; teardown: readonly Op[] }[] = [];

  async function run(resources: LinuxResources, command: string) {
    const id = `test${++serial}`;
    const steps = cgroups.steps(id, resources);
    await perform(steps.host);
    const child = start(steps, command);
    running.push({ id, child, teardown: steps.teardown });
    return { id, child, steps };
  }

  before(() => {
    cgroups = openCgroups({ parent });
  });

  afterEach(async () => {
    for (const { id, teardown } of running.splice(0)) {
      await cgroups.thaw(id);
      await perform(teardown);
    }
    assert.deepEqual(cgroups.list(), []);
  });

  after(() => {
    cgroups.close();
    const left = [...new Set([...layout.v1.values()].map((mount) => join(mount.directory, parent)))].filter((path) =>
      existsSync(path),
    );
    assert.deepEqual(left, []);
  });

  it("sets the limits that were asked for", async () => {
    const { id } = await run(
      { cpu: { quota: 20_000, period: 100_000, shares: 512 }, memory: { limit: 200 * mib }, pids: { limit: 20 } },
      "exec sleep 60",
    );
    const value = (controller: "cpu" | "memory" | "pids", file: string) =>
      readControl(join(layout.v1.get(controller)?.directory ?? "", parent, id, file));
    assert.equal(value("cpu", "cpu.cfs_quota_us"), "20000");
    assert.equal(value("cpu", "cpu.shares"), "512");
    assert.equal(value("memory", "memory.limit_in_bytes"), String(200 * mib));
    assert.equal(value("pids", "pids.max"), "20");
    const stats = cgroups.stats(id);
    assert.equal(stats.memoryLimitBytes, 200 * mib);
    assert.equal(stats.pidsLimit, 20);
  });

  it("keeps a process on the CPUs that were chosen", async () => {
    const { child } = await run({ cpu: { cpus: "0" } }, "exec sleep 60");
    await setTimeout(100);
    assert.match(readFileSync(`/proc/${child.pid}/status`, "utf8"), /^Cpus_allowed_list:\t0$/m);
  });

  it("holds a busy process at 20 % of a core", async () => {
    // So that it gets its 20 % on a machine that is busy otherwise.
    write(join(layout.v1.get("cpu")?.directory ?? "", parent, "cpu.shares"), "262144");
    const { id } = await run({ cpu: { quota: 20_000, period: 100_000 } }, "exec stress -c 1 -t 30");
    await setTimeout(500);
    const before = cgroups.stats(id).cpuTotalNs;
    const from = process.hrtime.bigint();
    await setTimeout(3000);
    const share = (cgroups.stats(id).cpuTotalNs - before) / Number(process.hrtime.bigint() - from);
    assert.ok(share > 0.17 && share < 0.23, `${(100 * share).toFixed(1)} %`);
    assert.ok(cgroups.stats(id).throttledPeriods > 10);
  });

  it("lets the memory limit kill, and finds in the kernel's log which process it was", async (context) => {
    const limit = 64 * mib;
    const { steps, child } = await run(
      { memory: { limit, swap: limit } },
      "stress --vm 1 --vm-bytes 200M --vm-hang 20 -t 20",
    );
    await once(child, "exit");
    assert.ok(steps.oomWatch?.op === "oomWatch");
    assert.match(readFileSync(steps.oomWatch.path, "utf8"), /oom_kill [1-9]/);
    if (!existsSync("/dev/kmsg")) return context.skip("no /dev/kmsg");
    const log = new KernelLog();
    const report = log.lastOom(steps.memoryPath);
    log.close();
    assert.equal(report?.task, "stress");
    assert.ok(report.residentBytes > 50 * mib && report.residentBytes <= limit, String(report.residentBytes));
    assert.match(
      oomSentence(limit, report),
      /^the memory limit of 64 MiB killed stress \(pid \d+\) at [56]\d(\.\d)? MiB$/,
    );
  });

  it("keeps the number of processes within its limit", async () => {
    const { id } = await run({ pids: { limit: 5 } }, "for i in 1 2 3 4 5 6 7 8 9; do sleep 60 & done; wait");
    await setTimeout(300);
    assert.ok(cgroups.stats(id).pids <= 5);
    assert.ok(cgroups.pids(id).length <= 5);
  });

  it("freezes processes that fork meanwhile, thaws them, and can do so again", async () => {
    const { id } = await run({}, "for i in 1 2 3; do (while :; do /bin/true; done) & done; wait");
    for (let time = 0; time < 2; time++) {
      await setTimeout(200);
      await cgroups.freeze(id);
      const frozen = cgroups.stats(id).cpuTotalNs;
      await setTimeout(200);
      assert.equal(cgroups.stats(id).cpuTotalNs, frozen);
      await cgroups.thaw(id);
      await setTimeout(200);
      assert.ok(cgroups.stats(id).cpuTotalNs > frozen);
    }
  });

  it("puts an exec where its container is, and takes the exec's processes with it", async () => {
    const { id } = await run({ devices: [{ allow: true, access: "rwm" }] }, "exec sleep 60");
    await setTimeout(100);
    const join = cgroups.joinSteps(id);
    const exec = start(join, "sleep 60 & sleep 60");
    await setTimeout(200);
    const pids = cgroups.pids(id);
    assert.ok(pids.includes(exec.pid ?? 0) && pids.length === 4, pids.join());
    const groupsOf = (pid: number) => readFileSync(`/proc/${pid}/cgroup`, "utf8");
    assert.equal(groupsOf(exec.pid ?? 0), groupsOf(pids.find((pid) => pid !== exec.pid) ?? 0));
    assert.match(groupsOf(exec.pid ?? 0), new RegExp(`devices:${parent}/all`));
  });

  it("keeps devices from a container that its rules don't name", async () => {
    const rules = [
      { allow: false, access: "rwm" },
      { allow: true, type: "c", major: 1, minor: 3, access: "rwm" },
    ];
    const { child } = await run(
      { devices: rules },
      "true < /dev/null; if true < /dev/zero; then exit 1; else exit 42; fi",
    );
    const [status] = await once(child, "exit");
    // A shell that may not open ends the command, not itself, since it is a condition.
    assert.equal(status, 42);
  });

  it("removes a container with its processes and the groups that it made inside, frozen or not", async () => {
    const { id } = await run({}, "exec sleep 60");
    await setTimeout(100);
    mkdirSync(join(layout.v1.get("memory")?.directory ?? "", parent, id, "inner"));
    await cgroups.freeze(id);
    await perform(cgroups.killSteps(id));
    assert.deepEqual(cgroups.list(), []);
    assert.deepEqual(cgroups.pids(id), []);
  });
});

describe("cgroups by the executor", { skip: v1 }, () => {
  const directory = mkdtempSync(join(tmpdir(), "onggi-cgroup-"));
  let cgroups: Cgroups;
  let executor: Executor;

  before(async () => {
    cgroups = openCgroups({ parent });
    executor = await openExecutor({
      binary: join(import.meta.dirname, "../../build/onggi-exec"),
      socketDirectory: directory,
    });
  });

  after(async () => {
    await executor.close();
    cgroups.close();
    rmSync(directory, { recursive: true });
  });

  /** What a container's program has of its cgroups, and nothing else. */
  const launch = (id: string, resources: LinuxResources, argv: readonly string[]) => {
    const steps = cgroups.steps(id, resources);
    return executor.launch({
      host: [
        ...steps.host,
        ...(steps.oomWatch === undefined ? [] : [steps.oomWatch]),
        { op: "clone", flags: 0, ...(steps.intoCgroup === undefined ? {} : { intoCgroup: steps.intoCgroup }) },
      ],
      child: [...steps.child, { op: "exec", file: argv[0] ?? "", argv, env: [], searchPath: process.env.PATH ?? "" }],
      teardown: steps.teardown,
    });
  };

  it("starts a process in its groups, and leaves none of them, nor a grandchild, after its end", async () => {
    const monitor = await launch("exec1", { memory: { limit: 64 * mib }, devices: defaultDeviceRules }, [
      "sh",
      "-c",
      "sleep 60 & sleep 0.2",
    ]);
    const groups = readFileSync(`/proc/${monitor.pid}/cgroup`, "utf8");
    for (const name of ["cpu", "memory", "pids"]) assert.match(groups, new RegExp(`[:,]${name}[:,].*${parent}/exec1`));
    assert.match(groups, new RegExp(`devices:${parent}/default`));
    assert.deepEqual(await monitor.tornDown, []);
    assert.deepEqual(cgroups.list(), []);
  });

  it("tells of a kill by the memory limit", async () => {
    const limit = 32 * mib;
    const monitor = await launch("exec2", { memory: { limit, swap: limit } }, [
      "stress",
      "--vm",
      "1",
      "--vm-bytes",
      "200M",
      "--vm-hang",
      "9",
    ]);
    const exit = await monitor.exited;
    assert.ok(exit.oomKills >= 1);
    assert.ok(exit.memoryPeakBytes > 16 * mib && exit.memoryPeakBytes <= limit, String(exit.memoryPeakBytes));
    assert.deepEqual(await monitor.tornDown, []);
  });

  it("kills and removes what a monitor that died left behind", async () => {
    const monitor = await launch("exec3", {}, ["sleep", "60"]);
    const ended = monitor.exited.catch(() => {});
    process.kill(parentOf(monitor.pid), "SIGKILL");
    await ended;
    const worker = await executor.work([]);
    await worker.run(cgroups.killSteps("exec3"));
    await worker.close();
    assert.deepEqual(cgroups.list(), []);
  });
});

function parentOf(pid: number): number {
  return Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}

describe("cgroup v2 of this host", { skip: layout.v2 === undefined ? "no cgroup v2 is mounted" : false }, () => {
  const directory = join(layout.v2?.directory ?? "", parent);

  it("freezes, thaws, kills and removes a group with what is in it", async () => {
    mkdirSync(directory);
    const v2 = new HierarchyV2(directory, parent, new Set());
    const steps = v2.steps("test", {});
    await perform(steps.host);
    const child = spawn("sh", ["-c", `echo $$ > ${directory}/test/cgroup.procs; exec stress -c 1`], {
      stdio: "ignore",
    });
    try {
      await setTimeout(200);
      assert.ok(v2.pids("test").includes(child.pid ?? 0));
      await v2.freeze("test");
      const used = () =>
        readFileSync(`/proc/${v2.pids("test").at(-1)}/stat`, "utf8")
          .split(" ")
          .slice(13, 15)
          .join();
      const frozen = used();
      await setTimeout(200);
      assert.equal(used(), frozen);
      await v2.thaw("test");
      await setTimeout(200);
      assert.notEqual(used(), frozen);
      mkdirSync(join(directory, "test", "inner"));
    } finally {
      await perform(v2.killSteps("test"));
      v2.close();
    }
    assert.ok(!existsSync(directory));
    assert.ok(!readdirSync(layout.v2?.directory ?? "/").includes(parent.slice(1)));
  });
});
