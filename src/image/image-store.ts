import { readdirSync, readFileSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { sweepTemporaryFiles, syncDirectory, writeJsonAtomic } from "../base/atomic-file.ts";
import { isOnggiError, messageOf, OnggiError } from "../base/error.ts";
import { type ChainId, chainIds, type Digest, hexOf, isDigest, parseChainId } from "../oci/digest.ts";
import { type ImageConfigFile, parseImageConfig } from "../oci/manifest.ts";
import {
  familiarReference,
  fullReference,
  parseReference,
  type Reference,
  withDefaultTag,
  withoutIdleTag,
} from "../oci/reference.ts";
import type { ContentStore } from "./content-store.ts";
import { Reserve } from "./reserve.ts";

/** What is kept of an image beside its blobs: `images/HEX.json`. */
export interface ImageRecord {
  /** Digest of the config. */
  readonly id: Digest;
  readonly manifest: Digest;
  readonly manifestType: string;
  readonly layers: readonly LayerRecord[];
  /** When it came here; Docker sorts nothing by it, `inspect` shows it as the last tag time. */
  readonly addedAtMs: number;
}

export interface LayerRecord {
  /** Of the blob as it is stored, pushed and saved. */
  readonly digest: Digest;
  readonly size: number;
  readonly mediaType: string;
  /** Bytes of the files in it. */
  readonly contentBytes: number;
  /** Repositories (`host/path`) that are known to hold the blob: a push to another on the same host needn't send it. */
  readonly repositories?: readonly string[];
}

/** An image with its config, as the store hands it out. */
export interface StoredImage extends ImageRecord {
  readonly config: ImageConfigFile;
  readonly chainIds: readonly ChainId[];
}

/** Whether the blob of a layer is needed beside the layer itself. */
type NeedsBlob = (chainId: ChainId, blob: Digest) => boolean;

const noLayer = parseChainId(`sha256:${"0".repeat(64)}`);
const referencesFile = "references.json";

/**
 * Knows the images and their names.
 *
 * Everything is in memory; what changes is written before a method resolves. An image's record is written after its blobs
 * and layers and removed before them, a name after its image and removed before it, so that a crash at any point leaves
 * blobs that nobody needs at worst: {@link open} tells them from the others.
 */
export class ImageStore {
  readonly #directory: string;
  readonly #content: ContentStore;
  readonly #needsBlob: NeedsBlob;
  readonly #reserve: Reserve;
  readonly #images = new Map<Digest, StoredImage>();
  readonly #references = new Map<string, Digest>();
  /** What opening had to mend, a sentence each. */
  readonly repairs: readonly string[];
  #last: Promise<unknown> = Promise.resolve();

  private constructor(directory: string, content: ContentStore, needsBlob: NeedsBlob, repairs: string[]) {
    this.#directory = directory;
    this.#content = content;
    this.#needsBlob = needsBlob;
    this.#reserve = new Reserve(join(directory, ".reserve"));
    this.#reserve.take();
    this.#readImages(repairs);
    this.#readReferences(repairs);
    this.repairs = repairs;
  }

  static async open(directory: string, content: ContentStore, needsBlob: NeedsBlob = () => true): Promise<ImageStore> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await sweepTemporaryFiles(directory);
    return new ImageStore(directory, content, needsBlob, []);
  }

  get(id: Digest): StoredImage | undefined {
    return this.#images.get(id);
  }

  list(): readonly StoredImage[] {
    return [...this.#images.values()];
  }

  /** The names of an image, tags and digests, sorted. */
  references(id: Digest): readonly Reference[] {
    const names = [...this.#references].filter(([, owner]) => owner === id).map(([name]) => name);
    return names.sort().map(parseReference);
  }

  /** The image that a name stands for. */
  lookup(reference: Reference): Digest | undefined {
    return this.#references.get(fullReference(withoutIdleTag(reference)));
  }

  /** All names in use, with what they stand for. */
  allReferences(): ReadonlyMap<string, Digest> {
    return this.#references;
  }

  /**
   * Finds an image by reference, id, or unambiguous prefix of an id.
   *
   * @throws OnggiError `not_found` in Docker's words
   */
  find(key: string): StoredImage {
    const byReference = this.#findByReference(key);
    if (byReference !== undefined) return byReference;
    const prefix = key.startsWith("sha256:") ? key : `sha256:${key}`;
    const found = /^sha256:[0-9a-f]+$/.test(prefix) ? this.list().filter((image) => image.id.startsWith(prefix)) : [];
    const [image] = found;
    if (image !== undefined && found.length === 1) return image;
    throw new OnggiError("not_found", `No such image: ${shown(key)}`, {
      hint: found.length > 1 ? `${found.length} ids begin like that: write more of it.` : undefined,
    });
  }

  /** Writes an image's record, new or changed. Its blobs and layers must be there. */
  async put(record: ImageRecord): Promise<StoredImage> {
    const image = this.#complete(record);
    return await this.#exclusive(async () => {
      await writeJsonAtomic(this.#path(record.id), record);
      this.#images.set(record.id, image);
      return image;
    });
  }

  /** Gives names to images, or takes them (`undefined`), all in one step. */
  async setReferences(changes: ReadonlyMap<string, Digest | undefined>): Promise<void> {
    await this.#exclusive(async () => {
      const next = new Map(this.#references);
      for (const [name, id] of changes) {
        if (id === undefined) next.delete(name);
        else if (this.#images.has(id)) next.set(name, id);
        else throw new OnggiError("not_found", `No such image: ${id}`);
      }
      await this.#writeReferences(next, { onlyRemoves: [...changes.values()].every((id) => id === undefined) });
      for (const name of changes.keys()) this.#references.delete(name);
      for (const [name, id] of changes) if (id !== undefined) this.#references.set(name, id);
    });
  }

  async #writeReferences(
    references: ReadonlyMap<string, Digest>,
    { onlyRemoves }: { readonly onlyRemoves: boolean },
  ): Promise<void> {
    const write = () =>
      writeJsonAtomic(join(this.#directory, referencesFile), Object.fromEntries([...references].sort()));
    try {
      await write();
    } catch (error) {
      if (!onlyRemoves || !isOnggiError(error, "exhausted")) throw error;
      this.#reserve.release();
      await write();
    }
    this.#reserve.take();
  }

  /** Forgets an image; its names must be gone already. */
  async delete(id: Digest): Promise<void> {
    await this.#exclusive(async () => {
      await rm(this.#path(id), { force: true });
      await syncDirectory(this.#directory);
      this.#images.delete(id);
    });
  }

  /** The blobs that an image needs: of its layers only those that can't be made again. */
  blobsOf({ id, manifest, layers, chainIds }: StoredImage): readonly Digest[] {
    const needed = layers.filter(({ digest }, index) => this.#needsBlob(chainIds[index] ?? noLayer, digest));
    return [id, manifest, ...needed.map(({ digest }) => digest)];
  }

  /** The blobs that images need. */
  usedBlobs(): ReadonlySet<Digest> {
    return new Set(this.list().flatMap((image) => this.blobsOf(image)));
  }

  /** The layers that images need. */
  usedLayers(): ReadonlySet<ChainId> {
    return new Set(this.list().flatMap((image) => image.chainIds));
  }

  #findByReference(key: string): StoredImage | undefined {
    try {
      const id = this.lookup(withDefaultTag(parseReference(key)));
      return id === undefined ? undefined : this.#images.get(id);
    } catch {
      return undefined; // no reference: it may be an id
    }
  }

  #readImages(repairs: string[]): void {
    for (const name of readdirSync(this.#directory)) {
      const id = `sha256:${name.replace(/\.json$/, "")}`;
      if (!isDigest(id)) continue;
      try {
        const record = JSON.parse(readFileSync(join(this.#directory, name), "utf8")) as ImageRecord;
        const image = this.#complete({ ...record, id });
        for (const digest of this.blobsOf(image)) this.#content.size(digest);
        this.#images.set(id, image);
      } catch (error) {
        repairs.push(`image ${id} can't be used and was left out: ${messageOf(error)}`);
      }
    }
  }

  #readReferences(repairs: string[]): void {
    let text: string;
    try {
      text = readFileSync(join(this.#directory, referencesFile), "utf8");
    } catch {
      return; // none yet
    }
    const names = JSON.parse(text) as Record<string, Digest>;
    for (const [name, id] of Object.entries(names)) {
      if (this.#images.has(id)) this.#references.set(name, id);
      else repairs.push(`the name ${name} was dropped: its image ${id} isn't there`);
    }
  }

  #complete(record: ImageRecord): StoredImage {
    const bytes = readFileSync(this.#content.path(record.id));
    const config = parseImageConfig(bytes, `config of image ${record.id}`);
    return { ...record, config, chainIds: chainIds(config.rootfs.diff_ids) };
  }

  #path(id: Digest): string {
    return join(this.#directory, `${hexOf(id)}.json`);
  }

  /** One change at a time: each writes a whole file from what is in memory. */
  async #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work, work);
    this.#last = turn.catch(() => undefined);
    return await turn;
  }
}

/** A key as Docker shows it in errors: `debian:latest` for `debian`. */
function shown(key: string): string {
  try {
    return familiarReference(withDefaultTag(parseReference(key)));
  } catch {
    return key;
  }
}
