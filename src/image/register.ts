import { OnggiError } from "../base/error.ts";
import { chainIds, type Digest, shortId } from "../oci/digest.ts";
import { type Descriptor, type Manifest, mediaTypes, parseImageConfig, parseManifestOrIndex } from "../oci/manifest.ts";
import { eachWithin } from "./bounded.ts";
import type { ContentStore } from "./content-store.ts";
import type { ImageStore, LayerRecord, StoredImage } from "./image-store.ts";
import { type LayerSource, type LayerToUnpack, layersOf } from "./layer-source.ts";
import type { Layers } from "./layers.ts";
import { type Report, steps } from "./progress.ts";
import { checkLayerCount, type UnpackLimits } from "./unpack-limits.ts";

/** The parts that images are kept in. */
export interface ImageParts {
  readonly content: ContentStore;
  readonly store: ImageStore;
  readonly layers: Layers;
  readonly limits: UnpackLimits;
}

export interface RegisterOptions {
  /** Repository the blobs came from. */
  readonly repository?: string;
  readonly signal?: AbortSignal | undefined;
  /** Where a layer's stored bytes are, once they are; asked only for layers that aren't there. Default: in the store. */
  readonly source?: ((layer: Descriptor) => Promise<LayerSource>) | undefined;
  readonly onLayer?: (layer: Descriptor, state: "extracting" | "done", storedBytes: number) => void;
}

/**
 * Makes an image of a config and a manifest that are in the store: unpacks its layers, side by side, and writes its record. The caller holds
 * the blobs.
 *
 * @throws OnggiError `corrupt` when config and layers don't fit each other; nothing new is left then
 */
export async function register(
  parts: ImageParts,
  manifestDigest: Digest,
  options: RegisterOptions = {},
): Promise<StoredImage> {
  const { content, store, layers, limits } = parts;
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
  checkLayerCount(diffIds.length, limits);

  const chain = chainIds(diffIds);
  const release = layers.hold(chain);
  let isDone = false;
  try {
    const stack = layersOf({ config, chainIds: chain, layers: manifest.layers.map(plainRecord) });
    const records = await unpackStack(parts, stack, manifest.layers, options);
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

/** Unpacks some layers at a time, each begun after those below it; the first failure stops all. */
async function unpackStack(
  { store, layers }: ImageParts,
  stack: readonly LayerToUnpack[],
  descriptors: readonly Descriptor[],
  { signal, source, onLayer, repository }: RegisterOptions,
): Promise<LayerRecord[]> {
  const stop = new AbortController();
  const both = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  const indexes = [...stack.keys()];
  const there = stack.map(() => Promise.withResolvers<void>());
  for (const { promise } of there) promise.catch(() => {}); // whoever needs it is told
  const unpacking = eachWithin(layers.parallel, indexes, async (index) => {
    both.throwIfAborted();
    const [layer, descriptor] = [stack[index], descriptors[index]];
    if (layer === undefined || descriptor === undefined) throw new RangeError(`no layer ${index}`);
    const below = there[index - 1]?.promise ?? Promise.resolve();
    try {
      const contentBytes = await layers.ensure(layer, {
        ...(source === undefined ? {} : { source: () => source(descriptor) }),
        below,
        onProgress: (bytes) => onLayer?.(descriptor, "extracting", bytes),
        signal: both,
      });
      await below;
      there[index]?.resolve();
      onLayer?.(descriptor, "done", descriptor.size);
      return recordOf(store, layer, descriptor, contentBytes, repository);
    } catch (error) {
      stop.abort(error);
      there[index]?.reject(error);
      throw error;
    }
  });
  try {
    const records: LayerRecord[] = [];
    for (const index of indexes) records.push(await unpacking.get(index));
    return records;
  } catch (error) {
    // The failure that stopped the others, not theirs.
    throw signal?.aborted ? signal.reason : stop.signal.aborted ? stop.signal.reason : error;
  } finally {
    await unpacking.settled();
  }
}

function recordOf(
  store: ImageStore,
  { chainId }: LayerToUnpack,
  descriptor: Descriptor,
  contentBytes: number,
  repository: string | undefined,
): LayerRecord {
  const known = knownLayer(store, chainId, descriptor.digest);
  const repositories = union(known?.digest === descriptor.digest ? known.repositories : undefined, repository);
  return { ...plainRecord(descriptor), contentBytes, ...(repositories.length === 0 ? {} : { repositories }) };
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
