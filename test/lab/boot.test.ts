/** What the lab promises its other tests. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, statfsSync } from "node:fs";
import { release } from "node:os";
import { describe, it } from "node:test";

const cgroup2 = 0x63677270;

describe("the lab", () => {
  it("runs Debian's kernel, which is older than this project's newest interfaces", () => {
    assert.match(release(), /^6\.1\.0-\d+-cloud-amd64$/);
  });

  it("has cgroup v2 alone, with systemd as the first process", () => {
    assert.equal(statfsSync("/sys/fs/cgroup").type >>> 0, cgroup2);
    assert.ok(!readFileSync("/proc/self/mountinfo", "utf8").includes(" - cgroup cgroup "));
    assert.equal(readFileSync("/proc/1/comm", "utf8").trim(), "systemd");
    const controllers = readFileSync("/sys/fs/cgroup/cgroup.controllers", "utf8").trim().split(" ");
    for (const controller of ["cpu", "memory", "pids", "io", "cpuset"]) assert.ok(controllers.includes(controller));
  });

  it("finds the project built", () => {
    assert.ok(existsSync("/project/build/onggi-exec"));
  });
});
