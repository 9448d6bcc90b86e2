import { OnggiError } from "../base/error.ts";
import type { Digest } from "../oci/digest.ts";
import { type Descriptor, isIndexType, mediaTypes, parseManifestOrIndex } from "../oci/manifest.ts";
import { isPlatformMatch, type Platform } from "../oci/platform.ts";
import { familiarReference, fullReference, parseReference, type Reference, withDefaultTag } from "../oci/reference.ts";
import { type ArchiveFile, ArchiveFiles } from "./archive-files.ts";
import type { ContentStore } from "./content-store.ts";
import { type ArchivedImage, dockerArchiveImages } from "./docker-archive.ts";
import type { StoredImage } from "./image-store.ts";
import { KeptBlobs } from "./kept-blobs.ts";
import type { FileRange } from "./layer-job.ts";
import type { LayerSource } from "./layer-source.ts";
import type { Report } from "./progress.ts";
import { deleteUnused, type ImageParts, register, reportLayers } from "./register.ts";

export interface LoadOptions {
  readonly platform: Platform;
  readonly signal: AbortSignal;
  readonly onLoaded?: (image: StoredImage, name: string) => void;
}

/**
 * Loads the images of a docker archive or an OCI layout, given bit by bit or as a file.
 *
 * Its files may come in any order, so it is read from a file: layers are unpacked from where they lie in it, side by side. Nothing is kept
 * of an archive that is damaged.
 *
 * @throws OnggiError `corrupt`, `exhausted`, or `invalid` when it is a tar of something else
 */
export async function loadArchive(
  parts: ImageParts,
  archive: AsyncIterable<Uint8Array> | ArchiveFile,
  report: Report,
  options: LoadOptions,
): Promise<void> {
  const { content, limits } = parts;
  const kept = new KeptBlobs(content);
  using files = await ArchiveFiles.open(archive, content, limits, options.signal);
  try {
    const images = await imagesOf(content, kept, files, options.platform);
    if (images.length === 0) {
      throw new OnggiError("invalid", "the archive holds no image for this host", {
        hint: "It must be a docker archive or an OCI layout with an image for linux and this processor.",
      });
    }
    for (const { manifest, names, sources } of images) {
      const image = await register(parts, manifest, {
        signal: options.signal,
        source: async ({ digest }) => sourceOf(content, sources, digest),
        onLayer: reportLayers(report, "Loading layer"),
      });
      await name(parts, image, names, report);
      for (const one of names) options.onLoaded?.(image, familiarReference(one));
      if (names.length === 0) {
        options.onLoaded?.(image, image.id);
        report({ status: "", stream: `Loaded image ID: ${image.id}\n` });
      }
    }
  } finally {
    kept.release();
    deleteUnused(parts, kept.digests());
  }
}

function sourceOf(content: ContentStore, sources: ReadonlyMap<Digest, FileRange>, digest: Digest): LayerSource {
  const found = sources.get(digest);
  if (found !== undefined) return { ...found, isVerified: false };
  return { path: content.path(digest), offset: 0, bytes: content.size(digest), isVerified: true };
}

async function name(
  { store }: ImageParts,
  image: StoredImage,
  names: readonly Reference[],
  report: Report,
): Promise<void> {
  for (const reference of names) {
    const before = store.lookup(reference);
    if (before !== undefined && before !== image.id) {
      const shown = familiarReference(reference);
      const stream = `The image ${shown} already exists, renaming the old one with ID ${before} to empty string\n`;
      report({ status: "", stream });
    }
    await store.setReferences(new Map([[fullReference(reference), image.id]]));
    report({ status: "", stream: `Loaded image: ${familiarReference(reference)}\n` });
  }
}

/** Newer docker archives are OCI layouts too: the layout knows the manifests as they were pulled, `manifest.json` the tags. */
async function imagesOf(
  content: ContentStore,
  kept: KeptBlobs,
  files: ArchiveFiles,
  platform: Platform,
): Promise<ArchivedImage[]> {
  const [index, manifestJson] = ["index.json", "manifest.json"].map((path) => files.find(path));
  const archived = index === undefined ? [] : await layoutImages(content, kept, files, files.read(index), platform);
  if (manifestJson !== undefined) {
    const byConfig = new Map<Digest, ArchivedImage>();
    for (const image of archived) {
      const parsed = parseManifestOrIndex(await content.read(image.manifest), `manifest ${image.manifest}`);
      if ("manifest" in parsed) byConfig.set(parsed.manifest.config.digest, image);
    }
    return await dockerArchiveImages(kept, files, files.read(manifestJson), byConfig);
  }
  if (index === undefined) {
    throw new OnggiError("invalid", "the archive is no image: it has neither manifest.json nor index.json", {
      hint: "Load takes what docker save and OCI tools write; use import for the tar of a file system.",
    });
  }
  return archived;
}

