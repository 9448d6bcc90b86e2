import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { OnggiError } from "../base/error.ts";
import { type ChainId, type Digest, isDigest, parseChainId } from "../oci/digest.ts";
import { type ImageConfig, type ImageConfigFile, mediaTypes } from "../oci/manifest.ts";
import { type Platform, parsePlatform, platformOf } from "../oci/platform.ts";
import { familiarReference, fullReference, parseReference, type Reference, withDefaultTag } from "../oci/reference.ts";
import type { ArchiveFile } from "./archive-files.ts";
import { checkImages, type ImageProblem } from "./check.ts";
import { type CommitOptions, commitImage } from "./commit.ts";
import { type Blob, ContentStore } from "./content-store.ts";
import { encodeManifest } from "./docker-archive.ts";
import { defaultPrograms, hostImage } from "./from-host.ts";
import { type ImageInfo, type ImageUser, imageInfo, type Progress } from "./image-info.ts";
import { ImageStore, type StoredImage } from "./image-store.ts";
import { LayerRecords } from "./layer-records.ts";
import type { LayerSink } from "./layer-sink.ts";
import { layersOf } from "./layer-source.ts";
import { Layers } from "./layers.ts";
import { loadArchive } from "./load.ts";
import { isLoopback } from "./loopback.ts";
import { copyLayers, type LayerTarget, unpackTree } from "./migrate.ts";
import { type Report, reporting } from "./progress.ts";
import { pullImage } from "./pull.ts";
import { pushImage } from "./push.ts";
import { deleteUnused, type ImageParts, register } from "./register.ts";
import type { RegistryLogin } from "./registry-auth.ts";
import { Registry } from "./registry-client.ts";
import { deleteImage, type Removed, removeImage } from "./remove.ts";
import { saveArchive } from "./save.ts";
import { defaultLimits, type UnpackLimits } from "./unpack-limits.ts";

export interface ImagesOptions {
  /** Folder of `blobs/` and `images/`. */
  readonly root: string;
  readonly sink: LayerSink;
  /** The containers that were made from an image. */
  readonly usedBy: (imageId: string) => readonly ImageUser[];
  /** What images must be built for; the host's own unless said. */
  readonly platform?: Platform;
  /** Registries (`host[:port]`) whose certificates aren't checked and that may speak plain HTTP; loopback is one of them. */
  readonly insecureRegistries?: readonly string[];
  /** Keeps the blobs of layers beside what is unpacked of them; by default they are made again when they are needed. */
  readonly keepBlobs?: boolean;
  /** What an image may ask for at most, where it differs from the defaults. */
  readonly limits?: Partial<UnpackLimits>;
  /** Waits between tries of a registry that doesn't answer. */
  readonly retryDelaysMs?: readonly number[];
  /** Docker's words: pull, push, load, tag, untag, delete, save. */
  readonly onEvent?: (action: ImageAction, imageId: string, name: string) => void;
}

export type ImageAction = "pull" | "push" | "load" | "save" | "tag" | "untag" | "delete";

/** An image as a stack of layers. */
export interface LayeredImage {
  readonly id: Digest;
  /** References as Docker shows them. */
  readonly names: readonly string[];
  readonly chainIds: readonly ChainId[];
  readonly diffIds: readonly string[];
  readonly contentBytes: readonly number[];
}

/** An image as a container is made from it. */
export interface ResolvedImage {
  readonly id: Digest;
  /** What the user typed, as Docker shows it. */
  readonly reference: string;
  readonly config: ImageConfig;
  readonly file: ImageConfigFile;
  /** The layers, lowest first, all unpacked. */
  readonly chainIds: readonly ChainId[];
}

/**
 * Opens the images under a data root: sweeps what a crash left, and says so in `repairs`.
 *
 * One process at a time may have them open; the engine's lock sees to that.
 */
