import { OnggiError } from "../base/error.ts";
import type { ContainerMount, VolumeMount } from "../engine/model.ts";
import { checkDriver } from "./volumes.ts";
import type { HostConfig, Labels, MountPoint, MountRequest } from "./wire.ts";

type BindMount = Extract<ContainerMount, { readonly kind: "bind" }>;
type Propagation = NonNullable<BindMount["propagation"]>;

const propagations: readonly string[] = [
  "private",
  "rprivate",
  "shared",
  "rshared",
  "slave",
  "rslave",
] satisfies Propagation[];
/** Modes of other systems and for labels, which Docker takes and which change nothing here. */
const idleModes = ["z", "Z", "consistent", "cached", "delegated", "default"];

/**
 * The mounts of a request: `Binds`, `Mounts` and `Tmpfs` together.
 *
 * @throws OnggiError `invalid` in Docker's words
 */
export function parseMounts(host: HostConfig): ContainerMount[] {
  const mounts = [
    ...(host.Binds ?? []).map(parseBind),
    ...(host.Mounts ?? []).map(parseMount),
    ...Object.entries(host.Tmpfs ?? {}).map(([target, options]) => tmpfs(target, options)),
  ];
  const targets = new Set<string>();
  for (const { target } of mounts) {
    if (targets.has(target)) throw new OnggiError("invalid", `Duplicate mount point: ${target}`);
    targets.add(target);
  }
  return mounts;
}

/** `Binds` and `Tmpfs` of `inspect`'s HostConfig; what was asked for with `Mounts` stands there, too. */
export function formatHostMounts(mounts: readonly ContainerMount[]): Pick<HostConfig, "Binds" | "Tmpfs" | "Mounts"> {
  const binds = mounts.filter((mount) => mount.kind === "bind");
  const tmpfses: Labels = Object.fromEntries(
    mounts.flatMap((mount) => (mount.kind === "tmpfs" ? [[mount.target, mount.options.join(",")]] : [])),
  );
  const volumes = mounts.filter((mount) => mount.kind === "volume");
  const strict = [
    ...binds.filter((bind) => !bind.createSource).map(formatMountRequest),
    ...volumes.filter((volume) => volume.strict === true).map(formatVolumeRequest),
  ];
  return {
    Binds: [
      ...binds.filter((bind) => bind.createSource).map(formatBind),
      ...volumes.filter((volume) => volume.strict !== true).map(formatVolume),
    ],
    ...(Object.keys(tmpfses).length > 0 ? { Tmpfs: tmpfses } : {}),
    ...(strict.length > 0 ? { Mounts: strict } : {}),
  };
}

/** What `inspect` and `ps` show as mounted. */
export function mountPoints(mounts: readonly ContainerMount[]): MountPoint[] {
  return mounts.map((mount) =>
    mount.kind === "volume"
      ? volumePoint(mount)
      : mount.kind === "bind"
        ? {
            Type: "bind",
            Source: mount.source,
            Destination: mount.target,
            Mode: mount.readonly ? "ro" : "",
            RW: !mount.readonly,
            Propagation: mount.propagation ?? "rprivate",
          }
        : {
            Type: "tmpfs",
            Source: "",
            Destination: mount.target,
            Mode: "",
            RW: !mount.options.includes("ro"),
            Propagation: "",
          },
  );
}

function volumePoint(mount: VolumeMount): MountPoint {
  return {
    Type: "volume",
    Name: mount.name,
    Source: mount.source ?? "",
    Destination: mount.target,
    Driver: "local",
    Mode: modeOf(mount),
    RW: !mount.readonly,
    Propagation: "",
  };
}

/** As Docker shows it: of a `-v` that names a volume only. */
function modeOf({ readonly, strict, anonymous }: VolumeMount): string {
  if (strict === true || anonymous === true) return "";
  return readonly ? "ro" : "z";
}

