import { OnggiError } from "../base/error.ts";
import { type Digest, digestOf, hexOf } from "../oci/digest.ts";
import { mediaTypes } from "../oci/manifest.ts";
import {
  familiarName,
  familiarReference,
  fullName,
  fullReference,
  parseReference,
  type Reference,
} from "../oci/reference.ts";
import type { ContentStore } from "./content-store.ts";
import { blobPath } from "./docker-archive.ts";
import type { ImageStore, StoredImage } from "./image-store.ts";
import { tarEntry } from "./tar-entry.ts";
import { encodeTarHeader, tarEnd, tarPadding } from "./tar-writer.ts";

interface Chosen {
  readonly image: StoredImage;
  readonly names: readonly Reference[];
}

/**
 * One archive of some images that is an OCI layout and a docker archive at once; the same images give the same bytes.
 *
 * A reference keeps its tag, a bare name all its tags, an id none.
 *
 * @throws OnggiError `not_found` before the first byte
 */
export async function* saveArchive(
  content: ContentStore,
  store: ImageStore,
  keys: readonly string[],
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const chosen = choose(store, keys);
  const blobs = new Set(
    chosen.flatMap(({ image }) => [image.manifest, image.id, ...image.layers.map(({ digest }) => digest)]),
  );
  const releases = [...blobs].map((digest) => content.hold(digest));
  try {
    yield encodeTarHeader(tarEntry({ type: "directory", path: "blobs" }));
    yield encodeTarHeader(tarEntry({ type: "directory", path: "blobs/sha256" }));
    for (const digest of [...blobs].sort()) {
      const size = content.size(digest);
      yield encodeTarHeader(tarEntry({ type: "file", path: blobPath(digest), size }));
      for await (const chunk of content.stream(digest)) {
        signal?.throwIfAborted();
        yield chunk;
      }
      yield tarPadding(size);
    }
    yield* smallFile("index.json", layoutIndex(content, chosen));
    yield* smallFile("manifest.json", chosen.map(dockerItem));
    yield* smallFile("oci-layout", { imageLayoutVersion: "1.0.0" });
    const repositories = repositoriesOf(chosen);
    if (Object.keys(repositories).length > 0) yield* smallFile("repositories", repositories);
    yield tarEnd();
  } finally {
    for (const release of releases) release();
  }
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

function layoutIndex(content: ContentStore, chosen: readonly Chosen[]): object {
  const manifests = chosen.flatMap(({ image, names }) => {
    const descriptor = {
      mediaType: image.manifestType,
      digest: image.manifest,
      size: content.size(image.manifest),
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

function dockerItem({ image, names }: Chosen): object {
  return {
    Config: blobPath(image.id),
    RepoTags: names.length === 0 ? null : names.map(familiarReference),
    Layers: image.layers.map(({ digest }) => blobPath(digest)),
  };
}

function repositoriesOf(chosen: readonly Chosen[]): Record<string, Record<string, string>> {
  const repositories: Record<string, Record<string, string>> = {};
  for (const { image, names } of chosen) {
    const top = image.layers.at(-1);
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
