import { OnggiError } from "../base/error.ts";
import type { ContainerMount } from "../engine/model.ts";
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
const noVolumes = "Mount a folder of the host: -v /path/on/host:/path/inside.";

/**
 * The mounts of a request: `Binds`, `Mounts` and `Tmpfs` together.
 *
 * @throws OnggiError `invalid` in Docker's words; `unsupported` for volumes
 */
export function parseMounts(host: HostConfig, volumes: Iterable<string>): ContainerMount[] {
  for (const target of volumes)
    throw new OnggiError(
      "unsupported",
      `cannot mount an anonymous volume at ${target}: volumes are not supported yet`,
      { hint: noVolumes },
    );
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
  const strict = binds.filter((bind) => !bind.createSource).map(formatMountRequest);
  return {
    Binds: binds.filter((bind) => bind.createSource).map(formatBind),
    ...(Object.keys(tmpfses).length > 0 ? { Tmpfs: tmpfses } : {}),
    ...(strict.length > 0 ? { Mounts: strict } : {}),
  };
}

/** What `inspect` and `ps` show as mounted. */
export function mountPoints(mounts: readonly ContainerMount[]): MountPoint[] {
  return mounts.map((mount) =>
    mount.kind === "bind"
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

/** `/host:/inside[:ro,rshared,…]` */
function parseBind(text: string): ContainerMount {
  const invalid = (reason: string) => new OnggiError("invalid", `invalid volume specification: '${text}'${reason}`);
  const parts = text.split(":");
  const [source = "", target = "", modes = ""] = parts;
  if (parts.length > 3 || source === "" || (parts.length > 1 && target === "")) throw invalid("");
  if (parts.length === 1)
    throw new OnggiError("unsupported", `cannot mount an anonymous volume at ${text}: volumes are not supported yet`, {
      hint: noVolumes,
    });
  if (!target.startsWith("/")) throw invalid(`: invalid mount path: '${target}' mount path must be absolute`);
  if (normal(target) === "/") throw invalid(": invalid specification: destination can't be '/'");
  if (!source.startsWith("/")) {
    if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(source)) {
      throw new OnggiError(
        "invalid",
        `create ${source}: "${source}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
      );
    }
    throw new OnggiError("unsupported", `cannot mount volume "${source}": volumes are not supported yet`, {
      hint: noVolumes,
    });
  }
  return {
    kind: "bind",
    source: normal(source),
    target: normal(target),
    createSource: true,
    recursive: true,
    ...parseModes(modes, () => invalid(`: invalid mode: ${modes}`)),
  };
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
  if (type === "volume") {
    throw new OnggiError(
      "unsupported",
      `cannot mount ${mount.Source ? `volume "${mount.Source}"` : "an anonymous volume"} at ${target}: volumes are not supported yet`,
      {
        hint: noVolumes,
      },
    );
  }
  if (type === "image" || type === "npipe" || type === "cluster")
    throw new OnggiError("unsupported", `mounts of type ${type} are not supported`, { hint: "Use bind or tmpfs." });
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

/** Without doubled slashes, `.`, `..` and a slash at the end. */
function normal(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}
