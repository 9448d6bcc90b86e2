import { isOnggiError, OnggiError } from "../base/error.ts";
import type { ContainerConfig, NetworkMode, Resources, RestartPolicy } from "../engine/model.ts";
import { formatHostMounts } from "./mounts.ts";
import { formatPortBindings } from "./ports.ts";
import { formatStorageOptions } from "./storage-options.ts";
import type { HostConfig } from "./wire.ts";

/** Runtimes by the names under which clients ask for the usual one. */
const runtimes = ["", "onggi", "runc", "io.containerd.runc.v2"];
const logDrivers = ["", "json-file", "local", "none"];
const minMemoryBytes = 6 * 1024 * 1024;
const minCpuPeriodUs = 1000;
const maxCpuPeriodUs = 1_000_000;

/**
 * What of a HostConfig Onggi can't do and that would matter, the first of it as an error: nothing is silently left out.
 *
 * @throws OnggiError `unsupported`
 */
export function refuseUnsupported(host: HostConfig): void {
  const refuse = (is: boolean, what: string, hint: string) => {
    if (is) throw new OnggiError("unsupported", `${what} is not supported`, { hint });
  };
  const isSet = (list: readonly unknown[] | null | undefined) => (list ?? []).length > 0;
  const leaveOut = "Leave it out.";
  refuse(!["", "local"].includes(host.VolumeDriver ?? ""), `volume driver "${host.VolumeDriver}"`, leaveOut);
  refuse(isSet(host.Links), "Links (--link)", "Reach the other container by its address, or name it with --add-host.");
  refuse(
    isSet(host.DeviceCgroupRules),
    "DeviceCgroupRules (--device-cgroup-rule)",
    "Hand in the devices with --device.",
  );
  refuse(isSet(host.DeviceRequests), "DeviceRequests (--gpus)", "Hand in the devices with --device.");
  refuse(!["", "host"].includes(host.UsernsMode ?? ""), `user namespace mode "${host.UsernsMode}"`, leaveOut);
  refuse(!["", "default", "process"].includes(host.Isolation ?? ""), `isolation "${host.Isolation}"`, leaveOut);
  refuse(!runtimes.includes(host.Runtime ?? ""), `runtime "${host.Runtime}"`, leaveOut);
  refuse((host.CgroupParent ?? "") !== "", "CgroupParent (--cgroup-parent)", leaveOut);
  for (const name of [
    "BlkioWeightDevice",
    "BlkioDeviceReadBps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteIOps",
  ] as const) {
    refuse(isSet(host[name]), name, "Limit block I/O with --blkio-weight.");
  }
  refuse(
    (host.CpuRealtimePeriod ?? 0) !== 0 || (host.CpuRealtimeRuntime ?? 0) !== 0,
    "real-time CPU scheduling (--cpu-rt-…)",
    leaveOut,
  );
  refuse((host.MemorySwappiness ?? -1) !== -1, "MemorySwappiness (--memory-swappiness)", leaveOut);
  refuse(
    (host.KernelMemory ?? 0) > 0 || (host.KernelMemoryTCP ?? 0) > 0,
    "a limit of kernel memory",
    "Limit all memory with --memory: it takes in the kernel's.",
  );
  // Docker's client asks for no masks at all with --security-opt systempaths=unconfined; null is the default.
  refuse(
    (Array.isArray(host.MaskedPaths) || Array.isArray(host.ReadonlyPaths)) && host.Privileged !== true,
    "MaskedPaths or ReadonlyPaths of one's own",
    "Use --privileged to unmask all.",
  );
}