/** `/host:/inside[:ro,rshared,…]`, `volume:/inside[:ro,nocopy]`, or `/inside` for an anonymous volume. */
function parseBind(text: string): ContainerMount {
  const invalid = (reason: string) => new OnggiError("invalid", `invalid volume specification: '${text}'${reason}`);
  const parts = text.split(":");
  const [source = "", target = "", modes = ""] = parts;
  if (parts.length > 3 || source === "" || (parts.length > 1 && target === "")) throw invalid("");
  if (parts.length === 1) return volumeAt("", normal(absolute(source, invalid)), "", invalid);
  if (!target.startsWith("/")) throw invalid(`: invalid mount path: '${target}' mount path must be absolute`);
  if (normal(target) === "/") throw invalid(": invalid specification: destination can't be '/'");
  if (!source.startsWith("/")) {
    if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(source)) {
      throw new OnggiError(
        "invalid",
        `create ${source}: "${source}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
      );
    }
    return volumeAt(source, normal(target), modes, invalid);
  }
  if (modes.split(",").includes("nocopy")) throw invalid(`: invalid mode: ${modes}`);
  return {
    kind: "bind",
    source: normal(source),
    target: normal(target),
    createSource: true,
    recursive: true,
    ...parseModes(modes, () => invalid(`: invalid mode: ${modes}`)),
  };
}

function volumeAt(name: string, target: string, modes: string, invalid: (reason: string) => OnggiError): VolumeMount {
  if (target === "/") throw invalid(": invalid specification: destination can't be '/'");
  const words = modes.split(",");
  const others = words.filter((word) => word !== "nocopy").join(",");
  const { readonly } = parseModes(others, () => invalid(`: invalid mode: ${modes}`));
  return { kind: "volume", name, target, readonly, copy: !words.includes("nocopy") };
}

function absolute(path: string, invalid: (reason: string) => OnggiError): string {
  if (path.startsWith("/")) return path;
  throw invalid(`: invalid mount path: '${path}' mount path must be absolute`);
}

function parseModes(text: string, invalid: () => OnggiError): { readonly: boolean; propagation?: Propagation } {
  let access: string | undefined;
  let propagation: Propagation | undefined;
  for (const mode of text === "" ? [] : text.split(",")) {
    if (mode === "ro" || mode === "rw") {
      if (access !== undefined) throw invalid();
      access = mode;
    } else if (isPropagation(mode)) {
      if (propagation !== undefined) throw invalid();
      propagation = mode;
    } else if (!idleModes.includes(mode)) {
      throw invalid();
    }
  }
  return { readonly: access === "ro", ...(propagation === undefined ? {} : { propagation }) };
}

function isPropagation(text: string): text is Propagation {
  return propagations.includes(text);
}

function parseMount(mount: MountRequest): ContainerMount {
  const { Type: type = "", Target: target = "" } = mount;
  const invalid = (reason: string) => new OnggiError("invalid", `invalid mount config for type "${type}": ${reason}`);
  if (target === "") throw invalid("field Target must not be empty");
  if (!target.startsWith("/")) throw invalid(`invalid mount path: '${target}' mount path must be absolute`);
  if (normal(target) === "/") throw invalid("invalid specification: destination can't be '/'");
  if (type === "bind") return parseBindMount(mount, invalid);
  if (type === "tmpfs") return parseTmpfsMount(mount, invalid);
  if (type === "volume") return parseVolumeMount(mount, invalid);
  if (type === "image" || type === "npipe" || type === "cluster")
    throw new OnggiError("unsupported", `mounts of type ${type} are not supported`, {
      hint: "Use volume, bind or tmpfs.",
    });
  throw new OnggiError("invalid", `mount type unknown: "${type}"`);
}

function parseBindMount(
  { Source = "", Target, ReadOnly = false, BindOptions }: MountRequest,
  invalid: (reason: string) => OnggiError,
): ContainerMount {
  if (Source === "") throw invalid("field Source must not be empty");
  if (!Source.startsWith("/")) throw invalid(`invalid mount path: '${Source}' mount path must be absolute`);
  const { Propagation: propagation = "", NonRecursive = false, CreateMountpoint = false } = BindOptions ?? {};
  if (propagation !== "" && !isPropagation(propagation)) throw invalid(`invalid propagation option: ${propagation}`);
  return {
    kind: "bind",
    source: normal(Source),
    target: normal(Target),
    readonly: ReadOnly,
    createSource: CreateMountpoint,
    recursive: !NonRecursive,
    ...(propagation === "" ? {} : { propagation }),
  };
}

function parseVolumeMount(
  { Source = "", Target, ReadOnly = false, BindOptions, TmpfsOptions, VolumeOptions }: MountRequest,
  invalid: (reason: string) => OnggiError,
): ContainerMount {
  if (BindOptions) throw invalid("field BindOptions must not be specified");
  if (TmpfsOptions) throw invalid("field TmpfsOptions must not be specified");
  const { NoCopy = false, Labels: labels, DriverConfig, Subpath = "" } = VolumeOptions ?? {};
  checkDriver(DriverConfig?.Name ?? "");
  if (Source === "" && Subpath !== "") throw invalid("must not set Subpath when using anonymous volumes");
  const options = DriverConfig?.Options ?? {};
  return {
    kind: "volume",
    name: Source,
    target: normal(Target),
    readonly: ReadOnly,
    copy: !NoCopy,
    strict: true,
    ...(Subpath === "" ? {} : { subpath: Subpath }),
    ...(labels && Object.keys(labels).length > 0 ? { labels } : {}),
    ...(Object.keys(options).length > 0 ? { options } : {}),
  };
}

function parseTmpfsMount(
  { Source = "", Target, ReadOnly = false, TmpfsOptions }: MountRequest,
  invalid: (reason: string) => OnggiError,
): ContainerMount {
  if (Source !== "") throw invalid("field Source must not be specified");
  const { SizeBytes = 0, Mode = 0, Options } = TmpfsOptions ?? {};
  const options = [
    ...(ReadOnly ? ["ro"] : []),
    ...(SizeBytes > 0 ? [`size=${SizeBytes}`] : []),
    ...(Mode > 0 ? [`mode=${Mode.toString(8)}`] : []),
    ...(Options ?? []).map((option) => option.join("=")),
  ];
  return { kind: "tmpfs", target: normal(Target), options };
}

function tmpfs(target: string, options: string): ContainerMount {
  if (!target.startsWith("/"))
    throw new OnggiError("invalid", `invalid mount path: '${target}' mount path must be absolute`);
  if (normal(target) === "/") throw new OnggiError("invalid", "invalid specification: destination can't be '/'");
  return { kind: "tmpfs", target: normal(target), options: options === "" ? [] : options.split(",") };
}

function formatBind({ source, target, readonly, propagation }: BindMount): string {
  const modes = [...(readonly ? ["ro"] : []), ...(propagation === undefined ? [] : [propagation])];
  return [source, target, ...(modes.length > 0 ? [modes.join(",")] : [])].join(":");
}

function formatMountRequest({ source, target, readonly, propagation, recursive }: BindMount): MountRequest {
  const options = {
    ...(propagation === undefined ? {} : { Propagation: propagation }),
    ...(recursive ? {} : { NonRecursive: true }),
  };
  return {
    Type: "bind",
    Source: source,
    Target: target,
    ...(readonly ? { ReadOnly: true } : {}),
    ...(Object.keys(options).length > 0 ? { BindOptions: options } : {}),
  };
}

function formatVolume({ name, target, readonly, copy }: VolumeMount): string {
  const modes = [...(readonly ? ["ro"] : []), ...(copy ? [] : ["nocopy"])];
  // An anonymous one has no name in what was asked for.
  return [...(name === "" ? [] : [name]), target, ...(modes.length > 0 ? [modes.join(",")] : [])].join(":");
}

function formatVolumeRequest({ name, target, readonly, copy, subpath, labels, options }: VolumeMount): MountRequest {
  const volumeOptions = {
    ...(copy ? {} : { NoCopy: true }),
    ...(labels === undefined ? {} : { Labels: labels }),
    ...(options === undefined ? {} : { DriverConfig: { Options: options } }),
    ...(subpath === undefined ? {} : { Subpath: subpath }),
  };
  return {
    Type: "volume",
    ...(name === "" ? {} : { Source: name }),
    Target: target,
    ...(readonly ? { ReadOnly: true } : {}),
    ...(Object.keys(volumeOptions).length > 0 ? { VolumeOptions: volumeOptions } : {}),
  };
}

/** Without doubled slashes, `.`, `..` and a slash at the end. */
function normal(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}