async function layoutImages(
  content: ContentStore,
  kept: KeptBlobs,
  files: ArchiveFiles,
  indexJson: Buffer,
  platform: Platform,
): Promise<ArchivedImage[]> {
  const images = new Map<Digest, ArchivedImage>();
  const missing: string[] = [];

  const visit = async (descriptor: Descriptor, inherited: readonly Reference[], depth: number): Promise<void> => {
    if (depth > 4) throw new OnggiError("corrupt", "the archive's indexes are nested too deeply");
    const names = [...inherited, ...nameOf(descriptor)];
    const file = files.blob(descriptor.digest);
    if (file === undefined) {
      missing.push(descriptor.digest);
      return;
    }
    const isIndex = isIndexType(descriptor.mediaType);
    const offered = descriptor.platform;
    if (!isIndex && offered !== undefined && !isPlatformMatch(offered, platform)) return;
    const bytes = files.read(file);
    const parsed = parseManifestOrIndex(bytes, `manifest ${descriptor.digest}`);
    if ("index" in parsed) {
      for (const one of parsed.index.manifests) await visit(one, names, depth + 1);
      return;
    }
    const { config, layers } = parsed.manifest;
    const isImage = config.mediaType === mediaTypes.config || config.mediaType === mediaTypes.dockerConfig;
    if (!isImage) return;
    const blobs = [config, ...layers].map(({ digest, size }) => ({ digest, size, file: files.blob(digest) }));
    const absent = blobs.filter(({ digest, file }) => file === undefined && !content.has(digest));
    if (absent.length > 0) {
      missing.push(...absent.map(({ digest }) => digest));
      return;
    }
    const sources = new Map<Digest, FileRange>();
    for (const { digest, size, file } of blobs) {
      kept.hold(digest);
      if (file === undefined) continue;
      if (file.bytes !== size) {
        throw new OnggiError(
          "corrupt",
          `blob ${digest} has ${file.bytes} bytes instead of the ${size} of its manifest`,
        );
      }
      sources.set(digest, file);
    }
    await keep(kept, descriptor.digest, bytes);
    const configFile = files.blob(config.digest);
    if (configFile !== undefined) await keep(kept, config.digest, files.read(configFile));
    const all = [...(images.get(descriptor.digest)?.names ?? []), ...names];
    images.set(descriptor.digest, { manifest: descriptor.digest, names: distinct(all), sources });
  };

  const parsed = parseManifestOrIndex(indexJson, "index.json");
  if ("manifest" in parsed) throw new OnggiError("corrupt", "index.json is not an index");
  for (const descriptor of parsed.index.manifests) await visit(descriptor, [], 0);
  if (images.size === 0 && missing.length > 0) {
    throw new OnggiError("corrupt", `the archive lacks blobs that it names: ${missing.slice(0, 3).join(", ")}`);
  }
  return [...images.values()];
}

async function keep(kept: KeptBlobs, digest: Digest, bytes: Buffer): Promise<void> {
  const blob = await kept.put(bytes);
  if (blob.digest === digest) return;
  throw new OnggiError("corrupt", `blob ${digest} in the archive is damaged: it has the digest ${blob.digest}`);
}

/** containerd writes the full name, others a reference, or a bare tag that names nothing by itself. */
function nameOf({ annotations }: Descriptor): Reference[] {
  const full = annotations?.["io.containerd.image.name"];
  const short = annotations?.["org.opencontainers.image.ref.name"];
  const text = full ?? (short !== undefined && /[/:]/.test(short) ? short : undefined);
  if (text === undefined) return [];
  const reference = withDefaultTag(parseReference(text));
  return reference.digest === undefined ? [reference] : [];
}

function distinct(references: readonly Reference[]): Reference[] {
  return [...new Map(references.map((one) => [fullReference(one), one])).values()];
}
