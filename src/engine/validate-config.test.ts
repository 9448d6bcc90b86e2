import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { HostFacts } from "../runtime/compile/host-facts.ts";
import type { ContainerConfig } from "./model.ts";
import { validateConfig } from "./validate-config.ts";

const aHost: HostFacts = {
  architecture: "x86_64",
  kernel: [6, 12],
  lastCapability: 40,
  capabilities: 0x1fffeffffffn, // all but CAP_SYS_RESOURCE
  features: { newMountApi: true, mountSetattr: true, seccomp: true },
  cgroup: { version: "2", hierarchies: [] },
  oomScoreAdj: 0,
  cpus: 2,
  memoryBytes: 2 ** 33,
  machinePaths: [],
};
const problems = (config: Partial<ContainerConfig>) =>
  validateConfig({ image: "x", ...config }, aHost).map(({ message }) => message);
const MB = 2 ** 20;

describe("validateConfig", () => {
  it("finds nothing wrong with what is right", () => {
    assert.deepEqual(problems({}), []);
    assert.deepEqual(
      problems({
        hostname: "a.b-c",
        resources: { memoryBytes: 6 * MB, memorySwapBytes: -1, nanoCpus: 2e9, cpusetCpus: "0-1", cpusetMems: "0" },
        ulimits: [{ name: "nofile", soft: 10, hard: -1 }],
        capAdd: ["net_admin", "CAP_SYS_TIME"],
        capDrop: ["ALL"],
        securityOptions: ["no-new-privileges:true", "seccomp=unconfined", "apparmor=unconfined", "label=disable"],
        sysctls: { "net.core.somaxconn": "1", "kernel.shmmax": "1", "net/ipv4/conf/eth0.1/forwarding": "1" },
        mounts: [{ kind: "tmpfs", target: "/tmp", options: [] }],
        restart: { name: "on-failure", maximumRetryCount: 3 },
      }),
      [],
    );
  });

  const cases: readonly (readonly [what: string, config: Partial<ContainerConfig>, message: RegExp])[] = [
    ["little memory", { resources: { memoryBytes: MB } }, /^Minimum memory limit allowed is 6MB$/],
    [
      "less swap than memory",
      { resources: { memoryBytes: 9 * MB, memorySwapBytes: 8 * MB } },
      /memoryswap limit should be larger/,
    ],
    ["swap alone", { resources: { memorySwapBytes: 8 * MB } }, /always set the Memory limit/],
    [
      "a reservation above the limit",
      { resources: { memoryBytes: 8 * MB, memoryReservationBytes: 9 * MB } },
      /less than memory reservation/,
    ],
    [
      "more processors than there are",
      { resources: { nanoCpus: 3e9 } },
      /^Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available$/,
    ],
    [
      "cpus and quota",
      { resources: { nanoCpus: 1e9, cpuQuotaUs: 5000 } },
      /Nano CPUs and CPU Quota cannot both be set/,
    ],
    [
      "a processor that isn't there",
      { resources: { cpusetCpus: "0,7" } },
      /Requested CPUs are not available - requested 0,7, available: 0-1/,
    ],
    ["a list that is none", { resources: { cpusetCpus: "1-" } }, /Invalid value 1- for cpuset cpus/],
    ["an unknown ulimit", { ulimits: [{ name: "files", soft: 1, hard: 1 }] }, /invalid ulimit type: files/],
    [
      "a soft limit above the hard one",
      { ulimits: [{ name: "nofile", soft: 2, hard: 1 }] },
      /less than or equal to hard limit: 2 > 1/,
    ],
    ["an unknown capability", { capAdd: ["FLY"] }, /^unknown capability: "CAP_FLY"$/],
    [
      "a capability that the engine lacks",
      { capAdd: ["SYS_RESOURCE"] },
      /not available in the current environment: "CAP_SYS_RESOURCE"/,
    ],
    ["an unknown security option", { securityOptions: ["foo=bar"] }, /invalid --security-opt 2: "foo=bar"/],
    ["a security option without a value", { securityOptions: ["foo"] }, /invalid --security-opt 1: "foo"/],
    ["a profile that isn't JSON", { securityOptions: ["seccomp=/file"] }, /decoding seccomp profile failed/],
    ["a kernel parameter of the host's", { sysctls: { "kernel.panic": "1" } }, /is not in a separate kernel namespace/],
    [
      "a parameter in the host's network",
      { network: "host", sysctls: { "net.core.somaxconn": "1" } },
      /not allowed in host network namespace/,
    ],
    ["a parameter that leads out of /proc/sys", { sysctls: { "net/../../x": "1" } }, /not a valid name/],
    ["a mount on the root", { mounts: [{ kind: "tmpfs", target: "//", options: [] }] }, /destination can't be '\/'/],
    ["a relative mount", { mounts: [{ kind: "tmpfs", target: "tmp", options: [] }] }, /mount path must be absolute/],
    [
      "a mount twice",
      { mounts: ["/a", "/a/"].map((target) => ({ kind: "tmpfs", target, options: [] })) },
      /Duplicate mount point: \/a/,
    ],
    ["a relative directory", { workingDirectory: "work" }, /needs to be an absolute path/],
    [
      "removal and restart",
      { autoRemove: true, restart: { name: "always", maximumRetryCount: 0 } },
      /can't create 'AutoRemove' container with restart policy/,
    ],
    [
      "ports in another's network",
      { network: "container:x", publishAll: true },
      /port publishing and the container type network mode/,
    ],
    ["a score out of range", { oomScoreAdj: 1001 }, /range for oom score adj is \[-1000, 1000\]/],
    [
      "a wrong device mode",
      { devices: [{ hostPath: "/dev/null", containerPath: "/dev/x", permissions: "rx" }] },
      /invalid device mode: rx/,
    ],
  ];
  for (const [what, config, message] of cases) {
    it(`names ${what}`, () => assert.match(problems(config).join("\n"), message));
  }

  it("finds all that is wrong at once", () => {
    assert.equal(problems({ resources: { memoryBytes: 1, nanoCpus: 9e9 }, capAdd: ["X"] }).length, 3);
  });
});
