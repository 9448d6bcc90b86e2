import { resolve } from "node:path";
import type { MountRequest } from "../api/wire.ts";
import { OnggiError } from "../base/error.ts";
import { parseBytes } from "./units.ts";

const propagations = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];

/** `type=bind,source=/a,target=/b,readonly`, `type=tmpfs,target=/t,tmpfs-size=64m`, or `source=name,target=/v` for a volume. */
export function parseMount(text: string): MountRequest {
  const fields = new Map<string, string>();
  const labels: Record<string, string> = {};
  const options: Record<string, string> = {};
  for (const field of text.split(",")) {
    const at = field.indexOf("=");
    const key = (at < 0 ? field : field.slice(0, at)).toLowerCase();
    const value = at < 0 ? "true" : field.slice(at + 1);
    if (key === "volume-label") addPair(labels, value);
    else if (key === "volume-opt") addPair(options, value);
    else fields.set(aliases[key] ?? key, value);
  }
  const type = fields.get("type") ?? "volume";
  const target = fields.get("target");
  if (target === undefined) throw new OnggiError("invalid", "target is required");
  const unknown = [...fields.keys()].find((key) => !known.has(key));
  if (unknown !== undefined) throw new OnggiError("invalid", `unexpected key '${unknown}' in '${text}'`);

  const shared = { Target: target, ...(isOn(fields.get("readonly")) ? { ReadOnly: true } : {}) };
  if (type === "tmpfs") return { Type: "tmpfs", ...shared, ...tmpfsOptions(fields) };
  if (type === "bind") return { Type: "bind", ...shared, ...bindOptions(fields) };
  if (type === "volume") return { Type: "volume", ...shared, ...volumeOptions(fields, labels, options) };
  throw new OnggiError("invalid", `mounts of type ${type} are not supported, only volume, bind and tmpfs are`);
}

/** `KEY=value` */
function addPair(map: Record<string, string>, text: string): void {
  const at = text.indexOf("=");
  map[at < 0 ? text : text.slice(0, at)] = at < 0 ? "" : text.slice(at + 1);
}

const aliases: Readonly<Record<string, string>> = {
  src: "source",
  dst: "target",
  destination: "target",
  ro: "readonly",
};
const known = new Set(
  "type source target readonly bind-propagation bind-nonrecursive bind-recursive bind-create-src consistency tmpfs-size tmpfs-mode volume-nocopy volume-driver volume-subpath".split(
    " ",
  ),
);

function isOn(text: string | undefined): boolean {
  return text !== undefined && /^(true|1)$/i.test(text);
}

function bindOptions(fields: ReadonlyMap<string, string>) {
  const source = fields.get("source");
  if (source === undefined) throw new OnggiError("invalid", "source is required for a bind mount");
  const propagation = fields.get("bind-propagation");
  if (propagation !== undefined && !propagations.includes(propagation)) {
    throw new OnggiError("invalid", `invalid propagation option: ${propagation}`);
  }
  const nonRecursive = isOn(fields.get("bind-nonrecursive")) || fields.get("bind-recursive") === "disabled";
  const options = {
    ...(propagation === undefined ? {} : { Propagation: propagation }),
    ...(nonRecursive ? { NonRecursive: true } : {}),
    ...(isOn(fields.get("bind-create-src")) ? { CreateMountpoint: true } : {}),
  };
  return { Source: resolve(source), ...(Object.keys(options).length > 0 ? { BindOptions: options } : {}) };
}

function volumeOptions(
  fields: ReadonlyMap<string, string>,
  labels: Readonly<Record<string, string>>,
  options: Readonly<Record<string, string>>,
) {
  const source = fields.get("source");
  const driver = fields.get("volume-driver");
  const subpath = fields.get("volume-subpath");
  const hasOptions = Object.keys(options).length > 0;
  const volume = {
    ...(isOn(fields.get("volume-nocopy")) ? { NoCopy: true } : {}),
    ...(Object.keys(labels).length > 0 ? { Labels: labels } : {}),
    ...(driver !== undefined || hasOptions
      ? {
          DriverConfig: {
            ...(driver === undefined ? {} : { Name: driver }),
            ...(hasOptions ? { Options: options } : {}),
          },
        }
      : {}),
    ...(subpath === undefined ? {} : { Subpath: subpath }),
  };
  return {
    ...(source === undefined ? {} : { Source: source }),
    ...(Object.keys(volume).length > 0 ? { VolumeOptions: volume } : {}),
  };
}

function tmpfsOptions(fields: ReadonlyMap<string, string>) {
  if (fields.has("source")) throw new OnggiError("invalid", "a tmpfs has no source");
  const size = fields.get("tmpfs-size");
  const mode = fields.get("tmpfs-mode");
  if (mode !== undefined && !/^[0-7]{3,4}$/.test(mode))
    throw new OnggiError("invalid", `invalid value for tmpfs-mode: ${mode}`);
  const options = {
    ...(size === undefined ? {} : { SizeBytes: parseBytes(size) }),
    ...(mode === undefined ? {} : { Mode: Number.parseInt(mode, 8) }),
  };
  return Object.keys(options).length > 0 ? { TmpfsOptions: options } : {};
}
