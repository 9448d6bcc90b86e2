import { isOnggiError } from "../base/error.ts";
import { rlimitNumbers } from "../program/kernel.ts";
import type { HostFacts } from "../runtime/compile/host-facts.ts";
import { parseProfile } from "../runtime/compile/seccomp/profile.ts";
import { capabilitySet } from "./capability-set.ts";
import type { ContainerConfig } from "./model.ts";

/** One thing that is wrong with a request; the sentences are Docker's, since clients match on them. */
export interface Problem {
  readonly message: string;
  readonly hint?: string;
}

const minMemoryBytes = 6 * 1024 * 1024;

/** Everything that is wrong with a request before anything is made of it; empty when it is fine. */
export function validateConfig(config: ContainerConfig, facts: HostFacts): Problem[] {
  return [
    ...names(config),
    ...memory(config),
    ...cpu(config, facts),
    ...otherLimits(config),
    ...rights(config, facts),
    ...mounts(config),
    ...sysctls(config),
    ...conflicts(config),
  ];
}

function* names({ hostname, domainname, workingDirectory, env = [] }: ContainerConfig): Iterable<Problem> {
  // setns and the kernel's utsname end at 64 bytes.
  if (hostname !== undefined && (hostname.length > 64 || !/^[\w.-]*$/.test(hostname))) {
    yield {
      message: `invalid hostname format: ${hostname}`,
      hint: "Use letters, digits, '-', '_' and '.', at most 64 of them.",
    };
  }
  if (domainname !== undefined && domainname.length > 64) yield { message: `invalid domainname format: ${domainname}` };
  if (workingDirectory !== undefined && workingDirectory !== "" && !workingDirectory.startsWith("/")) {
    yield { message: `the working directory '${workingDirectory}' is invalid, it needs to be an absolute path` };
  }
  for (const entry of env) {
    if (entry === "" || entry.startsWith("=")) yield { message: `invalid environment variable: ${entry}` };
  }
}

function* memory({ resources = {} }: ContainerConfig): Iterable<Problem> {
  const { memoryBytes = 0, memorySwapBytes = 0, memoryReservationBytes = 0 } = resources;
  if (memoryBytes !== 0 && memoryBytes < minMemoryBytes) yield { message: "Minimum memory limit allowed is 6MB" };
  if (memoryBytes > 0 && memorySwapBytes > 0 && memorySwapBytes < memoryBytes) {
    yield { message: "Minimum memoryswap limit should be larger than memory limit, see usage" };
  }
  if (memoryBytes === 0 && memorySwapBytes > 0) {
    yield { message: "You should always set the Memory limit when using Memoryswap limit, see usage" };
  }
  if (memoryReservationBytes !== 0 && memoryReservationBytes < minMemoryBytes) {
    yield { message: "Minimum memory reservation allowed is 6MB" };
  }
  if (memoryBytes > 0 && memoryBytes < memoryReservationBytes) {
    yield { message: "Minimum memory limit can not be less than memory reservation limit, see usage" };
  }
}

function* cpu({ resources = {} }: ContainerConfig, { cpus }: HostFacts): Iterable<Problem> {
  const { nanoCpus = 0, cpuPeriodUs = 0, cpuQuotaUs = 0 } = resources;
  if (nanoCpus > 0 && cpuPeriodUs > 0) {
    yield { message: "Conflicting options: Nano CPUs and CPU Period cannot both be set." };
  }
  if (nanoCpus > 0 && cpuQuotaUs > 0) {
    yield { message: "Conflicting options: Nano CPUs and CPU Quota cannot both be set." };
  }
  // The kernel counts in microseconds of a tenth of a second: less than a hundredth of a processor is lost.
  if (nanoCpus < 0 || (nanoCpus > 0 && nanoCpus < 1e7) || nanoCpus > cpus * 1e9) {
    yield { message: `Range of CPUs is from 0.01 to ${cpus}.00, as there are only ${cpus} CPUs available` };
  }
  if (cpuPeriodUs !== 0 && (cpuPeriodUs < 1000 || cpuPeriodUs > 1_000_000)) {
    yield { message: "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)" };
  }
  if (cpuQuotaUs > 0 && cpuQuotaUs < 1000) yield { message: "CPU cfs quota can not be less than 1ms (i.e. 1000)" };
  const list = resources.cpusetCpus ?? "";
  const wanted = parseList(list);
  if (wanted === undefined) yield { message: `Invalid value ${list} for cpuset cpus` };
  else if (wanted.some((number) => number >= cpus)) {
    yield { message: `Requested CPUs are not available - requested ${list}, available: 0-${cpus - 1}` };
  }
  const nodes = resources.cpusetMems ?? "";
  if (parseList(nodes) === undefined) yield { message: `Invalid value ${nodes} for cpuset mems` };
}

/** `0-2,4`: the numbers, or undefined where it isn't such a list. */
function parseList(text: string): number[] | undefined {
  if (text === "") return [];
  if (!/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(text)) return undefined;
  const ends = text.split(",").map((range) => range.split("-").map(Number));
  return ends.every(([first = 0, last = first]) => first <= last) ? ends.flat() : undefined;
}

