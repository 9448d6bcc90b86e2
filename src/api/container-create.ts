import { OnggiError } from "../base/error.ts";
import { parseSignal } from "../base/signal.ts";
import type { NetworksFace } from "../engine/engine.ts";
import type { ContainerConfig, NetworkMode } from "../engine/model.ts";
import {
  defined,
  parseLog,
  parseNetworkMode,
  parseResources,
  parseRestartPolicy,
  refuseUnsupported,
} from "./host-config.ts";
import { parseMounts } from "./mounts.ts";
import { parseExposedPorts, parsePortBindings } from "./ports.ts";
import { parseStorageOptions } from "./storage-options.ts";
import type { CreateRequest, EndpointSettings, HostConfig } from "./wire.ts";

/**
 * Docker's create request in Onggi's words. What is left out or null has Docker's default.
 *
 * @throws OnggiError `invalid` in Docker's sentences; `unsupported` for what would be left out otherwise
 */
export function parseCreateRequest(
  request: Partial<CreateRequest>,
  name: string,
  networks: NetworksFace,
): ContainerConfig {
  const host = request.HostConfig ?? {};
  refuseUnsupported(host);
  refuseHealthcheck(request);
  checkSettings(request, host);
  const { Image: image = "" } = request;
  if (image === "") throw new OnggiError("invalid", "no image specified", { hint: "Name one in the field Image." });
  const network = networkOf(request, host, networks);
  checkNetwork(network, request, host);
  const ports = parsePortBindings(host.PortBindings ?? {});
  return defined<ContainerConfig>({
    image,
    name: name || undefined,
    entrypoint: entrypointOf(request.Entrypoint),
    command: listOf(request.Cmd),
    env: nonEmpty(request.Env),
    workingDirectory: request.WorkingDir || undefined,
    user: request.User || undefined,
    hostname: request.Hostname || undefined,
    domainname: request.Domainname || undefined,
    labels: nonEmptyMap(request.Labels),
    terminal: request.Tty || undefined,
    terminalSize: sizeOf(host.ConsoleSize),
    openStdin: request.OpenStdin || undefined,
    stdinOnce: request.StdinOnce || undefined,
    attach: {
      stdin: request.AttachStdin ?? false,
      stdout: request.AttachStdout ?? false,
      stderr: request.AttachStderr ?? false,
    },
    stopSignal: request.StopSignal || undefined,
    stopTimeoutSeconds: request.StopTimeout ?? undefined,
    autoRemove: host.AutoRemove || undefined,
    restart: parseRestartPolicy(host.RestartPolicy ?? {}, host.AutoRemove ?? false),
    network,
    ports: nonEmpty(ports),
    exposedPorts: nonEmpty(exposedPorts(request, host)),
    publishAll: host.PublishAllPorts || undefined,
    dns: nonEmpty(host.Dns),
    dnsSearch: nonEmpty(host.DnsSearch),
    dnsOptions: nonEmpty(host.DnsOptions),
    extraHosts: nonEmpty(host.ExtraHosts),
    mounts: nonEmpty(parseMounts(host)),
    volumes: nonEmpty(Object.keys(request.Volumes ?? {})),
    volumesFrom: nonEmpty(host.VolumesFrom),
    readonlyRootfs: host.ReadonlyRootfs || undefined,
    devices: nonEmpty(
      host.Devices?.map(({ PathOnHost, PathInContainer, CgroupPermissions }) => ({
        hostPath: PathOnHost,
        containerPath: PathInContainer || PathOnHost,
        permissions: CgroupPermissions || "rwm",
      })),
    ),
    privileged: host.Privileged || undefined,
    capAdd: nonEmpty(host.CapAdd),
    capDrop: nonEmpty(host.CapDrop),
    securityOptions: nonEmpty(host.SecurityOpt),
    init: host.Init ?? undefined,
    resources: nonEmptyMap(parseResources(host)),
    ulimits: nonEmpty(host.Ulimits?.map(({ Name, Soft, Hard }) => ({ name: Name, soft: Soft, hard: Hard }))),
    sysctls: nonEmptyMap(host.Sysctls),
    shmBytes: host.ShmSize || undefined,
    storage: parseStorageOptions(host.StorageOpt ?? {}),
    oomScoreAdj: host.OomScoreAdj || undefined,
    groupAdd: nonEmpty(host.GroupAdd),
    pidMode: host.PidMode || undefined,
    ipcMode: host.IpcMode || undefined,
    utsMode: host.UTSMode || undefined,
    cgroupnsMode: host.CgroupnsMode || undefined,
    log: parseLog(host.LogConfig ?? {}),
    annotations: nonEmptyMap(host.Annotations),
  });
}

function refuseHealthcheck({ Healthcheck }: Partial<CreateRequest>): void {
  const [kind] = Healthcheck?.Test ?? [];
  if (kind !== undefined && kind !== "" && kind !== "NONE") {
    throw new OnggiError("unsupported", "health checks are not supported yet", {
      hint: "Leave --health-cmd out, or use --no-healthcheck.",
    });
  }
}