export async function openImages(options: ImagesOptions): Promise<Images> {
  await mkdir(options.root, { recursive: true, mode: 0o711 });
  const content = await ContentStore.open(join(options.root, "blobs"));
  const { sink, keepBlobs = false } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const records = await LayerRecords.open(join(options.root, "layers"), await sink.list());
  const layers = new Layers({ sink, content, records, limits, keepBlobs });
  const needsBlob = (chainId: ChainId, digest: Digest) => layers.needsBlob(chainId, digest);
  const store = await ImageStore.open(join(options.root, "images"), content, needsBlob);
  const parts = { content, store, layers, limits };
  const repairs = [...store.repairs];
  // An image that couldn't be read keeps its blobs and layers: what can be mended by hand isn't thrown away.
  if (store.repairs.length > 0) return new Images(parts, options, repairs);
  deleteUnused(parts, content.list());
  const removed = await layers.sweep((chainId) => store.usedLayers().has(chainId));
  if (removed > 0) repairs.push(`removed ${removed} layers that no image needs`);
  return new Images(parts, options, repairs);
}

/** All that is done with images; the engine's `images` is this. */
export class Images {
  readonly #parts: ImageParts;
  readonly #options: ImagesOptions;
  readonly #platform: Platform;
  readonly repairs: readonly string[];

  constructor(parts: ImageParts, options: ImagesOptions, repairs: readonly string[]) {
    this.#parts = parts;
    this.#options = options;
    this.#platform = options.platform ?? platformOf(process.arch);
    this.repairs = repairs;
  }

  /** By reference, id, or unambiguous prefix of an id. @throws OnggiError `not_found` */
  async get(key: string): Promise<ImageInfo> {
    return this.#info(this.#parts.store.find(key));
  }

  async list(): Promise<readonly ImageInfo[]> {
    const images = this.#parts.store.list().map((image) => this.#info(image));
    return images.sort((a, b) => b.createdAtMs - a.createdAtMs || (a.id < b.id ? -1 : 1));
  }

  /**
   * The image that a container is to be made from, its layers unpacked (again, should the storage have lost them).
   *
   * @throws OnggiError `not_found`
   */
  async resolve(key: string): Promise<ResolvedImage> {
    const image = this.#parts.store.find(key);
    for (const layer of layersOf(image)) await this.#parts.layers.restore(layer);
    const { id, config, chainIds } = image;
    return { id, reference: shownReference(key), config: config.config ?? {}, file: config, chainIds };
  }

  /** Progress comes in Docker's words. */
  pull(
    reference: string,
    options: { readonly platform?: string; readonly login?: RegistryLogin; readonly signal?: AbortSignal } = {},
  ): AsyncIterable<Progress> {
    return reporting(async (report, signal) => {
      const name = withDefaultTag(parseReference(reference));
      const platform = options.platform ? parsePlatform(options.platform, this.#platform) : this.#platform;
      const image = await pullImage(this.#parts, this.#registry(name, options.login, signal), name, report, {
        platform,
        signal,
      });
      this.#event("pull", image.id, familiarReference(name));
    }, options.signal);
  }

