import { OnggiError } from "../base/error.ts";
import type { NamespaceType, Process, Seccomp, Spec } from "../oci/runtime-spec.ts";
import type { HostFacts } from "../runtime/compile/host-facts.ts";
import { defaultSeccomp } from "../runtime/compile/seccomp/default-profile.ts";
import { parseProfile, resolveProfile } from "../runtime/compile/seccomp/profile.ts";
import { capabilitySet } from "./capability-set.ts";
import { mergeEnv } from "./merge-image.ts";
import type { ContainerConfig, ExecConfig } from "./model.ts";
import { type ContainerFiles, specMounts } from "./spec-mounts.ts";
import { type ContainerDevice, specResources } from "./spec-resources.ts";
import type { ResolvedUser } from "./user.ts";
import { validateConfig } from "./validate-config.ts";

/** All that a spec is made of, read beforehand: this decides and does no I/O. */
export interface SpecInput {
  readonly id: string;
  readonly config: ContainerConfig;
  /** Entrypoint and command, environment and directory of container and image joined: `mergeImage`. */
  readonly settings: {
    readonly argv: readonly string[];
    readonly env: readonly string[];
    readonly workingDirectory: string;
  };
  readonly user: ResolvedUser;
  readonly facts: HostFacts;
  /** Where the rootfs is mounted while the container is made: an empty folder of the host. */
  readonly rootPath: string;
  readonly hostname: string;
  /** Absent: the image's own files stay. */
  readonly files?: ContainerFiles;
  /** What `--device` and `--privileged` come to: `readDevice`, `listDevices` of src/runtime/host-devices.ts. */
  readonly devices?: readonly ContainerDevice[];
  /** Network namespace to join, for `container:ID`. */
  readonly networkPath?: string;
}

const maskedPaths = [
  "/proc/asound",
  "/proc/acpi",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/sys/firmware",
  "/sys/devices/virtual/powercap",
];

const readonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/**
 * What a container is, in the words of the OCI runtime specification, with Docker's defaults.
 *
 * @throws OnggiError `invalid` for what {@link validateConfig} names
 */
export function specFor(input: SpecInput): Spec {
  const { config, user, facts } = input;
  const privileged = config.privileged === true;
  const capabilities = capabilitySet(config, facts);
  const devices = input.devices ?? [];
  const seccomp = seccompFor(config, capabilities, facts);
  const hidesKernel = !privileged && !hasOption(config, "systempaths=unconfined");
  return {
    ociVersion: "1.2.0",
    process: {
      ...processOf({ ...input.settings, user, terminal: config.terminal === true, hostname: input.hostname }),
      ...(config.terminalSize === undefined ? {} : { consoleSize: consoleSize(config.terminalSize) }),
      capabilities: capabilitiesOf(user, capabilities),
      rlimits: (config.ulimits ?? []).map(({ name, soft, hard }) => ({
        type: `RLIMIT_${name.toUpperCase()}`,
        soft,
        hard,
      })),
      noNewPrivileges: wantsNoNewPrivileges(config),
      ...(config.oomScoreAdj === undefined ? {} : { oomScoreAdj: config.oomScoreAdj }),
    },
    root: { path: input.rootPath, readonly: config.readonlyRootfs === true },
    ...(config.utsMode === "host" ? {} : { hostname: input.hostname }),
    ...(config.domainname ? { domainname: config.domainname } : {}),
    mounts: specMounts(config, input.files),
    linux: {
      namespaces: namespaces(config, input.networkPath),
      devices: devices.map(({ permissions: _, ...device }) => device),
      resources: specResources(config.resources ?? {}, { privileged, devices }),
      ...(seccomp === undefined ? {} : { seccomp }),
      maskedPaths: hidesKernel ? [...maskedPaths, ...facts.machinePaths] : [],
      readonlyPaths: hidesKernel ? readonlyPaths : [],
      sysctl: sysctls(config),
    },
  };
}

/** What of a container holds for a further process in it. */
export interface ExecInput {
  readonly config: ContainerConfig;
  readonly exec: ExecConfig;
  /** The container's own, as they were merged. */
  readonly settings: { readonly env: readonly string[]; readonly workingDirectory: string };
  readonly user: ResolvedUser;
  readonly facts: HostFacts;
  readonly hostname: string;
}

