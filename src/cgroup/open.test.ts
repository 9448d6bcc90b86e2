import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { isOnggiError } from "../base/error.ts";
import type { Op } from "../program/op.ts";
import { defaultDeviceRules } from "./devices.ts";
import type { CgroupLayout, Controller } from "./layout.ts";
import { openCgroups } from "./open.ts";

/** Folders and files stand for the kernel's here: what is made and written is that which the kernel would be asked for. */
let top: string;
const files = (contents: Readonly<Record<string, string>>) => {
  for (const [path, text] of Object.entries(contents)) {
    mkdirSync(dirname(join(top, path)), { recursive: true });
    writeFileSync(join(top, path), text);
  }
};
const told = (ops: readonly Op[]) =>
  ops.map((op) => {
    const path = "path" in op ? op.path.replace(`${top}/`, "") : "slot" in op ? op.slot : "";
    return `${op.op} ${path}${"data" in op ? ` ${op.data}` : ""}`;
  });

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), "onggi-cgroup-"));
});

afterEach(() => {
  rmSync(top, { recursive: true });
});

describe("openCgroups on v2", () => {
  const layout = (): CgroupLayout => ({
    version: "2",
    v1: new Map(),
    v2: { directory: top, root: "/", controllers: ["cpu", "memory", "pids"], own: "/system.slice/onggi.service" },
  });
  const open = () => openCgroups({ parent: "/onggi", layout: layout() });

  beforeEach(() => {
    files({
      "cgroup.subtree_control": "cpu memory pids\n",
      "onggi/cgroup.subtree_control": "cpu memory pids\n",
      "onggi/memory.swap.max": "max\n",
    });
  });

  it("makes one group, and has the process cloned into it", () => {
    const steps = open().steps("abc", { cpu: { quota: 20_000, period: 100_000 }, memory: { limit: 1000, swap: 1000 } });
    assert.deepEqual(told(steps.host), [
      "mkdir onggi/abc",
      "writeControl onggi/abc/cpu.max 20000 100000",
      "writeControl onggi/abc/memory.max 1000",
      "writeControl onggi/abc/memory.swap.max 0",
      "open onggi/abc",
    ]);
    assert.deepEqual(steps.child, []);
    assert.equal(steps.intoCgroup, "cgroup");
    assert.equal(steps.memoryPath, "/onggi/abc");
    assert.deepEqual(told(steps.teardown), ["killCgroup onggi/abc", "remove onggi/abc"]);
    assert.equal(steps.oomWatch?.op === "oomWatch" && steps.oomWatch.path, join(top, "onggi/abc/memory.events"));
  });

  it("reads what a container used", () => {
    files({
      "onggi/abc/cpu.stat":
        "usage_usec 5000\nuser_usec 3000\nsystem_usec 2000\nnr_periods 7\nnr_throttled 2\nthrottled_usec 90\n",
      "onggi/abc/memory.current": "4096\n",
      "onggi/abc/memory.peak": "8192\n",
      "onggi/abc/memory.max": "209715200\n",
      "onggi/abc/memory.stat": "anon 100\ninactive_file 200\n",
      "onggi/abc/pids.current": "3\n",
      "onggi/abc/pids.max": "max\n",
      "onggi/abc/io.stat":
        "254:0 rbytes=10 wbytes=20 rios=1 wios=1 dbytes=0 dios=0\n8:0 rbytes=1 wbytes=2 rios=1 wios=1\n",
    });
    assert.deepEqual(open().stats("abc"), {
      cpuTotalNs: 5_000_000,
      cpuUserNs: 3_000_000,
      cpuSystemNs: 2_000_000,
      periods: 7,
      throttledPeriods: 2,
      throttledNs: 90_000,
      memoryBytes: 4096,
      memoryPeakBytes: 8192,
      memoryLimitBytes: 209_715_200,
      memoryStat: { anon: 100, inactive_file: 200 },
      pids: 3,
      pidsLimit: 0,
      blockReadBytes: 11,
      blockWriteBytes: 22,
    });
  });

  it("says who isn't there", () => {
    assert.throws(
      () => open().stats("nobody"),
      (error) => isOnggiError(error, "not_found"),
    );
    assert.deepEqual(open().pids("nobody"), []);
    assert.deepEqual(open().killSteps("nobody"), []);
  });

  it("finds processes and groups that a container made inside its own", () => {
    files({ "onggi/abc/cgroup.procs": "10\n11\n", "onggi/abc/inner/cgroup.procs": "12\n" });
    assert.deepEqual(open().pids("abc"), [10, 11, 12]);
    assert.deepEqual(open().list(), ["abc"]);
    assert.deepEqual(told(open().killSteps("abc")), [
      "killCgroup onggi/abc",
      "killCgroup onggi/abc/inner",
      "remove onggi/abc/inner",
      "remove onggi/abc",
    ]);
  });

  it("says which limits nothing can hold", () => {
    files({ "onggi/cgroup.subtree_control": "cpu\n" });
    const cgroups = open();
    assert.match(cgroups.warnings().join("\n"), /memory/);
    assert.throws(
      () => cgroups.steps("abc", { memory: { limit: 1000 } }),
      (error) => isOnggiError(error, "unsupported"),
    );
  });
});

