import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isOnggiError } from "../base/error.ts";
import type { LinuxResources } from "../oci/runtime-spec.ts";
import { controlHint } from "./control-hint.ts";
import type { Controller } from "./layout.ts";
import { checkLimits, size } from "./limits.ts";
import { v1Settings } from "./v1-settings.ts";
import { cpuWeight, ioWeight, v2Settings } from "./v2-settings.ts";

const every = new Set<Controller>(["cpu", "memory", "pids", "io", "cpuset"]);
const host = { cpus: "0-3,6", mems: "0" };
const mib = 1024 * 1024;
const throwsCode = (code: string, text: RegExp) => (error: unknown) =>
  isOnggiError(error) && error.code === code && text.test(error.message);

const v1 = (resources: LinuxResources, swapAccounting = true) =>
  [...v1Settings(resources, { swapAccounting, blockWeight: undefined, cpus: "0-1", mems: "0" })].map(
    ({ file, value }) => `${file}=${value}`,
  );
const v2 = (resources: LinuxResources) =>
  [...v2Settings(resources, { swapAccounting: true })].map(({ file, value }) => `${file}=${value}`);

describe("checkLimits", () => {
  it("explains what the kernel would only call invalid", () => {
    const check = (resources: LinuxResources) => () => checkLimits(resources, every, host);
    assert.throws(check({ memory: { limit: 200 * mib, swap: 100 * mib } }), throwsCode("invalid", /100 MiB.*200 MiB/));
    assert.throws(check({ memory: { swap: 100 * mib } }), throwsCode("invalid", /needs one of memory/));
    assert.throws(check({ memory: { limit: mib, reservation: 2 * mib } }), throwsCode("invalid", /reservation/));
    assert.throws(check({ cpu: { quota: 500 } }), throwsCode("invalid", /500 µs/));
    assert.throws(check({ cpu: { period: 2_000_000 } }), throwsCode("invalid", /period/));
    assert.doesNotThrow(check({ memory: { limit: 200 * mib, swap: -1 }, cpu: { quota: -1 }, pids: { limit: -1 } }));
  });

  it("refuses CPUs and memory nodes that the host doesn't have", () => {
    const check =
      (cpus: string, mems = "") =>
      () =>
        checkLimits({ cpu: { cpus, mems } }, every, host);
    assert.throws(check("0,4"), throwsCode("invalid", /CPUs are not available - requested 0,4, available: 0-3,6/));
    assert.throws(check("0", "1"), throwsCode("invalid", /memory nodes/));
    for (const odd of ["a", "3-1", "1-", "0,,1", "0-999999999"])
      assert.throws(check(odd), throwsCode("invalid", /isn't a list/));
    assert.doesNotThrow(check("1-3, 6", "0"));
  });

  it("names the controller that a limit lacks, and passes over limits that limit nothing", () => {
    const none = new Set<Controller>();
    assert.throws(
      () => checkLimits({ pids: { limit: 10 } }, none, host),
      throwsCode("unsupported", /no pids controller/),
    );
    assert.throws(
      () => checkLimits({ cpu: { cpus: "0" } }, none, host),
      throwsCode("unsupported", /no cpuset controller/),
    );
    assert.doesNotThrow(() => checkLimits({ pids: { limit: -1 }, memory: { limit: 0 } }, none, host));
  });
});

describe("v1Settings", () => {
  it("sets the period before the quota, and memory before memory with swap", () => {
    const settings = v1({
      cpu: { quota: 20_000, period: 100_000 },
      memory: { limit: 200 * mib, swap: 300 * mib },
      pids: { limit: 5 },
    });
    assert.deepEqual(settings, [
      "cpu.cfs_period_us=100000",
      "cpu.cfs_quota_us=20000",
      `memory.limit_in_bytes=${200 * mib}`,
      `memory.memsw.limit_in_bytes=${300 * mib}`,
      "pids.max=5",
    ]);
  });

  it("leaves swap alone where it isn't counted or isn't limited", () => {
    assert.deepEqual(v1({ memory: { limit: mib, swap: mib } }, false), [`memory.limit_in_bytes=${mib}`]);
    assert.deepEqual(v1({ memory: { limit: mib, swap: -1 } }), [`memory.limit_in_bytes=${mib}`]);
  });

  it("gives a cpuset that chooses only CPUs all memory nodes", () => {
    assert.deepEqual(v1({ cpu: { cpus: "1" } }), ["cpuset.cpus=1", "cpuset.mems=0"]);
  });

  it("refuses weights that this kernel doesn't have, and settings of v2", () => {
    assert.throws(() => v1({ blockIO: { weight: 100 } }), throwsCode("unsupported", /block I\/O/));
    assert.throws(() => v1({ unified: { "memory.high": "1" } }), throwsCode("unsupported", /cgroup v2/));
  });
});

describe("v2Settings", () => {
  it("spells limits as v2 does", () => {
    const settings = v2({
      cpu: { quota: 20_000, period: 100_000, shares: 1024, cpus: "0-1" },
      memory: { limit: 200 * mib, swap: 300 * mib, reservation: 50 * mib },
      pids: { limit: 5 },
      blockIO: { weight: 500 },
      unified: { "memory.high": "100" },
    });
    assert.deepEqual(settings, [
      "cpu.weight=100",
      "cpu.max=20000 100000",
      "cpuset.cpus=0-1",
      `memory.max=${200 * mib}`,
      `memory.swap.max=${100 * mib}`,
      `memory.low=${50 * mib}`,
      "pids.max=5",
      "io.weight=default 4950",
      "memory.high=100",
    ]);
  });

  it("converts shares and weights at both ends and in the middle", () => {
    assert.deepEqual([0, 2, 1024, 262_144, 999_999].map(cpuWeight), [1, 1, 100, 10_000, 10_000]);
    assert.ok(cpuWeight(512) > 50 && cpuWeight(512) < 100, String(cpuWeight(512)));
    assert.deepEqual([10, 1000].map(ioWeight), [1, 10_000]);
  });

  it("refuses settings that would leave the cgroup's folder", () => {
    assert.throws(() => v2({ unified: { "memory.../x": "1" } }), throwsCode("invalid", /isn't a setting/));
    assert.throws(() => v2({ unified: { "cgroup.procs": "1" } }), throwsCode("invalid", /isn't a setting/));
  });
});

describe("controlHint", () => {
  it("explains the kernel's refusals by the file", () => {
    assert.match(controlHint("/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "EINVAL") ?? "", /quota is below/);
    assert.match(controlHint("/x/memory.memsw.limit_in_bytes", "ENOENT") ?? "", /swapaccount=1/);
    assert.equal(controlHint("/x/pids.max", "EINVAL"), undefined);
  });
});

describe("size", () => {
  it("writes bytes as people do", () => {
    assert.deepEqual([5, 200 * mib, 1.5 * 1024 * mib].map(size), ["5 bytes", "200 MiB", "1.5 GiB"]);
  });
});
