import type { ContainerInfo, ContainerSize, ContainerState } from "../engine/model.ts";
import { formatHostConfig } from "./host-config.ts";
import { mountPoints } from "./mounts.ts";
import { formatPortMap, summarizePorts } from "./ports.ts";
import { containerStorageBody, reachedWords } from "./storage.ts";
import { formatTime, humanDuration } from "./time.ts";
import type {
  ContainerConfigBody,
  ContainerInspect,
  ContainerStateBody,
  ContainerSummary,
  EndpointSettings,
  Keys,
  NetworkSettings,
} from "./wire.ts";

/** A container as `inspect` shows it. */
export function inspectContainer(info: ContainerInfo, sizes?: ContainerSize): ContainerInspect {
  const [path = "", ...args] = info.argv;
  return {
    Id: info.id,
    Created: formatTime(info.createdAtMs),
    Path: path,
    Args: args,
    State: stateBody(info.state),
    Image: info.imageId,
    ResolvConfPath: info.paths.resolvConf,
    HostnamePath: info.paths.hostname,
    HostsPath: info.paths.hosts,
    LogPath: info.logPath,
    Name: `/${info.name}`,
    RestartCount: info.state.restartCount,
    Driver: info.storageDriver,
    Platform: "linux",
    MountLabel: "",
    ProcessLabel: "",
    AppArmorProfile: "",
    ExecIDs: info.execIds.length === 0 ? null : info.execIds,
    HostConfig: formatHostConfig(info.config),
    GraphDriver: { Name: info.storageDriver, Data: info.storageData },
    ...storageFields(info, sizes),
    ...sizeFields(sizes),
    Mounts: mountPoints(info.mounts),
    Config: configBody(info),
    NetworkSettings: networkSettings(info),
  };
}

/** A container as a list shows it. */
export function summarizeContainer(info: ContainerInfo, sizes?: ContainerSize, nowMs = Date.now()): ContainerSummary {
  return {
    Id: info.id,
    Names: [`/${info.name}`],
    Image: info.imageReference,
    ImageID: info.imageId,
    Command: info.argv.map((word, index) => (index > 0 && word.includes(" ") ? `'${word}'` : word)).join(" "),
    Created: Math.floor(info.createdAtMs / 1000),
    Ports: isUp(info.state) ? summarizePorts(info.exposedPorts, info.ports) : [],
    ...sizeFields(sizes),
    Labels: info.labels,
    State: info.state.status,
    Status: withLimit(statusWords(info.state, nowMs), info),
    HostConfig: { NetworkMode: info.config.network ?? "bridge" },
    NetworkSettings: { Networks: endpoints(info) },
    Mounts: mountPoints(info.mounts),
  };
}

/** `Up 3 minutes (disk limit reached)` */
function withLimit(words: string, { storage, state }: ContainerInfo): string {
  const reached = reachedWords(storage);
  return reached === "" || state.status === "created" ? words : `${words} (${reached})`;
}

/** `Up 3 minutes (Paused)`, `Exited (137) 2 hours ago`; a kill by the memory limit is told of behind it. */
export function statusWords(state: ContainerState, nowMs: number): string {
  const up = `Up ${humanDuration(nowMs - state.startedAtMs)}`;
  const ago = `(${state.exitCode}) ${humanDuration(nowMs - state.finishedAtMs)} ago`;
  switch (state.status) {
    case "running":
      return up;
    case "paused":
      return `${up} (Paused)`;
    case "restarting":
      return `Restarting ${ago}`;
    case "removing":
      return "Removal In Progress";
    case "dead":
      return "Dead";
    case "created":
      return "Created";
    case "exited":
      return `Exited ${ago}${state.oomKilled && state.error !== "" ? `: ${state.error}` : ""}`;
  }
}

function sizeFields(sizes: ContainerSize | undefined) {
  return sizes === undefined ? {} : { SizeRw: sizes.writableBytes, SizeRootFs: sizes.rootfsBytes };
}

/** Of a container with a limit always; of others where sizes were asked for. */
function storageFields({ storage }: ContainerInfo, sizes: ContainerSize | undefined) {
  const used = sizes === undefined ? undefined : { bytes: sizes.writableBytes, inodes: sizes.writableInodes };
  const known = storage ?? used;
  return known === undefined ? {} : { Onggi: { Storage: containerStorageBody(known) } };
}

