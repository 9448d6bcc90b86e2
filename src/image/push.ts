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
import { type LayerToUnpack, layersOf } from "./layer-source.ts";
import { type Report, steps } from "./progress.ts";
import { deleteUnused, type ImageParts, manifestIn } from "./register.ts";
import type { Registry } from "./registry-client.ts";
import { BrokenConnection } from "./registry-http.ts";

const parallelUploads = 3;
const parallelPacks = 2;
/** Packing is done once an image, so that a registry always gets the same bytes; density matters less than time. */
const gzipLevel = 4;

/**
 * Pushes an image to its registry: what the registry has already isn't sent, what it has elsewhere is taken over from there.
 *
 * Where the registry has an image's blobs, or they are kept here, they go as they are, so that an image that was pulled keeps its digests.
 * Of other layers the tar is made again and packed: they get digests of their own, the same each time.
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
    const outcomes = new Map<Digest, string>();
    const image = await packed(parts, found, { registry, reference, signal, outcomes, releases });
    const unique = [...new Map(image.layers.map((layer) => [layer.digest, layer])).values()].reverse();
    const uploads = eachWithin(parallelUploads, unique, (layer) => {
      // The diffID stays the same when a plain layer is packed, so each layer keeps its line from first to last.
      const id = shortId(diffIds[image.layers.indexOf(layer)] ?? layer.digest);
      const outcome = outcomes.get(layer.digest);
      if (outcome !== undefined) return Promise.resolve(report({ id, status: outcome, progressDetail: {} }));
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
    deleteUnused(parts, [found.manifest, ...found.layers.map(({ digest }) => digest), ...packedBlobs(parts, found)]);
  }
}

interface Packing {
  readonly registry: Registry;
  readonly reference: Reference;
  readonly signal: AbortSignal;
  /** Takes what became of layers that the registry has. */
  readonly outcomes: Map<Digest, string>;
  /** Takes what lets go of the blobs that are made. */
  readonly releases: (() => void)[];
}

/** The image with packed layers under a manifest that says so; itself when all of its blobs are here or in the registry. */
async function packed(parts: ImageParts, image: StoredImage, packing: Packing): Promise<StoredImage> {
  const { content, store } = parts;
  const stack = layersOf(image);
  const packs = eachWithin(parallelPacks, [...stack.keys()], async (index): Promise<LayerRecord> => {
    const [layer, known] = [stack[index], image.layers[index]];
    if (layer === undefined || known === undefined) throw new RangeError(`no layer ${index}`);
    return (await isAtHand(content, known, packing)) ? known : await pack(parts, layer, known, packing);
  });
  const layers: LayerRecord[] = [];
  try {
    for (const index of stack.keys()) layers.push(await packs.get(index));
  } finally {
    await packs.settled();
  }
  if (layers.every((layer, index) => layer === image.layers[index])) return image;
  const { config } = manifestIn(await content.read(image.manifest), image.manifest);
  const described: Descriptor[] = layers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size }));
  const { digest } = await content.put(encodeManifest({ ...config, mediaType: mediaTypes.config }, described));
  return await store.put({ ...recordOf(image), manifest: digest, manifestType: mediaTypes.manifest, layers });
}

/** Whether a layer's packed blob is here, or in the registry, or can be taken over there. */
async function isAtHand(content: ContentStore, layer: LayerRecord, packing: Packing): Promise<boolean> {
  const { registry, reference, outcomes } = packing;
  const { digest, mediaType } = layer;
  if (mediaType === mediaTypes.layer) return false;
  if (content.has(digest)) return true;
  const from = elsewhere(layer, reference);
  if (await registry.hasBlob(digest)) outcomes.set(digest, "Layer already exists");
  else if (from !== undefined && (await registry.mountOrStart(digest, from)) === undefined)
    outcomes.set(digest, `Mounted from ${from}`);
  return outcomes.has(digest);
}

async function pack(
  { content, layers }: ImageParts,
  layer: LayerToUnpack,
  known: LayerRecord,
  { signal, releases }: Packing,
): Promise<LayerRecord> {
  const gzip = createGzip({ level: gzipLevel, strategy: constants.Z_DEFAULT_STRATEGY, chunkSize: 256 << 10 });
  const source = Readable.from(layers.tar(layer), { objectMode: false, signal });
  source.on("error", (error) => gzip.destroy(error));
  const blob = await content.ingest(source.pipe(gzip));
  releases.push(content.hold(blob.digest));
  return { ...plainRecord(known), ...blob, mediaType: mediaTypes.layerGzip };
}

/** Without the repositories, which have the blob as it was before. */
function plainRecord({ digest, size, mediaType, contentBytes }: LayerRecord): LayerRecord {
  return { digest, size, mediaType, contentBytes };
}

/** The blobs that an image has after it was packed. */
function packedBlobs({ store }: ImageParts, { id }: StoredImage): readonly Digest[] {
  return store.get(id)?.layers.map(({ digest }) => digest) ?? [];
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
