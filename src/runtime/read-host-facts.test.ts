import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { cgroupLayout, readHostFacts } from "./read-host-facts.ts";

const mount = (target: string, type: string, options: string) =>
  `31 23 0:28 / ${target} rw shared:4 - ${type} ${type} ${options}`;

describe("cgroupLayout", () => {
  it("knows v2 by its place", () => {
    assert.deepEqual(cgroupLayout(mount("/sys/fs/cgroup", "cgroup2", "rw,nsdelegate")), {
      version: "2",
      hierarchies: [],
    });
  });

  it("keeps of v1 what picks each hierarchy", () => {
    const lines = [
      mount("/sys/fs/cgroup", "tmpfs", "ro"),
      mount("/sys/fs/cgroup/cpu,cpuacct", "cgroup", "rw,cpu,cpuacct"),
      mount("/sys/fs/cgroup/systemd", "cgroup", "rw,xattr,release_agent=/lib/x,name=systemd"),
    ];

    assert.deepEqual(cgroupLayout(lines.join("\n")), {
      version: "1",
      hierarchies: [
        { name: "cpu,cpuacct", type: "cgroup", option: "cpu,cpuacct" },
        { name: "systemd", type: "cgroup", option: "name=systemd" },
      ],
    });
  });

  it("calls both hybrid", () => {
    const lines = [
      mount("/sys/fs/cgroup/memory", "cgroup", "rw,memory"),
      mount("/sys/fs/cgroup/unified", "cgroup2", "rw"),
    ];

    assert.equal(cgroupLayout(lines.join("\n")).version, "hybrid");
  });

  it("says when there are none", () => {
    assert.throws(() => cgroupLayout(""), { code: "unsupported" });
  });
});

describe("readHostFacts", () => {
  it("reads this host", () => {
    const facts = readHostFacts();

    assert.ok(facts.lastCapability >= 37 && facts.kernel[0] >= 5);
    assert.ok(facts.features.newMountApi);
  });
});
