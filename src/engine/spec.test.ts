import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { HostFacts } from "../runtime/compile/host-facts.ts";
import type { ContainerConfig } from "./model.ts";
import { checkConfig, execProcessFor, type SpecInput, specFor } from "./spec.ts";

const aHost: HostFacts = {
  architecture: "x86_64",
  kernel: [6, 12],
  lastCapability: 40,
  capabilities: 0x1ffffffffffn & ~(1n << 24n), // without CAP_SYS_RESOURCE
  features: { newMountApi: true, mountSetattr: true, seccomp: true },
  cgroup: { version: "2", hierarchies: [] },
  oomScoreAdj: 0,
  cpus: 4,
  memoryBytes: 2 ** 33,
  machinePaths: ["/sys/devices/system/cpu/cpu0/thermal_throttle"],
};
const root = { uid: 0, gid: 0, groups: [], home: "/root" };
const someone = { uid: 1000, gid: 100, groups: [4], home: "/home/someone" };

const aSpec = (config: Partial<ContainerConfig> = {}, over: Partial<SpecInput> = {}) =>
  specFor({
    id: "0123456789abcdef",
    config: { image: "host", ...config },
    settings: { argv: ["sh"], env: ["PATH=/bin", "A=1"], workingDirectory: "/work" },
    user: root,
    facts: aHost,
    rootPath: "/run/root",
    hostname: "0123456789ab",
    files: { hostname: "/r/hostname", hosts: "/r/hosts", resolvConf: "/r/resolv.conf" },
    ...over,
  });
const destinations = (config: Partial<ContainerConfig> = {}) =>
  aSpec(config).mounts.map(({ destination }) => destination);
const optionsOf = (destination: string, config: Partial<ContainerConfig>) =>
  aSpec(config).mounts.find((mount) => mount.destination === destination)?.options;

