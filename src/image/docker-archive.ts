import { OnggiError } from "../base/error.ts";
import { type Digest, hexOf } from "../oci/digest.ts";
import { type Descriptor, type Manifest, mediaTypes, parseImageConfig, parseJson } from "../oci/manifest.ts";
import { parseReference, type Reference, withDefaultTag } from "../oci/reference.ts";
import type { ArchiveFiles } from "./archive-files.ts";
import type { Blob, ContentStore } from "./content-store.ts";
import { type Compression, detectCompression, firstBytes } from "./decompress.ts";

/** One image in an archive's `manifest.json`. */
interface ArchiveItem {
  readonly Config: string;
  readonly RepoTags: readonly string[];
  readonly Layers: readonly string[];
}

const layerTypes: Readonly<Record<Compression, string>> = {
  none: mediaTypes.layer,
  gzip: mediaTypes.layerGzip,
  zstd: mediaTypes.layerZstd,
};

/**
 * The images that a docker archive's `manifest.json` tells of.
 *
 * @param manifests - the manifest of a config, where the archive is a layout too and has it
 * @throws OnggiError `corrupt` when it names files that aren't there
 */
export async function dockerArchiveImages(
  content: ContentStore,
  files: ArchiveFiles,
  manifestJson: Buffer,
  manifests: ReadonlyMap<Digest, Digest>,
): Promise<{ manifest: Digest; names: Reference[] }[]> {
  const images: { manifest: Digest; names: Reference[] }[] = [];
  for (const item of parseItems(manifestJson)) {
    const config = required(files, item.Config);
    const layers = item.Layers.map((path) => required(files, path));
    const { rootfs } = parseImageConfig(await content.read(config.digest), item.Config);
    if (rootfs.diff_ids.length !== layers.length) {
      throw new OnggiError(
        "corrupt",
        `invalid manifest, layers length mismatch: expected ${layers.length}, got ${rootfs.diff_ids.length}`,
      );
    }
    const manifest = manifests.get(config.digest) ?? (await makeManifest(content, files, config, layers));
    const names = item.RepoTags.map((tag) => withDefaultTag(parseReference(tag)));
    images.push({ manifest, names });
  }
  return images;
}

/** Writes the manifest that a registry would have for these blobs. */
async function makeManifest(
  content: ContentStore,
  files: ArchiveFiles,
  config: Blob,
  layers: readonly Blob[],
): Promise<Digest> {
  const described: Descriptor[] = [];
  for (const layer of layers) {
    const start = await firstBytes(content.stream(layer.digest), 6);
    described.push({ mediaType: layerTypes[detectCompression(start)], ...layer });
  }
  const bytes = encodeManifest({ mediaType: mediaTypes.config, ...config }, described);
  const { digest } = await content.put(bytes);
  files.hold(digest);
  return digest;
}

/** A manifest's bytes: the same image always has the same ones. */
export function encodeManifest(config: Descriptor, layers: readonly Descriptor[]): string {
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: plain(config),
    layers: layers.map(plain),
  };
  return JSON.stringify(manifest);
}

/** The path of a blob in an archive that is a layout too. */
export function blobPath(digest: Digest): string {
  return `blobs/sha256/${hexOf(digest)}`;
}

function plain({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size };
}

function required(files: ArchiveFiles, path: string): Blob {
  const blob = files.find(path);
  if (blob === undefined)
    throw new OnggiError("corrupt", `the archive's manifest.json names ${path}, which isn't in it`);
  return blob;
}

function parseItems(bytes: Buffer): ArchiveItem[] {
  const items = parseJson(bytes, "manifest.json");
  if (!Array.isArray(items)) throw new OnggiError("corrupt", "manifest.json is not a list of images");
  return items.map((item: unknown) => {
    const { Config, RepoTags, Layers } = (item ?? {}) as Partial<Record<keyof ArchiveItem, unknown>>;
    if (typeof Config !== "string") throw new OnggiError("corrupt", "manifest.json has an image without a Config");
    return { Config, RepoTags: strings(RepoTags, "RepoTags"), Layers: strings(Layers, "Layers") };
  });
}

function strings(value: unknown, what: string): readonly string[] {
  const list = value ?? [];
  if (Array.isArray(list) && list.every((one) => typeof one === "string")) return list;
  throw new OnggiError("corrupt", `manifest.json: ${what} is not a list of strings`);
}