function checkSettings(request: Partial<CreateRequest>, host: HostConfig): void {
  const bad = (sentence: string) => new OnggiError("invalid", sentence);
  const {
    WorkingDir: directory = "",
    Hostname: hostname = "",
    StopSignal: stopSignal = "",
    MacAddress: mac = "",
  } = request;
  if (directory !== "" && !directory.startsWith("/"))
    throw bad(`the working directory '${directory}' is invalid, it needs to be an absolute path`);
  for (const entry of request.Env ?? [])
    if (entry === "" || entry.startsWith("=")) throw bad(`invalid environment variable: ${entry}`);
  if (hostname.length > 64 || /[\s/]/.test(hostname)) throw bad(`invalid hostname format: ${hostname}`);
  if (stopSignal !== "") parseSignal(stopSignal);
  if (mac !== "")
    throw new OnggiError("unsupported", "a MAC address of one's own is not supported", {
      hint: "Leave --mac-address out.",
    });
  const oomScore = host.OomScoreAdj ?? 0;
  if (oomScore < -1000 || oomScore > 1000)
    throw bad(`Invalid value ${oomScore}, range for oom score adj is [-1000, 1000]`);
  if ((host.ShmSize ?? 0) < 0) throw bad("SHM size can not be less than 0");
  for (const entry of host.ExtraHosts ?? [])
    if (!/^[^:=]+[:=].+$/.test(entry)) throw bad(`bad format for add-host: "${entry}"`);
  for (const { PathOnHost } of host.Devices ?? [])
    if (!PathOnHost?.startsWith("/")) throw bad(`invalid device path "${PathOnHost ?? ""}": it must be absolute`);
  for (const { Name, Soft, Hard } of host.Ulimits ?? []) {
    if (Hard !== -1 && (Soft === -1 || Soft > Hard))
      throw bad(`ulimit soft limit must be less than or equal to hard limit: ${Name}: ${Soft} > ${Hard}`);
  }
}

function networkOf(request: Partial<CreateRequest>, host: HostConfig, networks: NetworksFace): NetworkMode {
  if (request.NetworkDisabled === true) return "none";
  const endpoints = Object.entries(request.NetworkingConfig?.EndpointsConfig ?? {});
  for (const [, endpoint] of endpoints) refuseEndpointSettings(endpoint);
  const [first, second] = endpoints;
  if (second !== undefined)
    throw new OnggiError("unsupported", "a container on several networks is not supported", {
      hint: "Name one network.",
    });
  return parseNetworkMode(host.NetworkMode || first?.[0] || "", (name) => networks.get(name).name);
}

function refuseEndpointSettings(endpoint: EndpointSettings | null): void {
  if (endpoint === null) return;
  const { IPAMConfig, Aliases, Links, MacAddress = "" } = endpoint;
  if (IPAMConfig?.IPv4Address || IPAMConfig?.IPv6Address) {
    throw new OnggiError("invalid", "user specified IP address is supported on user defined networks only");
  }
  if ((Aliases ?? []).length > 0)
    throw new OnggiError("invalid", "network-scoped alias is supported only for containers in user defined networks");
  if ((Links ?? []).length > 0)
    throw new OnggiError("unsupported", "links are not supported", {
      hint: "Name the other container with --add-host.",
    });
  if (MacAddress !== "")
    throw new OnggiError("unsupported", "a MAC address of one's own is not supported", {
      hint: "Leave --mac-address out.",
    });
}

/** What contradicts a network of another container's, or the host's. */
function checkNetwork(network: NetworkMode, request: Partial<CreateRequest>, host: HostConfig): void {
  if (!network.startsWith("container:")) return;
  const conflict = (is: boolean, sentence: string) => {
    if (is) throw new OnggiError("invalid", `conflicting options: ${sentence}`);
  };
  conflict((request.Hostname ?? "") !== "", "hostname and the network mode");
  conflict((host.Dns ?? []).length > 0, "dns and the network mode");
  conflict((host.ExtraHosts ?? []).length > 0, "custom host-to-IP mapping and the network mode");
  conflict(
    Object.keys(host.PortBindings ?? {}).length > 0 || host.PublishAllPorts === true,
    "port publishing and the container type network mode",
  );
  conflict(Object.keys(request.ExposedPorts ?? {}).length > 0, "port exposing and the container type network mode");
}

/** A published port is an exposed one. */
function exposedPorts(request: Partial<CreateRequest>, host: HostConfig): string[] {
  return [
    ...new Set(
      parseExposedPorts([...Object.keys(request.ExposedPorts ?? {}), ...Object.keys(host.PortBindings ?? {})]),
    ),
  ];
}

/** `[""]` is how clients clear the image's entrypoint. */
function entrypointOf(value: CreateRequest["Entrypoint"]): readonly string[] | undefined {
  const list = listOf(value);
  return list?.length === 1 && list[0] === "" ? [] : list;
}

/** A list, or a single text in place of it. */
function listOf(value: readonly string[] | string | null | undefined): readonly string[] | undefined {
  return typeof value === "string" ? [value] : (value ?? undefined);
}

export function sizeOf(size: readonly number[] | null | undefined): readonly [number, number] | undefined {
  const [rows = 0, columns = 0] = size ?? [];
  return rows > 0 && columns > 0 ? [rows, columns] : undefined;
}

function nonEmpty<T>(list: readonly T[] | null | undefined): readonly T[] | undefined {
  return list === null || list === undefined || list.length === 0 ? undefined : list;
}

function nonEmptyMap<T extends object>(map: T | null | undefined): T | undefined {
  return map === null || map === undefined || Object.keys(map).length === 0 ? undefined : map;
}
