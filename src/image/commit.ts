import { type Digest, digestOf, parseDiffId } from "../oci/digest.ts";
import { type HistoryEntry, type ImageConfig, type ImageConfigFile, mediaTypes } from "../oci/manifest.ts";
import type { Platform } from "../oci/platform.ts";
import type { Blob } from "./content-store.ts";
import { decompress } from "./decompress.ts";
import { encodeManifest } from "./docker-archive.ts";
import type { StoredImage } from "./image-store.ts";
import { deleteUnused, type ImageParts, register } from "./register.ts";

/** An image to be made of another one's layers and one more. */
export interface CommitOptions {
  /** The image below; without one the new layer is all there is (`import`). */
  readonly parentImageId?: string;
  /** What the new layer changes, as a tar with whiteouts; compressed is fine. One without members makes no layer. */
  readonly layerTar: AsyncIterable<Uint8Array>;
  /** How containers of the new image run: the whole of it, nothing is taken from the parent. */
  readonly config: ImageConfig;
  /** Default: the parent's, or the host's own. */
  readonly platform?: Platform;
  /** The name it gets, `name[:tag]`. */
  readonly reference?: string;
  readonly author?: string;
  readonly comment?: string;
  /** What `history` shows as the step that made it. */
  readonly createdBy?: string;
  /** Default: now. */
  readonly createdAtMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Makes an image of a parent's layers and a new one, without a name yet. The same input at the same time gives the same image.
 *
 * @throws OnggiError `not_found` for the parent, `corrupt` when the tar is damaged, `exhausted` on a full disk; nothing is left then
 */
export async function commitImage(
  parts: ImageParts,
  options: CommitOptions,
  platform: Platform,
  finish: (image: StoredImage) => Promise<void>,
): Promise<StoredImage> {
  const { content, store } = parts;
  const parent = options.parentImageId === undefined ? undefined : store.find(options.parentImageId);
  const held = new Map<Digest, () => void>();
  const keep = (digest: Digest) => {
    if (!held.has(digest)) held.set(digest, content.hold(digest));
  };
  try {
    for (const digest of parent === undefined ? [] : [parent.id, ...parent.layers.map((layer) => layer.digest)])
      keep(digest);
    const layer = await content.ingest(plainTar(options));
    keep(layer.digest);
    const isEmpty = layer.digest === emptyTar;
    const config = configFile(parent, isEmpty ? undefined : layer, options, platform);
    const configBlob = await content.put(JSON.stringify(config));
    keep(configBlob.digest);
    const layers = [
      ...(parent?.layers ?? []).map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
      ...(isEmpty ? [] : [{ mediaType: mediaTypes.layer, ...layer }]),
    ];
    const manifest = await content.put(encodeManifest({ mediaType: mediaTypes.config, ...configBlob }, layers));
    keep(manifest.digest);
    const image = await register(parts, manifest.digest, { signal: options.signal });
    await finish(image);
    return image;
  } finally {
    for (const release of held.values()) release();
    deleteUnused(parts, held.keys());
  }
}

/** A tar that ends before its first member. */
const emptyTar = digestOf(Buffer.alloc(1024));

function configFile(
  parent: StoredImage | undefined,
  layer: Blob | undefined,
  options: CommitOptions,
  host: Platform,
): ImageConfigFile {
  const { author, comment, createdBy } = options;
  const created = new Date(options.createdAtMs ?? Date.now()).toISOString();
  const below = parent?.config;
  const { os, architecture, variant } = options.platform ?? below ?? host;
  const step: HistoryEntry = {
    created,
    ...(createdBy === undefined ? {} : { created_by: createdBy }),
    ...(author ? { author } : {}),
    ...(comment ? { comment } : {}),
    ...(layer === undefined ? { empty_layer: true } : {}),
  };
  const diffIds = below?.rootfs.diff_ids ?? [];
  return {
    created,
    ...(author ? { author } : {}),
    architecture,
    ...(variant ? { variant } : {}),
    os,
    config: options.config,
    rootfs: { type: "layers", diff_ids: layer === undefined ? diffIds : [...diffIds, parseDiffId(layer.digest)] },
    history: [...(below?.history ?? []), step],
  };
}

/** The tar as it is unpacked later; one of zero bytes is one without members. */
async function* plainTar({ layerTar, signal }: CommitOptions): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of decompress(layerTar, { signal })) {
    signal?.throwIfAborted();
    bytes += chunk.length;
    yield chunk;
  }
  if (bytes === 0) yield Buffer.alloc(1024);
}
