import { Readable } from "node:stream";
import { constants, createGzip } from "node:zlib";
import { OnggiError } from "../base/error.ts";
import { type Digest, shortId } from "../oci/digest.ts";
import { type Descriptor, mediaTypes } from "../oci/manifest.ts";
import { familiarName, fullName, fullReference, type Reference } from "../oci/reference.ts";
import { eachWithin } from "./bounded.ts";
import type { Blob, ContentStore } from "./content-store.ts";
import { encodeManifest } from "./docker-archive.ts";
import type { ImageRecord, LayerRecord, StoredImage } from "./image-store.ts";
import { type Report, steps } from "./progress.ts";
import { deleteUnused, type ImageParts, manifestIn } from "./register.ts";
import type { Registry } from "./registry-client.ts";
import { BrokenConnection } from "./registry-http.ts";

const parallelUploads = 3;
/** Packing is done once an image, so that a registry always gets the same bytes; density matters less than time. */
const gzipLevel = 4;

/**
 * Pushes an image to its registry: what the registry has already isn't sent, what it has elsewhere is taken over from there.
 *
 * Blobs go as they are stored, so an image that was pulled keeps its digests. Plain layers (of a loaded archive) are packed
 * first, and stay so.
 *
 * @throws OnggiError `not_found`, `denied`, `unavailable`
 */
export async function pushImage(
  parts: ImageParts,
  registry: Registry,
  reference: Reference,
  report: Report,
  signal: AbortSignal,
): Promise<StoredImage> {
  const { content, store } = parts;
  const id = store.lookup(reference);
  const found = id === undefined ? undefined : store.get(id);
  if (found === undefined || reference.tag === undefined || reference.digest !== undefined) {
    throw new OnggiError("not_found", `An image does not exist locally with the tag: ${familiarName(reference)}`, {
      hint: "Give it that name first, with tag.",
    });
  }
  report({ status: `The push refers to repository [${fullName(reference)}]` });
  const releases = [found.id, found.manifest, ...found.layers.map(({ digest }) => digest)].map((digest) =>
    content.hold(digest),
  );
  try {
    const diffIds = found.config.rootfs.diff_ids;
    for (const diffId of diffIds.toReversed()) report({ id: shortId(diffId), status: "Preparing", progressDetail: {} });
    const image = await packed(parts, found, signal);
    const unique = [...new Map(image.layers.map((layer) => [layer.digest, layer])).values()].reverse();
    const uploads = eachWithin(parallelUploads, unique, (layer) => {
      // The diffID stays the same when a plain layer is packed, so each layer keeps its line from first to last.
      const id = shortId(diffIds[image.layers.indexOf(layer)] ?? layer.digest);
      return pushLayer(content, registry, { reference, layer, id }, report, signal);
    });
    try {
      for (const layer of unique) await uploads.get(layer);
    } finally {
      await uploads.settled();
    }
    await pushBlob(content, registry, { digest: image.id, size: content.size(image.id) }, signal);
    const bytes = await content.read(image.manifest);
    await registry.putManifest(reference.tag, bytes, image.manifestType);

    const { tag, ...repository } = reference;
    await store.put(recordOf(image, fullName(reference)));
    await store.setReferences(new Map([[fullReference({ ...repository, digest: image.manifest }), image.id]]));
    report({ status: `${tag}: digest: ${image.manifest} size: ${bytes.length}` });
    report({ status: "", progressDetail: {}, aux: { Tag: tag, Digest: image.manifest, Size: bytes.length } });
    return image;
  } finally {
    for (const release of releases) release();
    deleteUnused(parts, [found.manifest, ...found.layers.map(({ digest }) => digest)]);
  }
}

/** The image with every plain layer packed, under a manifest that says so. */
async function packed({ content, store }: ImageParts, image: StoredImage, signal: AbortSignal): Promise<StoredImage> {
  if (!image.layers.some(({ mediaType }) => mediaType === mediaTypes.layer)) return image;
  const layers: LayerRecord[] = [];
  for (const layer of image.layers) {
    if (layer.mediaType !== mediaTypes.layer) {
      layers.push(layer);
      continue;
    }
    signal.throwIfAborted();
    const gzip = createGzip({ level: gzipLevel, strategy: constants.Z_DEFAULT_STRATEGY, chunkSize: 256 << 10 });
    const source = Readable.from(content.stream(layer.digest), { objectMode: false });
    source.on("error", (error) => gzip.destroy(error));
    const blob = await content.ingest(source.pipe(gzip));
    layers.push({ ...layer, ...blob, mediaType: mediaTypes.layerGzip });
  }
  const { config } = manifestIn(await content.read(image.manifest), image.manifest);
  const described: Descriptor[] = layers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size }));
  const { digest } = await content.put(encodeManifest({ ...config, mediaType: mediaTypes.config }, described));
  return await store.put({ ...recordOf(image), manifest: digest, manifestType: mediaTypes.manifest, layers });
}

async function pushLayer(
  content: ContentStore,
  registry: Registry,
  { reference, layer, id }: { readonly reference: Reference; readonly layer: LayerRecord; readonly id: string },
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  const bar = steps(report, id, "Pushing", layer.size);
  const outcome = await pushBlob(content, registry, layer, signal, elsewhere(layer, reference), bar);
  report({ id, status: outcome, progressDetail: {} });
}

async function pushBlob(
  content: ContentStore,
  registry: Registry,
  { digest, size }: Blob,
  signal: AbortSignal,
  mountFrom?: string,
  onProgress: (current: number) => void = () => {},
): Promise<string> {
  if (await registry.hasBlob(digest)) return "Layer already exists";
  for (let attempt = 0; ; attempt++) {
    const location = await registry.mountOrStart(digest, attempt === 0 ? mountFrom : undefined);
    if (location === undefined) return `Mounted from ${mountFrom}`;
    try {
      await registry.upload(location, digest, size, counted(content, digest, onProgress, signal));
      return "Pushed";
    } catch (error) {
      if (!(error instanceof BrokenConnection) || !(await registry.waitToRetry(attempt))) throw error;
    }
  }
}

async function* counted(
  content: ContentStore,
  digest: Digest,
  onProgress: (current: number) => void,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let sent = 0;
  for await (const chunk of content.stream(digest)) {
    signal.throwIfAborted();
    sent += chunk.length;
    onProgress(sent);
    yield chunk;
  }
}

/** Another repository of the same registry that has the blob. */
function elsewhere({ repositories }: LayerRecord, { domain, path }: Reference): string | undefined {
  const others = (repositories ?? [])
    .filter((one) => one.startsWith(`${domain}/`))
    .map((one) => one.slice(domain.length + 1));
  return others.find((one) => one !== path);
}

/** What is written of an image, with the repository that has its layers now. */
function recordOf({ id, manifest, manifestType, layers, addedAtMs }: StoredImage, repository?: string): ImageRecord {
  const known = layers.map((layer) => {
    const repositories = [
      ...new Set([...(layer.repositories ?? []), ...(repository === undefined ? [] : [repository])]),
    ].sort();
    return repositories.length === 0 ? layer : { ...layer, repositories };
  });
  return { id, manifest, manifestType, layers: known, addedAtMs };
}