/** @throws OnggiError `invalid` in Docker's words */
export function parseResources(host: HostConfig): Resources {
  const memory = host.Memory ?? 0;
  const swap = host.MemorySwap ?? 0;
  const reservation = host.MemoryReservation ?? 0;
  const period = host.CpuPeriod ?? 0;
  const quota = host.CpuQuota ?? 0;
  const check = (isBad: boolean, sentence: string) => {
    if (isBad) throw new OnggiError("invalid", sentence);
  };
  check(memory !== 0 && memory < minMemoryBytes, "Minimum memory limit allowed is 6MB");
  check(
    memory > 0 && swap > 0 && swap < memory,
    "Minimum memoryswap limit should be larger than memory limit, see usage",
  );
  check(memory === 0 && swap > 0, "You should always set the Memory limit when using Memoryswap limit, see usage");
  check(reservation !== 0 && reservation < minMemoryBytes, "Minimum memory reservation allowed is 6MB");
  check(
    memory > 0 && reservation > memory,
    "Minimum memory limit can not be less than memory reservation limit, see usage",
  );
  check((host.NanoCpus ?? 0) < 0, "range of CPUs is invalid: NanoCPUs must not be negative");
  check(
    (host.NanoCpus ?? 0) > 0 && (period > 0 || quota > 0),
    "Conflicting options: Nano CPUs and CPU Period cannot both be set",
  );
  check(
    period !== 0 && (period < minCpuPeriodUs || period > maxCpuPeriodUs),
    "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
  );
  check(quota > 0 && quota < 1000, "CPU cfs quota can not be less than 1ms (i.e. 1000)");
  check((host.CpuShares ?? 0) < 0, `invalid CPU shares (${host.CpuShares}): value must be a positive integer`);
  check(
    (host.BlkioWeight ?? 0) !== 0 && ((host.BlkioWeight ?? 0) < 10 || (host.BlkioWeight ?? 0) > 1000),
    "range of blkio weight is from 10 to 1000",
  );
  check(!isCpuList(host.CpusetCpus ?? ""), `Invalid value ${host.CpusetCpus} for cpuset cpus`);
  check(!isCpuList(host.CpusetMems ?? ""), `Invalid value ${host.CpusetMems} for cpuset mems`);
  return defined({
    cpuShares: nonZero(host.CpuShares),
    nanoCpus: nonZero(host.NanoCpus),
    cpuQuotaUs: nonZero(host.CpuQuota),
    cpuPeriodUs: nonZero(host.CpuPeriod),
    cpusetCpus: host.CpusetCpus || undefined,
    cpusetMems: host.CpusetMems || undefined,
    memoryBytes: nonZero(host.Memory),
    memorySwapBytes: nonZero(host.MemorySwap),
    memoryReservationBytes: nonZero(host.MemoryReservation),
    oomKillDisable: host.OomKillDisable || undefined,
    pidsLimit: nonZero(host.PidsLimit),
    blkioWeight: nonZero(host.BlkioWeight),
  });
}

