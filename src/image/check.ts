import { createHash } from "node:crypto";
import { messageOf } from "../base/error.ts";
import { type Digest, shortId } from "../oci/digest.ts";
import { familiarReference } from "../oci/reference.ts";
import type { StoredImage } from "./image-store.ts";
import { deleteUnused, type ImageParts } from "./register.ts";

/** Something about images that isn't as it should be. */
export interface ImageProblem {
  readonly subject: "blob" | "image";
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
  { content, store }: Pick<ImageParts, "content" | "store">,
  { deep = false }: { readonly deep?: boolean } = {},
): AsyncGenerator<ImageProblem> {
  const users = usersOfBlobs(store.list());
  const nameOf = (image: StoredImage) => store.references(image.id).map(familiarReference)[0] ?? shortId(image.id);
  for (const digest of store.usedBlobs()) {
    if (content.has(digest)) continue;
    const names = (users.get(digest) ?? []).map(nameOf).join(", ");
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
  if (!deep) return;
  for (const digest of content.list()) {
    const wrong = await wrongDigest(content.stream(digest), digest);
    if (wrong === undefined || !content.has(digest)) continue;
    const names = (users.get(digest) ?? []).map(nameOf).join(", ") || "no image";
    yield {
      subject: "blob",
      id: digest,
      problem: `blob ${digest} of ${names} is damaged: ${wrong}`,
      remedy: `Remove ${names} and pull it again.`,
    };
  }
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
