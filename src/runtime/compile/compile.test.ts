import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { describe, it } from "node:test";
import type { Spec } from "../../oci/runtime-spec.ts";
import { CLONE_NEWCGROUP, CLONE_NEWNET, CLONE_NEWPID } from "../../program/kernel.ts";
import type { Op, OpName, Program } from "../../program/op.ts";
import { opsToJson } from "../../program/op-json.ts";
import { compile } from "./compile.ts";
import { compileExec } from "./compile-exec.ts";
import type { HostFacts } from "./host-facts.ts";
import type { Parts } from "./parts.ts";

const aHost = (over: Partial<HostFacts> = {}): HostFacts => ({
  architecture: "x86_64",
  kernel: [6, 12],
  lastCapability: 40,
  capabilities: 0x1ffffffffffn,
  features: { newMountApi: true, mountSetattr: true, seccomp: true },
  cgroup: { version: "2", hierarchies: [] },
  oomScoreAdj: 0,
  cpus: 4,
  memoryBytes: 2 ** 33,
  machinePaths: [],
  ...over,
});

const aProcess: Spec["process"] = {
  user: { uid: 0, gid: 0 },
  args: ["sh", "-c", "true"],
  env: ["PATH=/bin", "HOME=/root"],
  cwd: "/",
  capabilities: {
    bounding: ["CAP_CHOWN", "CAP_KILL"],
    effective: ["CAP_KILL"],
    permitted: ["CAP_KILL"],
    inheritable: [],
    ambient: [],
  },
};