function* otherLimits({
  resources = {},
  ulimits = [],
  shmBytes = 0,
  oomScoreAdj = 0,
}: ContainerConfig): Iterable<Problem> {
  const { blkioWeight = 0 } = resources;
  if (blkioWeight !== 0 && (blkioWeight < 10 || blkioWeight > 1000)) {
    yield { message: "Range of blkio weight is from 10 to 1000" };
  }
  if (shmBytes < 0) yield { message: "SHM size can not be less than 0" };
  if (oomScoreAdj < -1000 || oomScoreAdj > 1000) {
    yield { message: `Invalid value ${oomScoreAdj}, range for oom score adj is [-1000, 1000]` };
  }
  for (const { name, soft, hard } of ulimits) {
    if (rlimitNumbers[name] === undefined) yield { message: `invalid ulimit type: ${name}` };
    if (hard !== -1 && (soft > hard || soft === -1)) {
      yield { message: `ulimit soft limit must be less than or equal to hard limit: ${soft} > ${hard}` };
    }
  }
}

function* rights(config: ContainerConfig, facts: HostFacts): Iterable<Problem> {
  yield* problemsOf(() => capabilitySet({ ...config, privileged: false }, facts));
  for (const option of config.securityOptions ?? []) {
    if (/^no-new-privileges([=:](true|false))?$/.test(option)) continue;
    const [key = "", value] = splitOption(option);
    if (value === undefined) yield { message: `invalid --security-opt 1: "${option}"` };
    else if (key === "seccomp") {
      if (value !== "unconfined" && value !== "builtin") yield* problemsOf(() => parseProfile(value));
      if (value !== "unconfined" && !facts.features.seccomp) {
        yield { message: "seccomp is not enabled in your kernel, cannot run a custom seccomp profile" };
      }
    } else if (!["apparmor", "label", "systempaths"].includes(key)) {
      yield { message: `invalid --security-opt 2: "${option}"` };
    }
  }
  for (const { permissions } of config.devices ?? []) {
    if (!/^[rwm]{1,3}$/.test(permissions)) yield { message: `invalid device mode: ${permissions}` };
  }
}

function splitOption(option: string): [key: string, value: string | undefined] {
  const at = /[=:]/.exec(option)?.index;
  return at === undefined ? [option, undefined] : [option.slice(0, at), option.slice(at + 1)];
}

function* problemsOf(check: () => unknown): Iterable<Problem> {
  try {
    check();
  } catch (error) {
    if (!isOnggiError(error)) throw error;
    yield { message: error.message, ...(error.hint === undefined ? {} : { hint: error.hint }) };
  }
}

function* mounts({ mounts = [] }: ContainerConfig): Iterable<Problem> {
  const seen = new Set<string>();
  for (const { target } of mounts) {
    const path = target.replace(/\/+/g, "/").replace(/(?<=.)\/$/, "");
    if (!path.startsWith("/")) yield { message: `invalid mount path: '${target}' mount path must be absolute` };
    else if (path === "/") yield { message: "invalid specification: destination can't be '/'" };
    else if (path === "/proc" || path === "/sys")
      yield { message: `"${path}" is the kernel's: nothing can be mounted in its place` };
    if (seen.has(path)) yield { message: `Duplicate mount point: ${path}` };
    seen.add(path);
  }
}

/** Kernel parameters that belong to an IPC namespace. */
const ipcSysctls = new Set([
  "kernel.msgmax",
  "kernel.msgmnb",
  "kernel.msgmni",
  "kernel.sem",
  "kernel.shmall",
  "kernel.shmmax",
  "kernel.shmmni",
  "kernel.shm_rmid_forced",
]);

function* sysctls({ sysctls = {}, network, ipcMode }: ContainerConfig): Iterable<Problem> {
  for (const key of Object.keys(sysctls)) {
    const name = key.replaceAll("/", ".");
    // A name with `..` or a slash at its start would leave /proc/sys.
    if (!/^[\w-]+([./][\w*:@-]+)+$/.test(key)) yield { message: `sysctl '${key}' is not a valid name` };
    else if (name.startsWith("net.")) {
      if (network === "host") yield { message: `sysctl '${key}' not allowed in host network namespace` };
    } else if (ipcSysctls.has(name) || name.startsWith("fs.mqueue.")) {
      if (ipcMode === "host") yield { message: `sysctl '${key}' not allowed in host ipc namespace` };
    } else {
      yield {
        message: `sysctl "${key}" is not in a separate kernel namespace`,
        hint: "Set it on the host with sysctl(8).",
      };
    }
  }
}

function* conflicts(config: ContainerConfig): Iterable<Problem> {
  const { network = "bridge", restart, autoRemove, ports = [], hostname, utsMode } = config;
  if (autoRemove === true && restart !== undefined && restart.name !== "no") {
    yield { message: "can't create 'AutoRemove' container with restart policy" };
  }
  if (restart !== undefined && restart.maximumRetryCount < 0) {
    yield { message: "invalid restart policy: maximum retry count cannot be negative" };
  }
  if (restart !== undefined && restart.maximumRetryCount > 0 && restart.name !== "on-failure") {
    yield { message: "invalid restart policy: maximum retry count can only be used with 'on-failure'" };
  }
  if (network.startsWith("container:") && (ports.length > 0 || config.publishAll === true)) {
    yield { message: "conflicting options: port publishing and the container type network mode" };
  }
  if (network.startsWith("container:") && hostname) {
    yield { message: "conflicting options: hostname and the network mode" };
  }
  if (utsMode === "host" && hostname) yield { message: "conflicting options: hostname and the UTS mode" };
  for (const [mode, name] of [
    [config.pidMode, "PID"],
    [config.ipcMode, "IPC"],
  ] as const) {
    if (mode?.startsWith("container:")) {
      yield {
        message: `joining another container's ${name} namespace is not supported yet`,
        hint: "Use host or private.",
      };
    }
  }
}