/** The process of an exec, and the filter that it runs under: the container's own. */
export function execProcessFor(input: ExecInput): { readonly process: Process; readonly seccomp: Seccomp | undefined } {
  const { config, exec, user, facts } = input;
  const own = capabilitySet(config, facts);
  const capabilities = exec.privileged === true ? capabilitySet({ privileged: true }, facts) : own;
  const terminal = exec.terminal === true;
  return {
    process: {
      ...processOf({
        argv: exec.command,
        env: mergeEnv(input.settings.env, exec.env ?? []),
        workingDirectory: exec.workingDirectory || input.settings.workingDirectory,
        user,
        terminal,
        hostname: input.hostname,
      }),
      capabilities: capabilitiesOf(user, capabilities),
      rlimits: (config.ulimits ?? []).map(({ name, soft, hard }) => ({
        type: `RLIMIT_${name.toUpperCase()}`,
        soft,
        hard,
      })),
      noNewPrivileges: wantsNoNewPrivileges(config),
    },
    seccomp: seccompFor(config, own, facts),
  };
}

function processOf(input: {
  readonly argv: readonly string[];
  readonly env: readonly string[];
  readonly workingDirectory: string;
  readonly user: ResolvedUser;
  readonly terminal: boolean;
  readonly hostname: string;
}): Process {
  const { uid, gid, groups, home } = input.user;
  const given = [`HOSTNAME=${input.hostname}`, ...(input.terminal ? ["TERM=xterm"] : [])];
  const env = mergeEnv(given, input.env);
  return {
    terminal: input.terminal,
    user: { uid, gid, additionalGids: groups, umask: 0o022 },
    args: input.argv,
    env: env.some((entry) => entry.startsWith("HOME=")) ? env : [...env, `HOME=${home}`],
    cwd: input.workingDirectory,
  };
}

/** A user who isn't root gets what an exec would leave: nothing, within the same bounds. */
function capabilitiesOf(user: ResolvedUser, names: readonly string[]): NonNullable<Process["capabilities"]> {
  const own = user.uid === 0 ? names : [];
  return { bounding: names, effective: own, permitted: own, inheritable: [], ambient: [] };
}

function namespaces(config: ContainerConfig, networkPath: string | undefined): Spec["linux"]["namespaces"] {
  const isPrivate = (mode: string | undefined) =>
    mode === undefined || mode === "" || mode === "private" || mode === "shareable";
  const types: NamespaceType[] = ["mount"];
  if (isPrivate(config.utsMode)) types.push("uts");
  if (isPrivate(config.ipcMode)) types.push("ipc");
  if (isPrivate(config.pidMode)) types.push("pid");
  if (isPrivate(config.cgroupnsMode)) types.push("cgroup");
  if (config.network !== "host" && networkPath === undefined) types.push("network");
  const own = types.map((type) => ({ type }));
  return networkPath === undefined ? own : [...own, { type: "network", path: networkPath }];
}

function seccompFor(config: ContainerConfig, capabilities: readonly string[], facts: HostFacts): Seccomp | undefined {
  const option = config.securityOptions?.findLast((text) => /^seccomp[=:]/.test(text))?.slice("seccomp=".length);
  if (option === "unconfined" || (option === undefined && config.privileged === true)) return undefined;
  const { architecture, kernel } = facts;
  const profileFacts = { architecture, kernel, capabilities };
  if (option !== undefined && option !== "builtin") return resolveProfile(parseProfile(option), profileFacts);
  return facts.features.seccomp ? defaultSeccomp(profileFacts) : undefined;
}

function wantsNoNewPrivileges(config: ContainerConfig): boolean {
  const option = config.securityOptions?.findLast((text) => text.startsWith("no-new-privileges"));
  return option !== undefined && !/[=:]false$/.test(option);
}

function hasOption(config: ContainerConfig, option: string): boolean {
  return config.securityOptions?.includes(option) === true;
}

/** A network of its own lets everyone in it bind low ports and ping: what root of the host guards elsewhere is the container's here. */
function sysctls(config: ContainerConfig): Readonly<Record<string, string>> {
  const ownNetwork = config.network === undefined || config.network === "bridge" || config.network === "none";
  const defaults = ownNetwork
    ? { "net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647" }
    : {};
  return { ...defaults, ...config.sysctls };
}

function consoleSize([height, width]: readonly [number, number]): { readonly height: number; readonly width: number } {
  return { height, width };
}

/**
 * Refuses a request that can't be fulfilled, before anything is made of it.
 *
 * @returns what will be passed over, a sentence each
 * @throws OnggiError `invalid` with the first of what {@link validateConfig} finds
 */
export function checkConfig(config: ContainerConfig, facts: HostFacts): readonly string[] {
  const [problem] = validateConfig(config, facts);
  if (problem !== undefined) throw new OnggiError("invalid", problem.message, { hint: problem.hint });
  const warnings: string[] = [];
  if (config.network === "host" && ((config.ports ?? []).length > 0 || config.publishAll === true)) {
    warnings.push("Published ports are discarded when using host network mode");
  }
  if (config.resources?.oomKillDisable === true && facts.cgroup.version === "2") {
    warnings.push("Your kernel does not support OomKillDisable. OomKillDisable discarded.");
  }
  return warnings;
}
