import { OnggiError } from "../base/error.ts";
import { type DiffId, type Digest, isDigest, parseDiffId } from "./digest.ts";
import type { Platform } from "./platform.ts";

export const mediaTypes = {
  manifest: "application/vnd.oci.image.manifest.v1+json",
  index: "application/vnd.oci.image.index.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar",
  layerGzip: "application/vnd.oci.image.layer.v1.tar+gzip",
  layerZstd: "application/vnd.oci.image.layer.v1.tar+zstd",
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerIndex: "application/vnd.docker.distribution.manifest.list.v2+json",
  dockerConfig: "application/vnd.docker.container.image.v1+json",
  dockerLayerGzip: "application/vnd.docker.image.rootfs.diff.tar.gzip",
} as const;

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly platform?: Platform;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface Manifest {
  readonly schemaVersion: 2;
  readonly mediaType?: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface Index {
  readonly schemaVersion: 2;
  readonly mediaType?: string;
  readonly manifests: readonly Descriptor[];
}

/** What an image is, beside its layers: the blob whose digest is the image's id. */
export interface ImageConfigFile {
  readonly created?: string;
  readonly author?: string;
  readonly architecture: string;
  readonly variant?: string;
  readonly os: string;
  readonly config?: ImageConfig;
  readonly rootfs: { readonly type: "layers"; readonly diff_ids: readonly DiffId[] };
  readonly history?: readonly HistoryEntry[];
}

/** How a container of the image runs unless told otherwise. */
export interface ImageConfig {
  readonly User?: string;
  readonly ExposedPorts?: Readonly<Record<string, object>>;
  readonly Env?: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Volumes?: Readonly<Record<string, object>>;
  readonly WorkingDir?: string;
  readonly Labels?: Readonly<Record<string, string>>;
  readonly StopSignal?: string;
}

export interface HistoryEntry {
  readonly created?: string;
  readonly created_by?: string;
  readonly author?: string;
  readonly comment?: string;
  readonly empty_layer?: boolean;
}

export function isIndexType(mediaType: string | undefined): boolean {
  return mediaType === mediaTypes.index || mediaType === mediaTypes.dockerIndex;
}

/**
 * Tells by media type, or by fields where none is written, what a received JSON is, and checks it.
 *
 * @throws OnggiError `corrupt` when it is neither manifest nor index, `unsupported` for Docker's schema 1
 */
export function parseManifestOrIndex(
  bytes: Uint8Array,
  what: string,
): { readonly manifest: Manifest } | { readonly index: Index } {
  const value = object(parseJson(bytes, what), what);
  if (value.schemaVersion === 1) {
    throw new OnggiError("unsupported", `${what} has Docker's manifest schema 1`, {
      hint: "Registries gave that format up; push the image again with a current tool.",
    });
  }
  const mediaType = optional(value.mediaType, "string", `${what}: mediaType`);
  if (isIndexType(mediaType) || (mediaType === undefined && Array.isArray(value.manifests))) {
    return { index: { ...value, schemaVersion: 2, manifests: descriptors(value.manifests, `${what}: manifests`) } };
  }
  const config = descriptor(value.config, `${what}: config`);
  return { manifest: { ...value, schemaVersion: 2, config, layers: descriptors(value.layers, `${what}: layers`) } };
}

/** @throws OnggiError `corrupt` when it isn't an image's config */
export function parseImageConfig(bytes: Uint8Array, what: string): ImageConfigFile {
  const value = object(parseJson(bytes, what), what);
  const rootfs = object(value.rootfs, `${what}: rootfs`);
  const diffIds = rootfs.diff_ids ?? [];
  if (!Array.isArray(diffIds) || !diffIds.every(isDigest)) throw wrong(`${what}: rootfs.diff_ids`, "a list of digests");

  const config = objectOrNothing(value.config, `${what}: config`);
  const history = value.history ?? [];
  if (!Array.isArray(history)) throw wrong(`${what}: history`, "a list");
  return {
    ...pickStrings(value, ["created", "author", "variant"], what),
    architecture: optional(value.architecture, "string", `${what}: architecture`) ?? "",
    os: optional(value.os, "string", `${what}: os`) || "linux",
    ...(config === undefined ? {} : { config: parseRunConfig(config, `${what}: config`) }),
    rootfs: { type: "layers", diff_ids: diffIds.map(parseDiffId) },
    history: history.map((entry, index) => parseHistory(object(entry, `${what}: history[${index}]`), what)),
  };
}

/** Whoever writes images in Go writes `null` for what is empty: nulls are left out. */
function parseRunConfig(value: Record<string, unknown>, what: string): ImageConfig {
  const strings = pickStrings(value, ["User", "WorkingDir", "StopSignal"], what);
  const lists: Record<string, readonly string[]> = {};
  for (const key of ["Env", "Entrypoint", "Cmd"]) {
    const list = value[key] ?? undefined;
    if (list === undefined) continue;
    if (!isStrings(list)) throw wrong(`${what}.${key}`, "a list of strings");
    lists[key] = list;
  }
  const maps: Record<string, Record<string, object>> = {};
  for (const key of ["ExposedPorts", "Volumes"]) {
    const map = objectOrNothing(value[key], `${what}.${key}`);
    if (map !== undefined) maps[key] = Object.fromEntries(Object.keys(map).map((name) => [name, {}]));
  }
  const labels = objectOrNothing(value.Labels, `${what}.Labels`);
  if (labels !== undefined && !isStrings(Object.values(labels))) throw wrong(`${what}.Labels`, "strings");
  return {
    ...strings,
    ...lists,
    ...maps,
    ...(labels === undefined ? {} : { Labels: labels as Record<string, string> }),
  };
}

function parseHistory(value: Record<string, unknown>, what: string): HistoryEntry {
  return {
    ...pickStrings(value, ["created", "created_by", "author", "comment"], `${what}: history`),
    ...(value.empty_layer === true ? { empty_layer: true } : {}),
  };
}

function descriptors(value: unknown, what: string): Descriptor[] {
  if (value === null || value === undefined) return [];
  if (!Array.isArray(value)) throw wrong(what, "a list");
  return value.map((entry, index) => descriptor(entry, `${what}[${index}]`));
}

function descriptor(value: unknown, what: string): Descriptor {
  const fields = object(value, what);
  const { digest, size } = fields;
  if (!isDigest(digest)) throw wrong(`${what}.digest`, "a sha256 digest");
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0)
    throw wrong(`${what}.size`, "a size in bytes");
  return { ...fields, mediaType: optional(fields.mediaType, "string", `${what}.mediaType`) ?? "", digest, size };
}

/** Parses JSON that was received; `what` names it in the error. */
export function parseJson(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new OnggiError("corrupt", `${what} is not JSON`, { cause: error });
  }
}

function pickStrings(value: Record<string, unknown>, keys: readonly string[], what: string): Record<string, string> {
  const picked: Record<string, string> = {};
  for (const key of keys) {
    const text = optional(value[key], "string", `${what}.${key}`);
    if (text !== undefined) picked[key] = text;
  }
  return picked;
}

function optional(value: unknown, type: "string", what: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== type) throw wrong(what, "a string");
  return value as string;
}

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((entry) => typeof entry === "string");
}

function objectOrNothing(value: unknown, what: string): Record<string, unknown> | undefined {
  return value === undefined || value === null ? undefined : object(value, what);
}

function object(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(what, "an object");
  return value as Record<string, unknown>;
}

function wrong(what: string, expected: string): OnggiError {
  return new OnggiError("corrupt", `${what} is not ${expected}`);
}
