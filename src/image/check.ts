import { createHash } from "node:crypto";
import { messageOf } from "../base/error.ts";
import { type Digest, shortId } from "../oci/digest.ts";
import { familiarReference } from "../oci/reference.ts";
import type { StoredImage } from "./image-store.ts";
import { layersOf } from "./layer-source.ts";
import { deleteUnused, type ImageParts } from "./register.ts";

/** Something about images that isn't as it should be. */
export interface ImageProblem {
  readonly subject: "blob" | "layer";
  readonly id: string;
  /** A sentence. */
  readonly problem: string;
  /** What mends it, a sentence. */
  readonly remedy: string;
  /** Does so; absent where only a person can. */
  readonly repair?: () => Promise<void>;
}

/** Blobs that images need and that are missing, blobs that nobody needs and, with `deep`, blobs whose bytes have another digest. */
export async function* checkImages(
  { content, store, layers }: Pick<ImageParts, "content" | "store" | "layers">,
  { deep = false }: { readonly deep?: boolean } = {},
): AsyncGenerator<ImageProblem> {
  const users = usersOfBlobs(store.list());
  for (const digest of store.usedBlobs()) {
    if (content.has(digest)) continue;
    const names = (users.get(digest) ?? []).map((image) => nameOf(store, image)).join(", ");
    yield {
      subject: "blob",
      id: digest,
      problem: `blob ${digest} of image ${names} is missing`,
      remedy: `Pull or load ${names} again.`,
    };
  }
  const used = store.usedBlobs();
  for (const digest of content.list()) {
    if (used.has(digest) || content.isHeld(digest)) continue;
    yield {
      subject: "blob",
      id: digest,
      problem: `blob ${digest} belongs to no image`,
      remedy: "It is removed.",
      repair: async () => void deleteUnused({ content, store }, [digest]),
    };
  }
  if (deep) yield* damagedBlobs({ content, store }, users);
  if (deep) yield* damagedLayers({ layers, store });
}

async function* damagedBlobs(
  { content, store }: Pick<ImageParts, "content" | "store">,
  users: ReadonlyMap<Digest, readonly StoredImage[]>,
): AsyncGenerator<ImageProblem> {
  for (const digest of content.list()) {
    const wrong = await wrongDigest(content.stream(digest), digest);
    if (wrong === undefined || !content.has(digest)) continue;
    const names = (users.get(digest) ?? []).map((image) => nameOf(store, image)).join(", ") || "no image";
    yield {
      subject: "blob",
      id: digest,
      problem: `blob ${digest} of ${names} is damaged: ${wrong}`,
      remedy: `Remove ${names} and pull it again.`,
    };
  }
}

/** Layers whose files, made a tar again, have another digest than the image says. */
async function* damagedLayers({ layers, store }: Pick<ImageParts, "layers" | "store">): AsyncGenerator<ImageProblem> {
  const seen = new Set<string>();
  for (const image of store.list()) {
    for (const layer of layersOf(image)) {
      if (seen.has(layer.chainId) || !layers.isRemade(layer.chainId)) continue;
      seen.add(layer.chainId);
      const wrong = await wrongTar(layers.tar(layer));
      if (wrong === undefined || !layers.isRemade(layer.chainId)) continue;
      const name = nameOf(store, image);
      yield {
        subject: "layer",
        id: layer.chainId,
        problem: `layer ${shortId(layer.diffId)} of image ${name} is damaged: ${wrong}`,
        remedy: `Remove ${name} with what stands on it, and pull it again.`,
      };
    }
  }
}

async function wrongTar(tar: AsyncIterable<Uint8Array>): Promise<string | undefined> {
  try {
    for await (const _chunk of tar);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

function nameOf(store: ImageParts["store"], image: StoredImage): string {
  return store.references(image.id).map(familiarReference)[0] ?? shortId(image.id);
}

function usersOfBlobs(images: readonly StoredImage[]): ReadonlyMap<Digest, readonly StoredImage[]> {
  const users = new Map<Digest, StoredImage[]>();
  for (const image of images) {
    for (const digest of [image.id, image.manifest, ...image.layers.map((layer) => layer.digest)]) {
      users.set(digest, [...(users.get(digest) ?? []), image]);
    }
  }
  return users;
}

/** @returns a sentence, or undefined for bytes that are as they should be */
async function wrongDigest(bytes: AsyncIterable<Uint8Array>, digest: Digest): Promise<string | undefined> {
  const hash = createHash("sha256");
  try {
    for await (const chunk of bytes) hash.update(chunk);
  } catch (error) {
    return `it can't be read: ${messageOf(error)}`;
  }
  const found = `sha256:${hash.digest("hex")}`;
  return found === digest ? undefined : `its bytes have the digest ${found}`;
}
