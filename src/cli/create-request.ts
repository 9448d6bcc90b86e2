import { resolve } from "node:path";
import { OnggiError } from "../base/error.ts";
import { readEnvironment, readLabels, readText } from "./env-file.ts";
import { longName } from "./parse-flags.ts";
import { parseExposed, parsePublished } from "./port-spec.ts";
import { type CreateFlags, unsupportedFlags } from "./run-flags.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** What the API makes a container of, and how it is called. */
export interface CreateRequest {
  readonly name: string | undefined;
  readonly platform: string | undefined;
  readonly body: ReturnType<typeof createBody>;
}

/**
 * Turns the flags and arguments of `run` into a request, as Docker does; reads the files that flags name.
 *
 * @param attached - stays attached, so that its streams are, unless `-a` chooses
 * @throws OnggiError `invalid` or `unsupported` for what contradicts itself or can't be done
 */
export function createRequest(
  flags: CreateFlags,
  args: readonly string[],
  options: {
    readonly attached: boolean;
    readonly environment: Environment;
    readonly terminalSize?: readonly [number, number] | undefined;
  },
): CreateRequest {
  refuse(flags);
  return { name: flags.name, platform: flags.platform, body: createBody(flags, args, options) };
}

function refuse(flags: CreateFlags): void {
  const unsupported = (what: string, hint: string) => new OnggiError("unsupported", what, { hint });
  for (const key of Object.keys(unsupportedFlags) as (keyof typeof unsupportedFlags)[]) {
    const isAsItIs = key === "userns" && flags[key] === "host";
    if (flags[key] === undefined || isAsItIs) continue;
    throw unsupported(`--${longName(key)} is not supported`, unsupportedFlags[key].help);
  }
  if (flags.runtime !== undefined && flags.runtime !== "onggi") {
    throw unsupported(`runtime "${flags.runtime}" is not supported`, "Leave --runtime out.");
  }
  if (flags.rm && flags.restart !== undefined && !/^(no)?$/.test(flags.restart)) {
    throw new OnggiError("invalid", "conflicting options: cannot specify both --restart and --rm");
  }
  if (flags.pull !== undefined && !["always", "missing", "never"].includes(flags.pull)) {
    throw new OnggiError(
      "invalid",
      `invalid pull option: '${flags.pull}': must be one of "always", "missing" or "never"`,
    );
  }
}

function createBody(
  flags: CreateFlags,
  args: readonly string[],
  { attached, environment, terminalSize }: Parameters<typeof createRequest>[2],
) {
  const [image = "", ...command] = args;
  const published = parsePublished(flags.publish);
  const exposed = [...published.exposed, ...flags.expose.flatMap(parseExposed)];
  const attach = attachedStreams(flags, attached);
  return given({
    Image: image,
    Cmd: command.length > 0 ? command : undefined,
    Entrypoint: flags.entrypoint === undefined ? undefined : flags.entrypoint === "" ? [""] : [flags.entrypoint],
    Env: readEnvironment(flags.envFile, flags.env, environment),
    Hostname: flags.hostname ?? "",
    Domainname: flags.domainname ?? "",
    User: flags.user ?? "",
    WorkingDir: flags.workdir ?? "",
    Labels: readLabels(flags.labelFile, flags.label),
    Tty: flags.tty,
    OpenStdin: flags.interactive,
    StdinOnce: flags.interactive && attach.stdin,
    AttachStdin: attach.stdin,
    AttachStdout: attach.stdout,
    AttachStderr: attach.stderr,
    ExposedPorts: exposed.length > 0 ? Object.fromEntries(exposed.map((port) => [port, {}])) : undefined,
    Volumes: nonEmptyMap(Object.fromEntries(flags.volume.filter((text) => !isMapped(text)).map((path) => [path, {}]))),
    StopSignal: flags.stopSignal,
    StopTimeout: flags.stopTimeout,
    HostConfig: hostConfig(flags, published.bindings, terminalSize),
  });
}

function attachedStreams({ attach, interactive }: CreateFlags, attached: boolean) {
  if (attach.length > 0) {
    return { stdin: attach.includes("stdin"), stdout: attach.includes("stdout"), stderr: attach.includes("stderr") };
  }
  return { stdin: attached && interactive, stdout: attached, stderr: attached };
}

function hostConfig(
  flags: CreateFlags,
  bindings: ReturnType<typeof parsePublished>["bindings"],
  terminalSize: readonly [number, number] | undefined,
) {
  return given({
    Binds: nonEmpty([...new Set(flags.volume)].filter(isMapped).map(parseVolume)),
    VolumeDriver: flags.volumeDriver,
    VolumesFrom: nonEmpty(flags.volumesFrom),
    Mounts: flags.mount.length > 0 ? flags.mount : undefined,
    Tmpfs: flags.tmpfs.length > 0 ? Object.fromEntries(flags.tmpfs.map((text) => splitOnce(text, ":"))) : undefined,
    NetworkMode: networkMode(flags.network),
    PortBindings: bindings,
    PublishAllPorts: flags.publishAll,
    AutoRemove: flags.rm,
    RestartPolicy: parseRestart(flags.restart),
    Privileged: flags.privileged,
    ReadonlyRootfs: flags.readOnly,
    CapAdd: nonEmpty(flags.capAdd),
    CapDrop: nonEmpty(flags.capDrop),
    SecurityOpt: nonEmpty(flags.securityOpt.map(securityOption)),
    Devices: nonEmpty(flags.device.map(parseDevice)),
    Init: flags.init ? true : undefined,
    Dns: nonEmpty(flags.dns),
    DnsSearch: nonEmpty(flags.dnsSearch),
    DnsOptions: nonEmpty(flags.dnsOption),
    ExtraHosts: nonEmpty(flags.addHost.map(parseExtraHost)),
    GroupAdd: nonEmpty(flags.groupAdd),
    PidMode: flags.pid ?? "",
    IpcMode: flags.ipc ?? "",
    UTSMode: flags.uts ?? "",
    UsernsMode: flags.userns,
    CgroupnsMode: flags.cgroupns,
    CgroupParent: flags.cgroupParent,
    Sysctls: nonEmptyMap(flags.sysctl),
    Annotations: nonEmptyMap(flags.annotation),
    ShmSize: flags.shmSize,
    StorageOpt: nonEmptyMap(flags.storageOpt),
    OomScoreAdj: flags.oomScoreAdj,
    LogConfig:
      flags.logDriver !== undefined || nonEmptyMap(flags.logOpt)
        ? { Type: flags.logDriver ?? "", Config: flags.logOpt }
        : undefined,
    ConsoleSize: terminalSize,
    ...resources(flags),
  });
}

