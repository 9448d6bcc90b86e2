import { Readable } from "node:stream";
import { OnggiError } from "../base/error.ts";
import { type Digest, digestOf, hexOf, parseDigest } from "../oci/digest.ts";
import { type Descriptor, mediaTypes } from "../oci/manifest.ts";
import {
  familiarName,
  familiarReference,
  fullName,
  fullReference,
  parseReference,
  type Reference,
} from "../oci/reference.ts";
import { blobPath, encodeManifest } from "./docker-archive.ts";
import type { ImageStore, StoredImage } from "./image-store.ts";
import { layersOf } from "./layer-source.ts";
import { type ImageParts, manifestIn } from "./register.ts";
import { tarEntry } from "./tar-entry.ts";
import { encodeTarHeader, tarEnd, tarPadding } from "./tar-writer.ts";

interface Chosen {
  readonly image: StoredImage;
  readonly names: readonly Reference[];
}

/** A blob of the archive. */
interface SavedBlob {
  readonly digest: Digest;
  readonly size: number;
  readonly stream: () => AsyncIterable<Uint8Array>;
}

/** An image as it is written: under its own manifest, or one that says which layers are plain here. */
interface SavedImage extends Chosen {
  readonly manifest: SavedBlob;
  readonly config: SavedBlob;
  readonly layers: readonly SavedBlob[];
}

/**
 * One archive of some images that is an OCI layout and a docker archive at once; the same images give the same bytes.
 *
 * A reference keeps its tag, a bare name all its tags, an id none. A layer whose blob isn't kept is written as its plain tar, made again and
 * compared with its digest on the way.
 *
 * @throws OnggiError `not_found` before the first byte; `corrupt` when a layer isn't what it was
 */
export async function* saveArchive(
  parts: ImageParts,
  keys: readonly string[],
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const { content, store, layers } = parts;
  const chosen = choose(store, keys);
  const releases = chosen.flatMap(({ image }) => [
    layers.hold(image.chainIds),
    ...store.blobsOf(image).map((digest) => content.hold(digest)),
  ]);
  try {
    const saved: SavedImage[] = [];
    for (const one of chosen) saved.push(await savedImage(parts, one));
    const blobs = new Map(
      saved.flatMap(({ manifest, config, layers: own }) => [manifest, config, ...own]).map((one) => [one.digest, one]),
    );
    yield encodeTarHeader(tarEntry({ type: "directory", path: "blobs" }));
    yield encodeTarHeader(tarEntry({ type: "directory", path: "blobs/sha256" }));
    for (const [digest, { size, stream }] of [...blobs].sort(([a], [b]) => (a < b ? -1 : 1))) {
      yield encodeTarHeader(tarEntry({ type: "file", path: blobPath(digest), size }));
      for await (const chunk of stream()) {
        signal?.throwIfAborted();
        yield chunk;
      }
      yield tarPadding(size);
    }
    yield* smallFile("index.json", layoutIndex(saved));
    yield* smallFile("manifest.json", saved.map(dockerItem));
    yield* smallFile("oci-layout", { imageLayoutVersion: "1.0.0" });
    const repositories = repositoriesOf(saved);
    if (Object.keys(repositories).length > 0) yield* smallFile("repositories", repositories);
    yield tarEnd();
  } finally {
    for (const release of releases) release();
  }
}

async function savedImage({ content, layers }: ImageParts, { image, names }: Chosen): Promise<SavedImage> {
  const stored = (digest: Digest): SavedBlob => ({
    digest,
    size: content.size(digest),
    stream: () => content.stream(digest),
  });
  const saved: SavedBlob[] = [];
  const described: Descriptor[] = [];
  for (const [index, layer] of layersOf(image).entries()) {
    const record = image.layers[index];
    if (record === undefined) continue;
    const { digest, mediaType } = record;
    const plainBytes = layers.plainBytes(layer.chainId);
    const isPlain = !content.has(digest) && plainBytes !== undefined;
    const blob = isPlain
      ? { digest: parseDigest(layer.diffId), size: plainBytes, stream: () => layers.tar(layer) }
      : stored(digest);
    saved.push(blob);
    described.push({ mediaType: isPlain ? mediaTypes.layer : mediaType, digest: blob.digest, size: blob.size });
  }
  const config = stored(image.id);
  if (saved.every(({ digest }, index) => digest === image.layers[index]?.digest)) {
    return { image, names, config, layers: saved, manifest: stored(image.manifest) };
  }
  const original = manifestIn(await content.read(image.manifest), image.manifest);
  const bytes = Buffer.from(encodeManifest({ ...original.config, mediaType: mediaTypes.config }, described));
  const manifest = { digest: digestOf(bytes), size: bytes.length, stream: () => Readable.from([bytes]) };
  return { image, names, config, layers: saved, manifest };
}