describe("specFor", () => {
  it("gives the environment that Docker gives", () => {
    assert.deepEqual(aSpec().process.env, ["PATH=/bin", "HOSTNAME=0123456789ab", "A=1", "HOME=/root"]);
    assert.ok(aSpec({ terminal: true }).process.env.includes("TERM=xterm"));
    const settings = { argv: ["sh"], env: ["PATH=/bin", "HOME=/x", "TERM=vt100"], workingDirectory: "/" };
    assert.deepEqual(aSpec({ terminal: true }, { settings }).process.env.toSorted(), [
      "HOME=/x",
      "HOSTNAME=0123456789ab",
      "PATH=/bin",
      "TERM=vt100",
    ]);
  });

  it("gives root fourteen capabilities and others none, within the same bounds", () => {
    const own = aSpec().process.capabilities;
    const others = aSpec({}, { user: someone }).process.capabilities;

    assert.equal(own?.effective.length, 14);
    assert.deepEqual(own?.inheritable, []);
    assert.deepEqual([others?.bounding.length, others?.effective, others?.permitted], [14, [], []]);
  });

  it("maps limits", () => {
    const { resources } = aSpec({
      resources: { nanoCpus: 2e8, memoryBytes: 2 ** 28, pidsLimit: 9, cpuShares: 512 },
    }).linux;

    assert.deepEqual(resources?.cpu, { shares: 512, quota: 20_000, period: 100_000 });
    assert.deepEqual(resources?.memory, { limit: 2 ** 28, swap: 2 ** 29 });
    assert.deepEqual(resources?.pids, { limit: 9 });
    assert.deepEqual(
      aSpec({ resources: { memoryBytes: 2 ** 28, memorySwapBytes: -1 } }).linux.resources?.memory?.swap,
      -1,
    );
    assert.equal(aSpec({ resources: { pidsLimit: -1 } }).linux.resources?.pids, undefined);
  });

  it("hides the kernel's own files, but not from the privileged", () => {
    const { maskedPaths, readonlyPaths, seccomp } = aSpec().linux;
    assert.ok(
      maskedPaths?.includes("/proc/kcore") && maskedPaths.includes("/sys/devices/system/cpu/cpu0/thermal_throttle"),
    );
    assert.ok(readonlyPaths?.includes("/proc/sys"));
    assert.ok(seccomp);

    const privileged = aSpec({ privileged: true });
    assert.deepEqual(privileged.linux.maskedPaths, []);
    assert.equal(privileged.linux.seccomp, undefined);
    assert.ok(optionsOf("/sys", { privileged: true })?.includes("rw"));
    assert.equal(privileged.process.capabilities?.bounding.length, 40, "all but what the engine lacks itself");
  });

  it("lets a user's mount replace the one that it stands on", () => {
    const bind = { kind: "bind", source: "/x", readonly: true, createSource: false, recursive: true } as const;

    assert.equal(destinations().filter((path) => path === "/etc/hosts").length, 1);
    assert.deepEqual(optionsOf("/etc/hosts", { mounts: [{ ...bind, target: "/etc//hosts" }] }), [
      "rbind",
      "rro",
      "rprivate",
    ]);
    assert.ok(!destinations({ mounts: [{ ...bind, target: "/dev" }] }).includes("/dev/pts"));
  });

  it("mounts what is above before what is below", () => {
    const tmpfs = (target: string) => ({ kind: "tmpfs", target, options: [] }) as const;
    const own = destinations({ mounts: [tmpfs("/a/b/c"), tmpfs("/a"), tmpfs("/z")] }).slice(-3);

    assert.deepEqual(own, ["/a", "/z", "/a/b/c"]);
  });

  it("leaves out the namespaces that are the host's", () => {
    const types = (config: Partial<ContainerConfig>) => aSpec(config).linux.namespaces.map(({ type }) => type);

    assert.deepEqual(types({}), ["mount", "uts", "ipc", "pid", "cgroup", "network"]);
    assert.deepEqual(
      types({ network: "host", pidMode: "host", ipcMode: "host", utsMode: "host", cgroupnsMode: "host" }),
      ["mount"],
    );
    assert.equal(aSpec({ utsMode: "host" }).hostname, undefined);
    assert.deepEqual(aSpec({ network: "host" }).linux.sysctl, {});
    const joined = aSpec({ network: "container:x" }, { networkPath: "/proc/7/ns/net" });
    assert.deepEqual(joined.linux.namespaces.at(-1), { type: "network", path: "/proc/7/ns/net" });
  });

  it("takes a profile of the user's", () => {
    const profile = {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ name: "mkdir", action: "SCMP_ACT_ERRNO", excludes: { caps: ["CAP_SYS_ADMIN"] } }],
    };
    const { seccomp } = aSpec({ securityOptions: [`seccomp=${JSON.stringify(profile)}`] }).linux;

    assert.deepEqual(seccomp?.syscalls, [{ names: ["mkdir"], action: "SCMP_ACT_ERRNO" }]);
    assert.equal(aSpec({ securityOptions: ["seccomp=unconfined"] }).linux.seccomp, undefined);
    assert.equal(aSpec().linux.seccomp, aSpec().linux.seccomp, "the default is made once, and so compiled once");
  });
});

describe("execProcessFor", () => {
  const exec = (over: object = {}, config: Partial<ContainerConfig> = {}) =>
    execProcessFor({
      config: { image: "host", ...config },
      exec: { command: ["ps"], ...over },
      settings: { env: ["PATH=/bin", "A=1"], workingDirectory: "/work" },
      user: root,
      facts: aHost,
      hostname: "tuna",
    });

  it("starts from what the container has", () => {
    const { process, seccomp } = exec({ env: ["A=2"] });

    assert.ok(process.env.includes("A=2") && process.env.includes("HOSTNAME=tuna"));
    assert.equal(process.cwd, "/work");
    assert.equal(seccomp, aSpec().linux.seccomp);
    assert.equal(exec({ workingDirectory: "/" }).process.cwd, "/");
  });

  it("may have more rights than the container, but no other filter", () => {
    const { process, seccomp } = exec({ privileged: true });

    assert.equal(process.capabilities?.effective.length, 40);
    assert.equal(seccomp, aSpec().linux.seccomp);
  });
});

describe("checkConfig", () => {
  it("throws what is wrong and returns what is passed over", () => {
    const port = { containerPort: 80, protocol: "tcp", hostAddress: "", hostPort: 80 } as const;

    assert.throws(() => checkConfig({ image: "x", resources: { memoryBytes: 5 } }, aHost), {
      code: "invalid",
      message: "Minimum memory limit allowed is 6MB",
    });
    assert.deepEqual(checkConfig({ image: "x", network: "host", ports: [port] }, aHost), [
      "Published ports are discarded when using host network mode",
    ]);
    assert.deepEqual(checkConfig({ image: "x" }, aHost), []);
  });
});