function resources(flags: CreateFlags) {
  if (flags.cpus !== undefined && (flags.cpuQuota !== undefined || flags.cpuPeriod !== undefined)) {
    throw new OnggiError("invalid", "conflicting options: cannot specify both --cpus and --cpu-period or --cpu-quota");
  }
  return given({
    NanoCpus: flags.cpus,
    CpuShares: flags.cpuShares,
    CpuPeriod: flags.cpuPeriod,
    CpuQuota: flags.cpuQuota,
    CpusetCpus: flags.cpusetCpus,
    CpusetMems: flags.cpusetMems,
    Memory: flags.memory,
    MemoryReservation: flags.memoryReservation,
    MemorySwap: flags.memorySwap,
    MemorySwappiness: flags.memorySwappiness,
    OomKillDisable: flags.oomKillDisable ? true : undefined,
    PidsLimit: flags.pidsLimit,
    BlkioWeight: flags.blkioWeight,
    Ulimits: flags.ulimit.length > 0 ? flags.ulimit : undefined,
  });
}

/** A path alone asks for an anonymous volume there. */
function isMapped(volume: string): boolean {
  return volume.includes(":");
}

/** `.`, `./x` and `../x` mean folders of this process; a bare name is a volume's. */
function parseVolume(text: string): string {
  const [source = "", ...rest] = text.split(":");
  if (rest.length > 2) throw new OnggiError("invalid", `invalid volume specification: '${text}'`);
  return [/^\.{1,2}(\/|$)/.test(source) ? resolve(source) : source, ...rest].join(":");
}

function networkMode(network: string | undefined): string {
  if (network === undefined || network === "") return "default";
  if (!network.includes("=")) return network;
  const fields = Object.fromEntries(network.split(",").map((field) => splitOnce(field, "=")));
  return fields.name ?? "default";
}

function parseRestart(text = "no") {
  const [name = "", count, ...more] = text.split(":");
  if (more.length > 0 || (count !== undefined && !/^\d+$/.test(count))) {
    throw new OnggiError(
      "invalid",
      count === undefined || more.length > 0
        ? "invalid restart policy format"
        : "invalid restart policy format: maximum retry count must be an integer",
    );
  }
  return { Name: name, MaximumRetryCount: Number(count ?? 0) };
}

/** The daemon knows no files of ours: the profile itself is sent. */
function securityOption(option: string): string {
  const [key, value] = splitOnce(option.replace(/^seccomp:/, "seccomp="), "=");
  if (key !== "seccomp" || value === "" || value === "unconfined" || value === "builtin") return option;
  const text = readText(value);
  try {
    return `seccomp=${JSON.stringify(JSON.parse(text))}`;
  } catch (cause) {
    throw new OnggiError("invalid", `compacting json for seccomp profile (${value}) failed: it is not JSON`, { cause });
  }
}

/** `/dev/a`, `/dev/a:/dev/b`, `/dev/a:rw`, `/dev/a:/dev/b:rw`. */
function parseDevice(text: string) {
  const [host = "", second, third, ...more] = text.split(":");
  const isMode = (part: string) => /^[rwm]{1,3}$/.test(part);
  if (host === "" || more.length > 0 || (third !== undefined && !isMode(third))) {
    throw new OnggiError("invalid", `invalid device specification: ${text}`);
  }
  const secondIsMode = second !== undefined && third === undefined && isMode(second);
  return {
    PathOnHost: host,
    PathInContainer: second === undefined || second === "" || secondIsMode ? host : second,
    CgroupPermissions: third ?? (secondIsMode ? second : "rwm"),
  };
}

/** `host:ip`, or `host=ip`, as newer clients write it. */
function parseExtraHost(text: string): string {
  const match = /^([^:=]+)[:=](.+)$/.exec(text);
  if (match === null) throw new OnggiError("invalid", `bad format for add-host: "${text}"`);
  return `${match[1]}:${match[2]}`;
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + separator.length)];
}

function nonEmpty<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length > 0 ? list : undefined;
}

function nonEmptyMap<T extends object>(map: T): T | undefined {
  return Object.keys(map).length > 0 ? map : undefined;
}

/** Leaves out what is undefined. */
function given<T extends object>(
  fields: T,
): { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
} {
  // Object.fromEntries forgets the types of the entries, which filtering doesn't change.
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}