const aSpec = (
  over: Partial<Omit<Spec, "linux" | "process">> & {
    linux?: Partial<Spec["linux"]>;
    process?: Partial<Spec["process"]>;
  } = {},
): Spec => ({
  ociVersion: "1.2.0",
  root: { path: "/run/rootfs" },
  hostname: "tuna",
  mounts: [
    { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
    { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"] },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: ["ro"] },
    { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["ro"] },
  ],
  ...over,
  process: { ...aProcess, ...over.process },
  linux: {
    namespaces: (["mount", "uts", "ipc", "pid", "cgroup", "network"] as const).map((type) => ({ type })),
    maskedPaths: ["/proc/kcore"],
    readonlyPaths: ["/proc/sys"],
    ...over.linux,
  },
});

const someParts = (over: Partial<Parts> = {}): Parts => ({
  rootfs: [{ type: "overlay", source: "overlay", options: ["lowerdir=/l/A:/l/B", "upperdir=/u", "workdir=/w"] }],
  cgroup: {
    host: [{ op: "mkdir", path: "/sys/fs/cgroup/onggi/x", mode: 0o755 }],
    child: [{ op: "writeControl", path: "/sys/fs/cgroup/onggi/x/cgroup.procs", data: "0" }],
    teardown: [{ op: "remove", path: "/sys/fs/cgroup/onggi/x" }],
  },
  monitor: [{ op: "stdio", terminal: false, stdin: false, rows: 0, columns: 0 }],
  ...over,
});

const indexOf = (ops: readonly Op[], name: OpName) => ops.findIndex(({ op }) => op === name);
const only = <Name extends OpName>(ops: readonly Op[], name: Name) =>
  ops.filter((op): op is Extract<Op, { op: Name }> => op.op === name);

/** Compares with test/golden/NAME.json; GOLDEN=update writes it instead. */
function assertGolden(name: string, program: Program): void {
  const file = new URL(`../../../test/golden/${name}.json`, import.meta.url);
  const { host, child, teardown } = program;
  const text = `${JSON.stringify({ host: opsToJson(host), child: opsToJson(child), teardown: opsToJson(teardown) }, null, 2)}\n`;
  if (process.env.GOLDEN === "update") writeFileSync(file, text);
  assert.equal(
    text,
    readFileSync(file, "utf8"),
    `${name} is not as in test/golden; if that is meant, run with GOLDEN=update`,
  );
}

describe("compile", () => {
  it("lets go of the host's root before the program runs", () => {
    const { child } = compile(aSpec(), aHost(), someParts());
    const steps = child.map(({ op }) => op);

    assert.ok(steps.indexOf("umount") > steps.indexOf("pivotRoot"));
    assert.equal(steps.at(-1), "exec");
  });

  it("joins the cgroup before it makes the cgroup namespace, and the network comes after both", () => {
    const network = { host: [], child: [{ op: "unshare", flags: CLONE_NEWNET }], teardown: [] } as const;
    const { host, child } = compile(aSpec(), aHost(), someParts({ network }));
    const unshares = only(child, "unshare").map(({ flags }) => flags);

    assert.deepEqual(unshares, [CLONE_NEWCGROUP, CLONE_NEWNET]);
    assert.ok(indexOf(child, "writeControl") < indexOf(child, "unshare"));
    assert.ok(indexOf(child, "unshare") < indexOf(child, "pivotRoot"));
    const flags = only(host, "clone")[0]?.flags ?? 0;
    assert.ok((flags & CLONE_NEWNET) === 0 && (flags & CLONE_NEWPID) !== 0);
  });

  it("makes an empty network namespace by itself when nobody else does", () => {
    const { host } = compile(aSpec(), aHost(), someParts());

    assert.ok(((only(host, "clone")[0]?.flags ?? 0) & CLONE_NEWNET) !== 0);
  });

  it("resolves sources of binds on the host and targets in the container", () => {
    const mounts = [
      ...aSpec().mounts,
      { destination: "/data/../srv", type: "bind", source: "/home", options: ["rbind", "rro"] },
    ];
    const { host, child } = compile(aSpec({ mounts }), aHost(), someParts());
    const moved = child.findIndex((op) => op.op === "moveMount" && op.target === "/srv");

    assert.equal(only(host, "openTree")[0]?.path, "/home");
    assert.ok(moved > indexOf(child, "pivotRoot"));
    assert.deepEqual(
      only(host, "mountAttributes").map(({ set, recursive }) => [set, recursive]),
      [[1n, true]],
    );
  });

  it("masks paths before a volume is mounted", () => {
    const mounts = [...aSpec().mounts, { destination: "/data", type: "tmpfs", source: "tmpfs" }];
    const { child } = compile(aSpec({ mounts }), aHost(), someParts());
    const volume = child.findIndex((op) => op.op === "mount" && op.target === "/data");

    assert.ok(indexOf(child, "mask") > indexOf(child, "mknod") && indexOf(child, "mask") < volume);
  });

  it("refuses a link where the kernel's own folders shall be", () => {
    const { child } = compile(aSpec(), aHost(), someParts());

    for (const folder of ["/proc", "/dev", "/sys"]) {
      const check = child.findIndex((op) => op.op === "open" && op.path === folder);
      const mount = child.findIndex((op) => op.op === "mount" && op.target === folder);
      const op = child[check];
      assert.ok(check >= 0 && check < mount, folder);
      assert.ok(op?.op === "open" && (op.flags & 0o400000) !== 0, `${folder} is opened without following`);
    }
  });

  it("refuses to mount over files of /proc and over the root", () => {
    const withMount = (destination: string) => aSpec({ mounts: [{ destination, type: "bind", source: "/x" }] });

    assert.throws(() => compile(withMount("/proc/self/attr"), aHost(), someParts()), {
      code: "invalid",
      message: /inside \/proc/,
    });
    assert.throws(() => compile(withMount("/x/.."), aHost(), someParts()), { code: "invalid" });
    assert.doesNotThrow(() => compile(withMount("/proc/uptime"), aHost(), someParts()));
  });

  it("finds a folder of a bind's source from inside it", () => {
    const options = ["rbind", "X-mount.subdir=in/side"];
    const mounts = [{ destination: "/data", type: "bind", source: "/srv", options }];
    const { host } = compile(aSpec({ mounts }), aHost(), someParts());
    const at = indexOf(host, "openTree");

    assert.deepEqual(host.slice(at - 1, at + 2), [
      { op: "chdir", path: "/srv" },
      { op: "openTree", slot: "/data", path: "in/side", recursive: true },
      { op: "chdir", path: "/" },
    ]);
  });

  it("takes a bind that is shared with the host from the host's own namespace", () => {
    const mounts = [{ destination: "/data", type: "bind", source: "/srv", options: ["rbind", "rshared"] }];
    const { host } = compile(aSpec({ mounts }), aHost(), someParts());
    const steps = host.map(({ op }) => op);

    assert.deepEqual(steps.slice(2, -1), ["open", "open", "setns", "openTree", "mountAttributes", "setns"]);
  });

  it("puts the filter in while it still may, or last when it needs no right", () => {
    const seccomp = {
      defaultAction: "SCMP_ACT_ERRNO",
      syscalls: [{ names: ["read"], action: "SCMP_ACT_ALLOW" }],
    } as const;
    const order = (noNewPrivileges: boolean) => {
      const spec = aSpec({ process: { noNewPrivileges }, linux: { seccomp } });
      const names = compile(spec, aHost(), someParts()).child.map(({ op }) => op);
      return names.filter((name) => ["boundingSet", "seccomp", "setUser", "capset", "prctl", "exec"].includes(name));
    };

    assert.deepEqual(order(false), ["boundingSet", "seccomp", "setUser", "capset", "exec"]);
    assert.deepEqual(order(true), ["boundingSet", "setUser", "capset", "prctl", "seccomp", "exec"]);
  });

  it("keeps the capabilities of a user who isn't root only when it has some", () => {
    const user = { uid: 1000, gid: 1000 };
    const none = { bounding: ["CAP_KILL"], effective: [], permitted: [], inheritable: [], ambient: [] };
    const prctls = (capabilities: NonNullable<Spec["process"]["capabilities"]>) =>
      only(compile(aSpec({ process: { user, capabilities } }), aHost(), someParts()).child, "prctl").length;

    assert.equal(prctls(none), 0);
    assert.equal(prctls({ ...none, effective: ["CAP_KILL"], permitted: ["CAP_KILL"] }), 1);
  });

  it("makes the root read-only only after all mount points are made", () => {
    const { child } = compile(
      aSpec({ root: { path: "/r", readonly: true }, process: { cwd: "/work" } }),
      aHost(),
      someParts(),
    );
    const readonly = child.findIndex((op) => op.op === "mountAttributes" && op.target === "/");

    assert.ok(readonly > child.findIndex((op) => op.op === "chdir" && op.path === "/work"));
  });

  it("gives a terminal its console", () => {
    const { child } = compile(aSpec({ process: { terminal: true } }), aHost(), someParts());

    assert.equal(child[indexOf(child, "openTerminal") + 1]?.op, "mount");
  });

  it("takes the new mount calls for options that one page doesn't hold", () => {
    const options = ["lowerdir+=/l/A", "lowerdir+=/l/B"];
    const { child } = compile(
      aSpec(),
      aHost(),
      someParts({ rootfs: [{ type: "overlay", source: "overlay", options }] }),
    );

    assert.deepEqual(
      only(child, "fsmount").map((op) => op.options),
      [options],
    );
  });

  it("compiles the recorded specs to the recorded programs", () => {
    assertGolden("plain", compile(aSpec(), aHost(), someParts()));
    assertGolden(
      "everything",
      compile(
        aSpec({
          root: { path: "/run/rootfs", readonly: true },
          domainname: "sea",
          mounts: [
            ...aSpec().mounts,
            { destination: "/dev/pts", type: "devpts", source: "devpts", options: ["newinstance", "ptmxmode=0666"] },
            { destination: "/data", type: "bind", source: "/home", options: ["rbind", "rprivate", "ro"] },
            { destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["size=1m"] },
          ],
          process: {
            terminal: true,
            user: { uid: 1000, gid: 100, additionalGids: [4], umask: 0o27 },
            cwd: "/work",
            rlimits: [{ type: "RLIMIT_NOFILE", soft: 1024, hard: -1 }],
            noNewPrivileges: true,
            oomScoreAdj: 500,
          },
          linux: {
            devices: [{ type: "c", path: "/dev/fuse", major: 10, minor: 229, fileMode: 0o660, gid: 5 }],
            sysctl: { "net.ipv4.ip_forward": "1", "net/ipv4/conf/eth0.1/forwarding": "1" },
            seccomp: {
              defaultAction: "SCMP_ACT_ERRNO",
              syscalls: [{ names: ["read", "write"], action: "SCMP_ACT_ALLOW" }],
            },
          },
        }),
        aHost({
          cgroup: { version: "1", hierarchies: [{ name: "cpu,cpuacct", type: "cgroup", option: "cpu,cpuacct" }] },
        }),
        someParts({ init: true }),
      ),
    );
  });
});

describe("compileExec", () => {
  const exec = () =>
    compileExec({ process: { ...aProcess, cwd: "/work" } }, aHost(), {
      target: { pid: 42, startTime: 7n },
      join: { host: [], child: [{ op: "writeControl", path: "/sys/fs/cgroup/x/tasks", data: "0" }] },
      monitor: [],
    });

  it("joins the cgroup by the host's paths before it enters the container's mounts", () => {
    const { child } = exec();

    assert.ok(indexOf(child, "writeControl") < indexOf(child, "setns"));
    assert.ok(indexOf(child, "setns") < indexOf(child, "chdir"));
  });

  it("enters the pid namespace before it forks, and only of the very process that was meant", () => {
    const { host } = exec();

    assert.deepEqual(
      host.map(({ op }) => op),
      ["prctl", "openProcess", "setns", "clone"],
    );
    assert.equal(only(host, "openProcess")[0]?.startTime, 7n);
  });

  it("compiles to the recorded program", () => assertGolden("exec", exec()));
});