describe("openCgroups on v1", () => {
  const names: readonly (readonly [Controller, string])[] = [
    ["cpu", "cpu,cpuacct"],
    ["cpuacct", "cpu,cpuacct"],
    ["memory", "memory"],
    ["pids", "pids"],
    ["devices", "devices"],
    ["freezer", "freezer"],
    ["cpuset", "cpuset"],
  ];
  const layout = (): CgroupLayout => ({
    version: "1",
    v1: new Map(names.map(([controller, folder]) => [controller, { directory: join(top, folder), root: "/" }])),
    v2: undefined,
  });
  const open = () => openCgroups({ parent: "/onggi", layout: layout() });

  beforeEach(() => {
    files({
      "devices/onggi/default/tasks": "",
      "devices/onggi/default/devices.allow": "",
      "devices/onggi/default/devices.deny": "",
      "cpuset/cpuset.cpus": "0-3\n",
      "cpuset/cpuset.mems": "0\n",
      "cpuset/onggi/cpuset.cpus": "\n",
      "cpuset/onggi/cpuset.mems": "\n",
      "memory/onggi/memory.memsw.limit_in_bytes": "9\n",
    });
  });

  it("fills its own cpuset and the device list that containers share", () => {
    open();
    assert.match(readFileSync(join(top, "cpuset/onggi/cpuset.cpus"), "utf8"), /^0-3/);
    assert.match(readFileSync(join(top, "devices/onggi/default/devices.deny"), "utf8"), /^a/);
    assert.ok(existsSync(join(top, "devices/onggi/all")));
  });

  it("makes a group a hierarchy, and lets the child write itself into each", () => {
    const steps = open().steps("abc", { memory: { limit: 1000, swap: 2000 }, devices: defaultDeviceRules });
    assert.deepEqual(told(steps.host), [
      "mkdir cpu,cpuacct/onggi/abc",
      "mkdir memory/onggi/abc",
      "mkdir pids/onggi/abc",
      "writeControl memory/onggi/abc/memory.limit_in_bytes 1000",
      "writeControl memory/onggi/abc/memory.memsw.limit_in_bytes 2000",
      "open cpu,cpuacct/onggi/abc/tasks",
      "open memory/onggi/abc/tasks",
      "open pids/onggi/abc/tasks",
      "open devices/onggi/default/tasks",
    ]);
    assert.deepEqual(
      told(steps.child),
      [0, 1, 2, 3].map((index) => `writeSlot cgroup${index} 0`),
    );
    assert.deepEqual(told(steps.teardown), [
      "killCgroup cpu,cpuacct/onggi/abc",
      "remove cpu,cpuacct/onggi/abc",
      "remove memory/onggi/abc",
      "remove pids/onggi/abc",
      "remove freezer/onggi/abc",
    ]);
    assert.equal(steps.intoCgroup, undefined);
  });

  it("makes a cpuset only where one is asked for, and a devices group for other rules", () => {
    const rules = [...defaultDeviceRules, { allow: true, type: "c", major: 10, minor: 229, access: "rwm" }];
    const host = told(open().steps("abc", { cpu: { cpus: "1" }, devices: rules }).host);
    assert.ok(host.includes("writeControl cpuset/onggi/abc/cpuset.mems 0"));
    assert.ok(host.includes("writeControl devices/onggi/abc/devices.allow c 10:229 rwm"));
    assert.ok(host.includes("open devices/onggi/abc/tasks"));
  });

  it("puts an exec where its container is", () => {
    files({
      "cpu,cpuacct/onggi/abc/cgroup.procs": "",
      "memory/onggi/abc/cgroup.procs": "",
      "freezer/onggi/abc/cgroup.procs": "",
    });
    assert.deepEqual(told(open().joinSteps("abc").host), [
      "open cpu,cpuacct/onggi/abc/tasks",
      "open memory/onggi/abc/tasks",
      "open devices/onggi/default/tasks",
    ]);
  });

  it("lists containers, not the groups that they share", () => {
    files({ "memory/onggi/abc/cgroup.procs": "", "freezer/onggi/left/cgroup.procs": "" });
    assert.deepEqual([...open().list()].toSorted(), ["abc", "left"]);
  });
});

describe("openCgroups on a host without any", () => {
  it("says how to get them", () => {
    const layout: CgroupLayout = { version: "2", v1: new Map(), v2: undefined };
    assert.throws(
      () => openCgroups({ layout }),
      (error) => isOnggiError(error, "unsupported"),
    );
  });
});
