import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseLayout } from "./layout.ts";

/** A host with each v1 controller mounted alone, and an empty v2 for systemd. */
const hybrid = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
38 31 0:35 / /sys/fs/cgroup/blkio rw,relatime - cgroup cgroup rw,blkio
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw`;

const v1WithPairs = `25 30 0:22 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
26 30 0:23 /docker/0123 /sys/fs/cgroup/memory ro,nosuid master:10 - cgroup cgroup rw,memory
27 30 0:24 / /sys/fs/cgroup/net_cls,net_prio rw shared:11 - cgroup cgroup rw,net_cls,net_prio`;

const v2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot";

const parse = (mountinfo: string, { selfCgroup = "", controllers = "" } = {}) =>
  parseLayout({ mountinfo, selfCgroup, controllersOf: () => controllers });

describe("parseLayout", () => {
  it("finds v1 controllers beside a v2 that has other ones", () => {
    const layout = parse(hybrid, { selfCgroup: "4:memory:/process\n0::/\n", controllers: "hugetlb\n" });
    assert.equal(layout.version, "hybrid");
    assert.deepEqual([...layout.v1.keys()], ["cpu", "cpuacct", "memory", "io"]);
    assert.deepEqual(layout.v1.get("io"), { directory: "/sys/fs/cgroup/blkio", root: "/" });
    assert.deepEqual(layout.v2, { directory: "/sys/fs/cgroup/unified", root: "/", controllers: [], own: "/" });
  });

  it("knows controllers that are mounted together, and the top that a container is shown", () => {
    const layout = parse(v1WithPairs);
    assert.equal(layout.version, "1");
    assert.equal(layout.v1.get("cpu")?.directory, layout.v1.get("cpuacct")?.directory);
    assert.equal(layout.v1.get("memory")?.root, "/docker/0123");
    assert.equal(layout.v2, undefined);
  });

  it("finds v2 alone with its controllers and this process's own group", () => {
    const layout = parse(v2, {
      selfCgroup: "0::/system.slice/onggi.service\n",
      controllers: "cpuset cpu io memory hugetlb pids rdma\n",
    });
    assert.equal(layout.version, "2");
    assert.deepEqual(layout.v2?.controllers, ["cpu", "cpuset", "memory", "pids", "io"]);
    assert.equal(layout.v2?.own, "/system.slice/onggi.service");
  });

  it("reads mount points with spaces", () => {
    const layout = parse("32 31 0:29 / /my\\040groups/cpu rw - cgroup cgroup rw,cpu");
    assert.equal(layout.v1.get("cpu")?.directory, "/my groups/cpu");
  });
});
