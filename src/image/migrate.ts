import { createHash } from "node:crypto";
import { createWriteStream, rmSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { type Digest, parseChainId, parseDiffId, parseDigest } from "../oci/digest.ts";
import { LayerRecords } from "./layer-records.ts";
import type { LayerSink } from "./layer-sink.ts";
import { type LayerToUnpack, layersOf } from "./layer-source.ts";
import { Layers } from "./layers.ts";
import type { ImageParts } from "./register.ts";
import type { UnpackLimits } from "./unpack-limits.ts";

/** Where layers go, and the folder for what is to be known of them there. */
export interface LayerTarget {
  readonly sink: LayerSink;
  readonly recordsDirectory: string;
}

/** What is there already was let in once. */
const unlimited: UnpackLimits = {
  maxLayerBytes: Number.MAX_SAFE_INTEGER,
  maxRatio: Number.MAX_SAFE_INTEGER,
  maxLayers: Number.MAX_SAFE_INTEGER,
};

/**
 * Puts all layers of all images into another storage, each made of its tar, whose digest is checked.
 *
 * @throws OnggiError `corrupt` for a layer that was damaged, `not_found` for one of which nothing is left
 */
export async function copyLayers(
  { content, store, layers }: Pick<ImageParts, "content" | "store" | "layers">,
  { sink, recordsDirectory }: LayerTarget,
  onLayer: (layer: LayerToUnpack) => void,
): Promise<void> {
  const records = await LayerRecords.open(recordsDirectory, []);
  const target = new Layers({ sink, content, records, limits: unlimited, keepBlobs: false });
  for (const image of store.list()) {
    for (const layer of layersOf(image)) {
      if (await sink.has(layer.chainId)) continue;
      onLayer(layer);
      await withFile(content.temporaryPath(), layers.tar(layer), (file) => unpack(target, layer, file));
    }
  }
}

/** Hands a tree's tar with whiteouts to a sink, as if it were a layer. */
export async function unpackTree(
  { content }: Pick<ImageParts, "content">,
  { sink, recordsDirectory }: LayerTarget,
  tar: AsyncIterable<Uint8Array>,
): Promise<void> {
  const records = await LayerRecords.open(recordsDirectory, []);
  const target = new Layers({ sink, content, records, limits: unlimited, keepBlobs: false });
  try {
    await withFile(content.temporaryPath(), tar, async (file) => {
      const layer = { chainId: parseChainId(file.digest), parent: undefined, diffId: parseDiffId(file.digest) };
      await unpack(target, { ...layer, blob: { digest: file.digest, size: file.bytes } }, file);
    });
  } finally {
    rmSync(recordsDirectory, { recursive: true, force: true });
  }
}

interface PlainTar {
  readonly path: string;
  readonly bytes: number;
  readonly digest: Digest;
}

async function unpack(target: Layers, layer: LayerToUnpack, { path, bytes, digest }: PlainTar): Promise<void> {
  // The blob that it is read from is its plain tar, whatever blob it came in.
  const plain = { ...layer, blob: { digest, size: bytes } };
  await target.ensure(plain, { source: async () => ({ path, offset: 0, bytes, isVerified: false }) });
}

async function withFile(
  path: string,
  bytes: AsyncIterable<Uint8Array>,
  use: (file: PlainTar) => Promise<void>,
): Promise<void> {
  const hash = createHash("sha256");
  let size = 0;
  const counted = async function* () {
    for await (const chunk of bytes) {
      hash.update(chunk);
      size += chunk.length;
      yield chunk;
    }
  };
  try {
    await pipeline(counted, createWriteStream(path, { flags: "wx", mode: 0o600 }));
    await use({ path, bytes: size, digest: parseDigest(`sha256:${hash.digest("hex")}`) });
  } finally {
    rmSync(path, { force: true });
  }
}
