import { OnggiError } from "../base/error.ts";
import type { Digest } from "../oci/digest.ts";
import { type Descriptor, isIndexType, mediaTypes, parseManifestOrIndex } from "../oci/manifest.ts";
import { isPlatformMatch, type Platform } from "../oci/platform.ts";
import { familiarReference, fullReference, parseReference, type Reference, withDefaultTag } from "../oci/reference.ts";
import { type ArchiveFiles, spoolArchive } from "./archive-files.ts";
import { dockerArchiveImages } from "./docker-archive.ts";
import type { StoredImage } from "./image-store.ts";
import type { Report } from "./progress.ts";
import { deleteUnused, type ImageParts, register, reportLayers } from "./register.ts";

/** An image of an archive, all of whose blobs are in the store. */
export interface ArchivedImage {
  readonly manifest: Digest;
  readonly names: readonly Reference[];
}

export interface LoadOptions {
  readonly platform: Platform;
  readonly signal: AbortSignal;
  readonly onLoaded?: (image: StoredImage, name: string) => void;
}

/**
 * Loads the images of a docker archive or an OCI layout.
 *
 * Its files may come in any order, so all are stored first, under their digests; what turns out not to belong to an image is
 * deleted again, as is all of it when the archive is damaged.
 *
 * @throws OnggiError `corrupt`, or `invalid` when it is a tar of something else
 */
export async function loadArchive(
  parts: ImageParts,
  archive: AsyncIterable<Uint8Array>,
  report: Report,
  options: LoadOptions,
): Promise<void> {
  const files = await spoolArchive(parts.content, archive, options.signal, (blobs) => deleteUnused(parts, blobs));
  try {
    const images = await imagesOf(parts, files, options.platform);
    if (images.length === 0) {
      throw new OnggiError("invalid", "the archive holds no image for this host", {
        hint: "It must be a docker archive or an OCI layout with an image for linux and this processor.",
      });
    }
    for (const { manifest, names } of images) {
      const image = await register(parts, manifest, {
        signal: options.signal,
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
    files.release();
    deleteUnused(parts, files.blobs());
  }
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
async function imagesOf(parts: ImageParts, files: ArchiveFiles, platform: Platform): Promise<ArchivedImage[]> {
  const index = await files.read("index.json");
  const archived = index === undefined ? [] : await layoutImages(parts, files, index, platform);
  const manifestJson = await files.read("manifest.json");
  if (manifestJson !== undefined) {
    const byConfig = new Map<Digest, Digest>();
    for (const { manifest } of archived) {
      const parsed = parseManifestOrIndex(await parts.content.read(manifest), `manifest ${manifest}`);
      if ("manifest" in parsed) byConfig.set(parsed.manifest.config.digest, manifest);
    }
    return await dockerArchiveImages(parts.content, files, manifestJson, byConfig);
  }
  if (index === undefined) {
    throw new OnggiError("invalid", "the archive is no image: it has neither manifest.json nor index.json", {
      hint: "Load takes what docker save and OCI tools write; use import for the tar of a file system.",
    });
  }
  return archived;
}

async function layoutImages(
  { content }: ImageParts,
  files: ArchiveFiles,
  indexJson: Buffer,
  platform: Platform,
): Promise<ArchivedImage[]> {
  const images = new Map<Digest, Reference[]>();
  const missing: string[] = [];

  const visit = async (descriptor: Descriptor, inherited: readonly Reference[], depth: number): Promise<void> => {
    if (depth > 4) throw new OnggiError("corrupt", "the archive's indexes are nested too deeply");
    const names = [...inherited, ...nameOf(descriptor)];
    if (!files.hasBlob(descriptor.digest)) {
      missing.push(descriptor.digest);
      return;
    }
    const isIndex = isIndexType(descriptor.mediaType);
    const offered = descriptor.platform;
    if (!isIndex && offered !== undefined && !isPlatformMatch(offered, platform)) return;
    const parsed = parseManifestOrIndex(await content.read(descriptor.digest), `manifest ${descriptor.digest}`);
    if ("index" in parsed) {
      for (const one of parsed.index.manifests) await visit(one, names, depth + 1);
      return;
    }
    const { config, layers } = parsed.manifest;
    const isImage = config.mediaType === mediaTypes.config || config.mediaType === mediaTypes.dockerConfig;
    if (!isImage) return;
    const absent = [config, ...layers].filter(({ digest }) => !files.hasBlob(digest) && !content.has(digest));
    if (absent.length > 0) {
      missing.push(...absent.map(({ digest }) => digest));
      return;
    }
    for (const { digest } of [config, ...layers]) files.hold(digest);
    images.set(descriptor.digest, [...(images.get(descriptor.digest) ?? []), ...names]);
  };

  const parsed = parseManifestOrIndex(indexJson, "index.json");
  if ("manifest" in parsed) throw new OnggiError("corrupt", "index.json is not an index");
  for (const descriptor of parsed.index.manifests) await visit(descriptor, [], 0);
  if (images.size === 0 && missing.length > 0) {
    throw new OnggiError("corrupt", `the archive lacks blobs that it names: ${missing.slice(0, 3).join(", ")}`);
  }
  return [...images].map(([manifest, names]) => ({ manifest, names: distinct(names) }));
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