  /** Progress comes in Docker's words. */
  push(
    reference: string,
    options: { readonly login?: RegistryLogin; readonly signal?: AbortSignal } = {},
  ): AsyncIterable<Progress> {
    return reporting(async (report, signal) => {
      const name = withDefaultTag(parseReference(reference));
      const image = await pushImage(this.#parts, this.#registry(name, options.login, signal), name, report, signal);
      this.#event("push", image.id, familiarReference(name));
    }, options.signal);
  }

  /** @param archive - its bytes, or a file, which is read where it lies */
  load(
    archive: AsyncIterable<Uint8Array> | ArchiveFile,
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncIterable<Progress> {
    const onLoaded = (image: StoredImage, name: string) => this.#event("load", image.id, name);
    return reporting(
      (report, signal) => loadArchive(this.#parts, archive, report, { platform: this.#platform, signal, onLoaded }),
      options.signal,
    );
  }

  save(keys: readonly string[], options: { readonly signal?: AbortSignal } = {}): AsyncIterable<Uint8Array> {
    for (const key of keys) this.#event("save", this.#idOrNothing(key), key);
    return saveArchive(this.#parts, keys, options.signal);
  }

  /** @throws OnggiError `not_found`, `invalid` */
  async tag(key: string, reference: string): Promise<void> {
    const image = this.#parts.store.find(key);
    const name = nameToGive(reference);
    await this.#parts.store.setReferences(new Map([[fullReference(name), image.id]]));
    this.#event("tag", image.id, familiarReference(name));
  }

  /** What was untagged and deleted, in Docker's order. @throws OnggiError `not_found`, `in_use` */
  async remove(
    key: string,
    options: { readonly force?: boolean; readonly prune?: boolean } = {},
  ): Promise<readonly Removed[]> {
    return await removeImage(this.#parts, key, {
      ...(options.force === undefined ? {} : { force: options.force }),
      usedBy: this.#options.usedBy,
      onUntag: (image, name) => this.#event("untag", image.id, name),
      onDelete: (image) => this.#event("delete", image.id, image.id),
    });
  }

  /** Removes nameless images, or with `all` every one that no container uses. */
  async prune(options: {
    readonly all: boolean;
    readonly accept?: (info: ImageInfo) => boolean;
  }): Promise<{ readonly deleted: readonly string[]; readonly bytes: number; readonly removed: readonly Removed[] }> {
    const removed: Removed[] = [];
    let bytes = 0;
    for (const image of this.#parts.store.list()) {
      const info = this.#info(image);
      const names = this.#parts.store.references(image.id);
      const isNameless = names.every(({ digest }) => digest !== undefined);
      const isUsed = this.#options.usedBy(image.id).length > 0;
      if (isUsed || !(options.all || isNameless) || options.accept?.(info) === false) continue;
      await this.#parts.store.setReferences(new Map(names.map((name) => [fullReference(name), undefined])));
      removed.push(...names.map((name) => ({ untagged: familiarReference(name) })));
      const gone = await deleteImage(this.#parts, image);
      removed.push(...gone);
      this.#event("delete", image.id, image.id);
      bytes += bytesOf(image, gone);
    }
    return { deleted: removed.flatMap((one) => ("deleted" in one ? [one.deleted] : [])), bytes, removed };
  }

  /** Which layers each image is made of, lowest first, and what bytes of files each brings. */
  layered(): readonly LayeredImage[] {
    const { store } = this.#parts;
    return store.list().map(({ id, chainIds, config, layers }) => ({
      id,
      names: store.references(id).map(familiarReference),
      chainIds,
      diffIds: config.rootfs.diff_ids,
      contentBytes: layers.map(({ contentBytes }) => contentBytes),
    }));
  }

  /** Whether a layer is just being made or used. */
  isHeld(chainId: string): boolean {
    return isDigest(chainId) && this.#parts.layers.isHeld(parseChainId(chainId));
  }

  /** Puts all layers into another storage. */
  copyLayers(target: LayerTarget, onLayer: (layer: { readonly diffId: string }) => void): Promise<void> {
    return copyLayers(this.#parts, target, onLayer);
  }

  /** Hands a tree's tar with whiteouts to a sink, as if it were a layer. */
  unpackTree(target: LayerTarget, tar: AsyncIterable<Uint8Array>): Promise<void> {
    return unpackTree(this.#parts, target, tar);
  }

  /** Looks for blobs that are missing, left over or, with `deep`, damaged. */
  check(options: { readonly deep?: boolean } = {}): AsyncIterable<ImageProblem> {
    return checkImages(this.#parts, options);
  }

  /** Removes layers that no image needs any more: to be called when a container went whose image had gone before it. */
  async collectLayers(): Promise<void> {
    await this.#parts.layers.sweep((chainId) => this.#parts.store.usedLayers().has(chainId));
  }

  /**
   * Makes an image of another one's layers and a new one, for `commit` and `import`, and names it if it is to have a name.
   *
   * @returns its id
   * @throws OnggiError `not_found` for the parent, `invalid` for the name, `corrupt` for a damaged tar, `exhausted`; nothing is left then
   */
  async commit(options: CommitOptions): Promise<string> {
    const name = options.reference === undefined ? undefined : nameToGive(options.reference);
    const image = await commitImage(this.#parts, options, this.#platform, async ({ id }) => {
      if (name !== undefined) await this.#parts.store.setReferences(new Map([[fullReference(name), id]]));
    });
    if (name !== undefined) this.#event("tag", image.id, familiarReference(name));
    return image.id;
  }

  /** Makes an image of the host's own programs; those that are missing are named in the progress. */
  fromHost(options: { readonly reference: string; readonly programs?: readonly string[] }): AsyncIterable<Progress> {
    return reporting((report, signal) => this.#fromHost(options.reference, options.programs ?? [], report, signal));
  }

  async #fromHost(reference: string, programs: readonly string[], report: Report, signal: AbortSignal): Promise<void> {
    const { content, store } = this.#parts;
    const name = nameToGive(reference);
    report({ status: "Looking for programs and what they need" });
    const { tree, config, warnings } = hostImage(programs.length === 0 ? defaultPrograms : programs, this.#platform);
    for (const warning of warnings) report({ status: `Warning: ${warning}` });

    report({ status: "Copying" });
    const held = new Map<Digest, () => void>();
    const keep = (blob: Blob) => {
      held.set(blob.digest, content.hold(blob.digest));
      return blob;
    };
    const layer = keep(await content.ingest(tree.tar()));
    try {
      const file = { ...config, rootfs: { type: "layers", diff_ids: [layer.digest] } };
      const configBlob = keep(await content.put(JSON.stringify(file)));
      const described = { mediaType: mediaTypes.layer, ...layer };
      const manifest = keep(
        await content.put(encodeManifest({ mediaType: mediaTypes.config, ...configBlob }, [described])),
      );

      report({ status: "Unpacking" });
      const image = await register(this.#parts, manifest.digest, { signal });
      await store.setReferences(new Map([[fullReference(name), image.id]]));
      this.#event("tag", image.id, familiarReference(name));
      report({ status: `Made image ${familiarReference(name)}`, aux: { ID: image.id } });
    } finally {
      for (const release of held.values()) release();
      deleteUnused(this.#parts, held.keys());
    }
  }

  /**
   * Asks a registry whether it takes a login.
   *
   * @param server - its name, with or without scheme and path; "" is Docker Hub
   * @throws OnggiError `denied` when it doesn't
   */
  async checkLogin(server: string, login: RegistryLogin, signal: AbortSignal): Promise<void> {
    const host = server.replace(/^https?:\/\//, "").replace(/\/.*$/, "");
    const isHub = host === "" || host === "index.docker.io" || host === "registry-1.docker.io";
    // Any repository: only its registry is asked.
    await this.#registry(parseReference(`${isHub ? "docker.io" : host}/login/check`), login, signal).checkLogin();
  }

  #registry(reference: Reference, login: RegistryLogin | undefined, signal: AbortSignal): Registry {
    const { insecureRegistries = [], retryDelaysMs } = this.#options;
    return new Registry(reference, {
      login,
      insecure: isLoopback(reference.domain) || insecureRegistries.includes(reference.domain),
      signal,
      ...(retryDelaysMs === undefined ? {} : { retryDelaysMs }),
    });
  }

  #info(image: StoredImage): ImageInfo {
    const containers = this.#options.usedBy(image.id).filter(({ snapshot }) => snapshot === undefined);
    return imageInfo(image, this.#parts.store.references(image.id), containers.length);
  }

  #idOrNothing(key: string): string {
    try {
      return this.#parts.store.find(key).id;
    } catch {
      return key; // saving it will say that it isn't there
    }
  }

  #event(action: ImageAction, id: string, name: string): void {
    this.#options.onEvent?.(action, id, name);
  }
}

/** A name that an image may be given: never a digest, which is found, not given. */
function nameToGive(text: string): Reference {
  const reference = withDefaultTag(parseReference(text));
  if (reference.digest !== undefined) {
    throw new OnggiError("invalid", "refusing to create a tag with a digest reference");
  }
  return reference;
}

function shownReference(key: string): string {
  try {
    return familiarReference(parseReference(key));
  } catch {
    return key;
  }
}

/** What a removed image gave back: its own layers, unpacked. */
function bytesOf(image: StoredImage, gone: readonly Removed[]): number {
  const ids = new Set(gone.map((one) => ("deleted" in one ? one.deleted : "")));
  return image.layers.reduce(
    (sum, layer, index) => sum + (ids.has(image.chainIds[index] ?? "") ? layer.contentBytes : 0),
    0,
  );
}