/** Which images the keys mean, each once, with the names that go along. */
function choose(store: ImageStore, keys: readonly string[]): Chosen[] {
  const chosen = new Map<Digest, { image: StoredImage; names: Map<string, Reference> }>();
  const add = (image: StoredImage, reference?: Reference) => {
    const entry = chosen.get(image.id) ?? { image, names: new Map<string, Reference>() };
    chosen.set(image.id, entry);
    if (reference?.tag !== undefined && reference.digest === undefined)
      entry.names.set(fullReference(reference), reference);
  };
  for (const key of keys) {
    const reference = asReference(key);
    const tags = reference === undefined ? [] : tagsOf(store, reference);
    for (const [name, image] of tags) add(image, name);
    if (tags.length === 0)
      add(store.find(key), reference !== undefined && store.lookup(reference) ? reference : undefined);
  }
  if (chosen.size === 0) throw new OnggiError("invalid", "no image was named to save");
  return [...chosen.values()].map(({ image, names }) => ({ image, names: [...names.values()] }));
}

/** A bare name means all its tags. */
function tagsOf(store: ImageStore, reference: Reference): [Reference, StoredImage][] {
  if (reference.tag !== undefined || reference.digest !== undefined) return [];
  return [...store.allReferences()].flatMap(([name, id]) => {
    const one = parseReference(name);
    const image = store.get(id);
    const isTag = one.tag !== undefined && one.digest === undefined && fullName(one) === fullName(reference);
    return isTag && image !== undefined ? [[one, image] as [Reference, StoredImage]] : [];
  });
}

function layoutIndex(saved: readonly SavedImage[]): object {
  const manifests = saved.flatMap(({ image, names, manifest }) => {
    const isOwn = manifest.digest === image.manifest;
    const descriptor = {
      mediaType: isOwn ? image.manifestType : mediaTypes.manifest,
      digest: manifest.digest,
      size: manifest.size,
    };
    if (names.length === 0) return [descriptor];
    return names.map((name) => ({
      ...descriptor,
      annotations: {
        "io.containerd.image.name": fullReference(name),
        "org.opencontainers.image.ref.name": name.tag ?? "",
      },
    }));
  });
  return { schemaVersion: 2, mediaType: mediaTypes.index, manifests };
}

function dockerItem({ image, names, layers }: SavedImage): object {
  return {
    Config: blobPath(image.id),
    RepoTags: names.length === 0 ? null : names.map(familiarReference),
    Layers: layers.map(({ digest }) => blobPath(digest)),
  };
}

function repositoriesOf(saved: readonly SavedImage[]): Record<string, Record<string, string>> {
  const repositories: Record<string, Record<string, string>> = {};
  for (const { names, layers } of saved) {
    const top = layers.at(-1);
    for (const name of names) {
      const tags = repositories[familiarName(name)] ?? {};
      tags[name.tag ?? ""] = hexOf(top?.digest ?? digestOf(""));
      repositories[familiarName(name)] = tags;
    }
  }
  return repositories;
}

function* smallFile(path: string, value: object): Generator<Uint8Array> {
  const bytes = Buffer.from(JSON.stringify(value));
  yield encodeTarHeader(tarEntry({ type: "file", path, size: bytes.length }));
  yield bytes;
  yield tarPadding(bytes.length);
}

function asReference(key: string): Reference | undefined {
  try {
    return parseReference(key);
  } catch {
    return undefined; // an id
  }
}
