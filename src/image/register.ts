import { OnggiError } from "../base/error.ts";
import { chainIds, type Digest, shortId } from "../oci/digest.ts";
import { type Descriptor, type Manifest, mediaTypes, parseImageConfig, parseManifestOrIndex } from "../oci/manifest.ts";
import type { ContentStore } from "./content-store.ts";
import type { ImageStore, LayerRecord, StoredImage } from "./image-store.ts";
import { type Layers, layersOf } from "./layers.ts";
import { type Report, steps } from "./progress.ts";

/** The parts that images are kept in. */
export interface ImageParts {
  readonly content: ContentStore;
  readonly store: ImageStore;
  readonly layers: Layers;
}

export interface RegisterOptions {
  /** Repository the blobs came from. */
  readonly repository?: string;
  readonly signal?: AbortSignal | undefined;
  /** Resolves when a layer's blob is in the store. */
  readonly ready?: (layer: Descriptor) => Promise<void>;
  readonly onLayer?: (layer: Descriptor, state: "extracting" | "done", storedBytes: number) => void;
}

/**
 * Makes an image of blobs that are all in the store: unpacks its layers and writes its record. The caller holds the blobs.
 *
 * @throws OnggiError `corrupt` when config and layers don't fit each other
 */
export async function register(
  { content, store, layers }: ImageParts,
  manifestDigest: Digest,
  options: RegisterOptions = {},
): Promise<StoredImage> {
  const manifest = manifestIn(await content.read(manifestDigest), manifestDigest);
  const id = manifest.config.digest;
  const config = parseImageConfig(await content.read(id), `config ${id}`);
  const diffIds = config.rootfs.diff_ids;
  if (diffIds.length !== manifest.layers.length) {
    throw new OnggiError(
      "corrupt",
      `invalid manifest, layers length mismatch: expected ${manifest.layers.length}, got ${diffIds.length} in config ${id}`,
    );
  }

  const chain = chainIds(diffIds);
  const release = layers.hold(chain);
  let isDone = false;
  try {
    const records: LayerRecord[] = [];
    const stack = layersOf({ config, chainIds: chain, layers: manifest.layers.map(plainRecord) });
    for (const [index, layer] of stack.entries()) {
      options.signal?.throwIfAborted();
      const descriptor = manifest.layers[index];
      if (descriptor === undefined) continue;
      await options.ready?.(descriptor);
      const known = knownLayer(store, layer.chainId, layer.blob.digest);
      const onProgress = (bytes: number) => options.onLayer?.(descriptor, "extracting", bytes);
      const contentBytes = await layers.ensure(layer, known?.contentBytes, { onProgress, signal: options.signal });
      options.onLayer?.(descriptor, "done", descriptor.size);
      const repositories = union(
        known?.digest === descriptor.digest ? known.repositories : undefined,
        options.repository,
      );
      records.push({
        ...plainRecord(descriptor),
        contentBytes,
        ...(repositories.length === 0 ? {} : { repositories }),
      });
    }
    const manifestType = manifest.mediaType ?? mediaTypes.manifest;
    const image = await store.put({
      id,
      manifest: manifestDigest,
      manifestType,
      layers: records,
      addedAtMs: Date.now(),
    });
    isDone = true;
    return image;
  } finally {
    release();
    if (!isDone) await layers.remove(chain, (chainId) => store.usedLayers().has(chainId));
  }
}

/** Reports the unpacking of layers as Docker's clients expect it: a bar for each. */
export function reportLayers(report: Report, status: string): NonNullable<RegisterOptions["onLayer"]> {
  const bars = new Map<Digest, (current: number) => void>();
  return ({ digest, size }, state, bytes) => {
    const bar = bars.get(digest) ?? steps(report, shortId(digest), status, size);
    bars.set(digest, bar);
    if (state === "extracting") bar(bytes);
  };
}

/** Deletes those of the blobs that no image needs and nobody holds. @returns the bytes that were freed */
export function deleteUnused(
  { content, store }: Pick<ImageParts, "content" | "store">,
  blobs: Iterable<Digest>,
): number {
  const used = store.usedBlobs();
  let freed = 0;
  for (const digest of blobs) if (!used.has(digest)) freed += content.delete(digest);
  return freed;
}

export function manifestIn(bytes: Uint8Array, digest: Digest): Manifest {
  const parsed = parseManifestOrIndex(bytes, `manifest ${digest}`);
  if ("index" in parsed) throw new OnggiError("corrupt", `manifest ${digest} is an index`);
  return parsed.manifest;
}

function plainRecord({ digest, size, mediaType }: Descriptor): LayerRecord {
  return { digest, size, mediaType, contentBytes: 0 };
}

/** The same layer in another image: of the same blob, if one has it. */
function knownLayer(store: ImageStore, chainId: string, digest: Digest): LayerRecord | undefined {
  const all = store.list().flatMap((image) => image.layers.filter((_, index) => image.chainIds[index] === chainId));
  return all.find((layer) => layer.digest === digest) ?? all[0];
}

function union(known: readonly string[] | undefined, one: string | undefined): readonly string[] {
  return [...new Set([...(known ?? []), ...(one === undefined ? [] : [one])])].sort();
}
