import { createHash } from "node:crypto";
import { OnggiError } from "../base/error.ts";
import { type DiffId, type Digest, hexOf, parseDigest } from "../oci/digest.ts";
import { type Descriptor, type Manifest, mediaTypes, parseImageConfig, parseJson } from "../oci/manifest.ts";
import { parseReference, type Reference, withDefaultTag } from "../oci/reference.ts";
import type { ArchiveFiles } from "./archive-files.ts";
import type { Blob } from "./content-store.ts";
import { type Compression, detectCompression } from "./decompress.ts";
import type { KeptBlobs } from "./kept-blobs.ts";
import type { FileRange } from "./layer-job.ts";

/** An image of an archive: its manifest and config are in the store, its layers where they lie. */
export interface ArchivedImage {
  readonly manifest: Digest;
  readonly names: readonly Reference[];
  /** The layers' blobs that the archive has. */
  readonly sources: ReadonlyMap<Digest, FileRange>;
}

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
  kept: KeptBlobs,
  files: ArchiveFiles,
  manifestJson: Buffer,
  manifests: ReadonlyMap<Digest, ArchivedImage>,
): Promise<ArchivedImage[]> {
  const images: ArchivedImage[] = [];
  for (const item of parseItems(manifestJson)) {
    const configBytes = files.read(required(files, item.Config));
    const layers = item.Layers.map((path) => required(files, path));
    const diffIds = parseImageConfig(configBytes, item.Config).rootfs.diff_ids;
    if (diffIds.length !== layers.length) {
      throw new OnggiError(
        "corrupt",
        `invalid manifest, layers length mismatch: expected ${layers.length}, got ${diffIds.length}`,
      );
    }
    const config = await kept.put(configBytes);
    const names = item.RepoTags.map((tag) => withDefaultTag(parseReference(tag)));
    const known = manifests.get(config.digest);
    if (known === undefined) images.push({ ...(await makeManifest(kept, files, config, layers, diffIds)), names });
    else images.push({ ...known, names });
  }
  return images;
}

/** Writes the manifest that a registry would have for these blobs. */
async function makeManifest(
  kept: KeptBlobs,
  files: ArchiveFiles,
  config: Blob,
  layers: readonly FileRange[],
  diffIds: readonly DiffId[],
): Promise<Omit<ArchivedImage, "names">> {
  const described: Descriptor[] = [];
  const sources = new Map<Digest, FileRange>();
  for (const [index, layer] of layers.entries()) {
    const compression = detectCompression(files.start(layer));
    // A plain layer is what its diffID names, or it is refused when it is read.
    const digest =
      compression === "none" ? parseDigest(diffIds[index] ?? "") : await digestOfStream(files.stream(layer));
    sources.set(digest, layer);
    described.push({ mediaType: layerTypes[compression], digest, size: layer.bytes });
  }
  const { digest } = await kept.put(encodeManifest({ mediaType: mediaTypes.config, ...config }, described));
  return { manifest: digest, sources };
}

async function digestOfStream(bytes: AsyncIterable<Uint8Array>): Promise<Digest> {
  const hash = createHash("sha256");
  for await (const chunk of bytes) hash.update(chunk);
  return parseDigest(`sha256:${hash.digest("hex")}`);
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

function required(files: ArchiveFiles, path: string): FileRange {
  const file = files.find(path);
  if (file === undefined)
    throw new OnggiError("corrupt", `the archive's manifest.json names ${path}, which isn't in it`);
  return file;
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