function isUp({ status }: ContainerState): boolean {
  return status === "running" || status === "paused";
}

/** In Docker's sense a paused container runs, and one that waits to be restarted does, too. */
function stateBody(state: ContainerState): ContainerStateBody {
  return {
    Status: state.status,
    Running: isUp(state) || state.status === "restarting",
    Paused: state.status === "paused",
    Restarting: state.status === "restarting",
    OOMKilled: state.oomKilled,
    Dead: state.status === "dead",
    Pid: state.pid,
    ExitCode: state.exitCode,
    Error: state.error,
    StartedAt: formatTime(state.startedAtMs),
    FinishedAt: formatTime(state.finishedAtMs),
  };
}

function configBody(info: ContainerInfo): ContainerConfigBody {
  const { config } = info;
  const { entrypoint, command } = splitArgv(info);
  return {
    Hostname: info.hostname,
    Domainname: config.domainname ?? "",
    User: info.user,
    AttachStdin: config.attach?.stdin ?? false,
    AttachStdout: config.attach?.stdout ?? false,
    AttachStderr: config.attach?.stderr ?? false,
    ...(info.exposedPorts.length > 0 ? { ExposedPorts: keysOf(info.exposedPorts) } : {}),
    Tty: config.terminal ?? false,
    OpenStdin: config.openStdin ?? false,
    StdinOnce: config.stdinOnce ?? false,
    Env: info.env,
    Cmd: command.length === 0 ? null : command,
    Image: config.image,
    Volumes: info.volumes.length === 0 ? null : keysOf(info.volumes),
    WorkingDir: info.workingDirectory,
    Entrypoint: entrypoint.length === 0 ? null : entrypoint,
    OnBuild: null,
    Labels: info.labels,
    StopSignal: info.stopSignal,
    ...(config.stopTimeoutSeconds === undefined ? {} : { StopTimeout: config.stopTimeoutSeconds }),
  };
}

/** What of the argv is entrypoint and what command; all is command where only the image says so. */
function splitArgv({ argv, config }: ContainerInfo): { entrypoint: readonly string[]; command: readonly string[] } {
  const commandLength = config.command?.length ?? 0;
  const at = config.entrypoint?.length ?? (commandLength > 0 ? argv.length - commandLength : 0);
  return { entrypoint: argv.slice(0, at), command: argv.slice(at) };
}

function networkSettings(info: ContainerInfo): NetworkSettings {
  const { address } = info;
  return {
    Bridge: "",
    SandboxID: address?.endpointId ?? "",
    SandboxKey: info.state.pid > 0 ? `/proc/${info.state.pid}/ns/net` : "",
    Ports: isUp(info.state) ? formatPortMap(info.exposedPorts, info.ports) : {},
    HairpinMode: false,
    LinkLocalIPv6Address: "",
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID: address?.endpointId ?? "",
    Gateway: address?.gateway ?? "",
    GlobalIPv6Address: "",
    GlobalIPv6PrefixLen: 0,
    IPAddress: address?.address ?? "",
    IPPrefixLen: address?.prefixLength ?? 0,
    IPv6Gateway: "",
    MacAddress: address?.mac ?? "",
    Networks: endpoints(info),
  };
}

/** By the network's name; none for a container that shares another's. */
function endpoints({ address, config }: ContainerInfo): Readonly<Record<string, EndpointSettings>> {
  const network = config.network ?? "bridge";
  if (network.startsWith("container:")) return {};
  return {
    [address?.network ?? network]: {
      IPAMConfig: null,
      Links: null,
      Aliases: null,
      MacAddress: address?.mac ?? "",
      DriverOpts: null,
      GwPriority: 0,
      NetworkID: address?.networkId ?? "",
      EndpointID: address?.endpointId ?? "",
      Gateway: address?.gateway ?? "",
      IPAddress: address?.address ?? "",
      IPPrefixLen: address?.prefixLength ?? 0,
      IPv6Gateway: "",
      GlobalIPv6Address: "",
      GlobalIPv6PrefixLen: 0,
      DNSNames: null,
    },
  };
}

function keysOf(names: readonly string[]): Keys {
  return Object.fromEntries(names.map((name) => [name, {}]));
}