/** @throws OnggiError `invalid` in Docker's words */
export function parseRestartPolicy(
  { Name = "", MaximumRetryCount = 0 }: NonNullable<HostConfig["RestartPolicy"]>,
  autoRemove: boolean,
): RestartPolicy | undefined {
  switch (Name) {
    case "":
    case "no":
      if (MaximumRetryCount !== 0)
        throw new OnggiError(
          "invalid",
          "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        );
      return undefined;
    case "always":
    case "unless-stopped":
    case "on-failure":
      if (autoRemove) throw new OnggiError("invalid", "can't create 'AutoRemove' container with restart policy");
      if (Name !== "on-failure" && MaximumRetryCount !== 0)
        throw new OnggiError(
          "invalid",
          "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        );
      if (MaximumRetryCount < 0)
        throw new OnggiError("invalid", "invalid restart policy: maximum retry count cannot be negative");
      return { name: Name, maximumRetryCount: MaximumRetryCount };
    default:
      throw new OnggiError(
        "invalid",
        `invalid restart policy: unknown policy '${Name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`,
      );
  }
}

/** @throws OnggiError `invalid` in Docker's words for a network that isn't there */
export function parseNetworkMode(text: string, known: (name: string) => string): NetworkMode {
  if (text === "" || text === "default" || text === "bridge") return "bridge";
  if (text === "none" || text === "host") return text;
  const container = /^container:(.+)$/.exec(text)?.[1];
  if (container !== undefined) return `container:${container}`;
  if (text.startsWith("container:"))
    throw new OnggiError("invalid", "Invalid network mode: invalid container format container:<name|id>");
  const name = knownName(text, known);
  return name === "host" || name === "none" ? name : "bridge";
}

/** Never `not_found`: Docker's client takes that as the image's, and pulls one. */
function knownName(text: string, known: (name: string) => string): string {
  try {
    return known(text);
  } catch (error) {
    if (!isOnggiError(error, "not_found")) throw error;
    throw new OnggiError("invalid", error.message, { hint: error.hint, cause: error });
  }
}

/** @throws OnggiError `invalid` for a driver that isn't there, in Docker's words */
export function parseLog({
  Type: driver = "",
  Config: options,
}: NonNullable<HostConfig["LogConfig"]>): ContainerConfig["log"] {
  if (!logDrivers.includes(driver)) {
    throw new OnggiError("invalid", `logger: no log driver named '${driver}' is registered`, {
      hint: "There are json-file, local and none.",
    });
  }
  if (driver === "" && Object.keys(options ?? {}).length === 0) return undefined;
  return { driver: driver || "local", options: options ?? {} };
}

/** A request's HostConfig as `inspect` shows it again, with Docker's defaults. */
export function formatHostConfig(config: ContainerConfig): HostConfig {
  const { resources = {} } = config;
  return {
    ...formatHostMounts(config.mounts ?? []),
    ContainerIDFile: "",
    LogConfig: { Type: config.log?.driver ?? "local", Config: config.log?.options ?? {} },
    NetworkMode: config.network ?? "bridge",
    PortBindings: formatPortBindings(config.ports ?? []),
    RestartPolicy: { Name: config.restart?.name ?? "no", MaximumRetryCount: config.restart?.maximumRetryCount ?? 0 },
    AutoRemove: config.autoRemove ?? false,
    VolumeDriver: "",
    VolumesFrom: config.volumesFrom ?? null,
    ConsoleSize: config.terminalSize ?? [0, 0],
    ...(config.annotations === undefined ? {} : { Annotations: config.annotations }),
    CapAdd: config.capAdd ?? null,
    CapDrop: config.capDrop ?? null,
    CgroupnsMode: config.cgroupnsMode ?? "private",
    Dns: config.dns ?? [],
    DnsOptions: config.dnsOptions ?? [],
    DnsSearch: config.dnsSearch ?? [],
    ExtraHosts: config.extraHosts ?? null,
    GroupAdd: config.groupAdd ?? null,
    IpcMode: config.ipcMode ?? "private",
    Cgroup: "",
    Links: null,
    OomScoreAdj: config.oomScoreAdj ?? 0,
    PidMode: config.pidMode ?? "",
    Privileged: config.privileged ?? false,
    PublishAllPorts: config.publishAll ?? false,
    ReadonlyRootfs: config.readonlyRootfs ?? false,
    SecurityOpt: config.securityOptions ?? null,
    UTSMode: config.utsMode ?? "",
    UsernsMode: "",
    ShmSize: config.shmBytes ?? 67_108_864,
    ...(config.storage === undefined ? {} : { StorageOpt: formatStorageOptions(config.storage) }),
    ...(config.sysctls === undefined ? {} : { Sysctls: config.sysctls }),
    Runtime: "onggi",
    Isolation: "",
    CpuShares: resources.cpuShares ?? 0,
    Memory: resources.memoryBytes ?? 0,
    NanoCpus: resources.nanoCpus ?? 0,
    CgroupParent: "",
    BlkioWeight: resources.blkioWeight ?? 0,
    BlkioWeightDevice: [],
    BlkioDeviceReadBps: [],
    BlkioDeviceWriteBps: [],
    BlkioDeviceReadIOps: [],
    BlkioDeviceWriteIOps: [],
    CpuPeriod: resources.cpuPeriodUs ?? 0,
    CpuQuota: resources.cpuQuotaUs ?? 0,
    CpuRealtimePeriod: 0,
    CpuRealtimeRuntime: 0,
    CpusetCpus: resources.cpusetCpus ?? "",
    CpusetMems: resources.cpusetMems ?? "",
    Devices: (config.devices ?? []).map(({ hostPath, containerPath, permissions }) => ({
      PathOnHost: hostPath,
      PathInContainer: containerPath,
      CgroupPermissions: permissions,
    })),
    DeviceCgroupRules: null,
    DeviceRequests: null,
    MemoryReservation: resources.memoryReservationBytes ?? 0,
    MemorySwap: resources.memorySwapBytes ?? 0,
    MemorySwappiness: null,
    OomKillDisable: resources.oomKillDisable ?? false,
    PidsLimit: resources.pidsLimit ?? null,
    Ulimits: (config.ulimits ?? []).map(({ name, soft, hard }) => ({ Name: name, Soft: soft, Hard: hard })),
    CpuCount: 0,
    CpuPercent: 0,
    IOMaximumIOps: 0,
    IOMaximumBandwidth: 0,
    ...(config.init === undefined ? {} : { Init: config.init }),
  };
}

/** Without the fields that are undefined. */
export function defined<T extends object>(fields: { readonly [Name in keyof T]: T[Name] | undefined }): T {
  // What is left has the type of T: its undefined fields are gone.
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}

function nonZero(value: number | null | undefined): number | undefined {
  return value === null || value === 0 ? undefined : value;
}

/** `0-3,5`, as in cpuset(7). */
function isCpuList(text: string): boolean {
  return text === "" || /^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(text);
}
