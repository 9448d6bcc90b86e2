import type { Digest } from "../oci/digest.ts";
import type { Blob, ContentStore } from "./content-store.ts";

/** Blobs that are kept while something is being made of them, and after that only if it needs them. */
export class KeptBlobs {
  readonly #content: ContentStore;
  readonly #holds = new Map<Digest, () => void>();

  constructor(content: ContentStore) {
    this.#content = content;
  }

  /** Keeps a blob, there already or yet to come. */
  hold(digest: Digest): void {
    if (!this.#holds.has(digest)) this.#holds.set(digest, this.#content.hold(digest));
  }

  /** Stores bytes and keeps them. */
  async put(bytes: string | Uint8Array): Promise<Blob> {
    const blob = await this.#content.put(bytes);
    this.hold(blob.digest);
    return blob;
  }

  digests(): Iterable<Digest> {
    return this.#holds.keys();
  }

  release(): void {
    for (const letGo of this.#holds.values()) letGo();
  }
}
