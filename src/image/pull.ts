import { messageOf, OnggiError } from "../base/error.ts";
import { chainIds, type Digest, shortId } from "../oci/digest.ts";
import { type Descriptor, type Manifest, mediaTypes, parseImageConfig, parseManifestOrIndex } from "../oci/manifest.ts";
import { formatPlatform, isPlatformMatch, type Platform } from "../oci/platform.ts";
import { familiarReference, fullName, fullReference, type Reference } from "../oci/reference.ts";
import { eachWithin } from "./bounded.ts";
import type { ContentStore } from "./content-store.ts";
import type { StoredImage } from "./image-store.ts";
import { type Report, steps } from "./progress.ts";
import { deleteUnused, type ImageParts, register, reportLayers } from "./register.ts";
import type { ReceivedManifest, Registry } from "./registry-client.ts";
import { BrokenConnection } from "./registry-http.ts";

export interface PullOptions {
  readonly platform: Platform;
  readonly signal: AbortSignal;
}

const parallelDownloads = 3;
const imageConfigs: readonly string[] = [mediaTypes.config, mediaTypes.dockerConfig, "application/octet-stream", ""];

/**
 * Pulls an image from its registry. Downloading goes on while lower layers are unpacked.
 *
 * @param reference - with tag or digest
 * @throws OnggiError `not_found`, `denied`, `unavailable`, `corrupt`, or `unsupported` when there is none for the platform;
 *   nothing of it is kept then
 */
export async function pullImage(
  parts: ImageParts,
  registry: Registry,
  reference: Reference,
  report: Report,
  { platform, signal }: PullOptions,
): Promise<StoredImage> {
  const { content } = parts;
  const holds = new Map<Digest, () => void>();
  const hold = (digest: Digest) => {
    if (!holds.has(digest)) holds.set(digest, content.hold(digest));
  };
  try {
    const wanted = reference.digest ?? reference.tag ?? "latest";
    report({ id: wanted, status: `Pulling from ${reference.path}` });
    const top = await registry.manifest(wanted);
    const found = await choose(registry, top, reference, platform);
    const manifest = parseManifest(found);
    checkKind(manifest, reference);
    for (const { digest } of [manifest.config, ...manifest.layers]) hold(digest);

    await download(content, registry, manifest.config, signal);
    await checkPlatform(content, manifest.config, reference, platform);
    const { digest } = await content.put(found.bytes);
    hold(digest);

    const present = await presentLayers(parts, manifest);
    const from = { registry, manifest, digest, repository: fullName(reference), present };
    const image = await pullLayers(parts, from, report, signal);
    const status = await name(parts, image, reference, top.digest);
    report({ status: `Digest: ${top.digest}` });
    report({ status: `Status: ${status} for ${familiarReference(reference)}` });
    return image;
  } finally {
    for (const release of holds.values()) release();
    deleteUnused(parts, holds.keys());
  }
}

/** An index names one manifest a platform; a manifest is what it is. */
async function choose(
  registry: Registry,
  top: ReceivedManifest,
  reference: Reference,
  platform: Platform,
): Promise<ReceivedManifest> {
  const parsed = parseManifestOrIndex(top.bytes, `manifest of ${familiarReference(reference)}`);
  if ("manifest" in parsed) return top;
  const offered = parsed.index.manifests.filter((one) => one.platform === undefined || one.platform.os !== "unknown");
  const matching = offered.filter((one) => one.platform === undefined || isPlatformMatch(one.platform, platform));
  const best = matching.find((one) => (one.platform?.variant ?? "") === (platform.variant ?? "")) ?? matching[0];
  if (best !== undefined) return await choose(registry, await registry.manifest(best.digest), reference, platform);
  const names = [...new Set(offered.map((one) => (one.platform === undefined ? "" : formatPlatform(one.platform))))];
  throw new OnggiError(
    "unsupported",
    `no matching manifest for ${formatPlatform(platform)} in the manifest list entries of ${familiarReference(reference)}`,
    { hint: `It is there for: ${names.join(", ") || "no platform at all"}.` },
  );
}

interface Pulled {
  readonly registry: Registry;
  readonly manifest: Manifest;
  readonly digest: Digest;
  /** `host/path`. */
  readonly repository: string;
  /** Blobs of layers that are there unpacked. */
  readonly present: ReadonlySet<Digest>;
}

/** The blobs of those layers that needn't be fetched, as they are here by what the config says of them. */
async function presentLayers({ content, layers }: ImageParts, manifest: Manifest): Promise<ReadonlySet<Digest>> {
  const id = manifest.config.digest;
  const { rootfs } = parseImageConfig(await content.read(id), `config ${id}`);
  const chain = chainIds(rootfs.diff_ids);
  const needed = new Set<Digest>();
  const present = new Set<Digest>();
  for (const [index, { digest }] of manifest.layers.entries()) {
    const chainId = chain[index];
    const isThere = chainId !== undefined && layers.isRemade(chainId) && !layers.keepsBlobs;
    (isThere ? present : needed).add(digest);
  }
  return present.difference(needed);
}

/** Downloads layers, three at a time, and unpacks each as soon as it and those below it are there. */
async function pullLayers(
  parts: ImageParts,
  { registry, manifest, digest, repository, present }: Pulled,
  report: Report,
  signal: AbortSignal,
): Promise<StoredImage> {
  const { content } = parts;
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  const layers = new Map(manifest.layers.map((layer) => [layer.digest, layer]));
  const absent = new Set([...layers.keys()].filter((layer) => !present.has(layer) && !content.has(layer)));
  for (const layer of layers.keys()) {
    const status = absent.has(layer) ? "Pulling fs layer" : "Already exists";
    report({ id: shortId(layer), status, progressDetail: {} });
  }

  const downloads = eachWithin(parallelDownloads, [...layers.keys()], async (key) => {
    const layer = layers.get(key);
    if (layer !== undefined && absent.has(key)) await downloadLayer(content, registry, layer, report, both);
  });
  const extract = reportLayers(report, "Extracting");
  try {
    return await register(parts, digest, {
      repository,
      signal: both,
      source: async (layer) => {
        await downloads.get(layer.digest);
        // What was there when the pull began may have gone since.
        if (!content.has(layer.digest)) await downloadLayer(content, registry, layer, report, both);
        return { path: content.path(layer.digest), offset: 0, bytes: layer.size, isVerified: true };
      },
      onLayer: (layer, state, bytes) => {
        extract(layer, state, bytes);
        if (state === "done" && absent.has(layer.digest))
          report({ id: shortId(layer.digest), status: "Pull complete", progressDetail: {} });
      },
    });
  } catch (error) {
    stop.abort();
    throw error;
  } finally {
    await downloads.settled();
  }
}

async function downloadLayer(
  content: ContentStore,
  registry: Registry,
  layer: Descriptor,
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  const id = shortId(layer.digest);
  if (content.has(layer.digest)) return;
  await download(content, registry, layer, signal, steps(report, id, "Downloading", layer.size), () =>
    report({ id, status: "Verifying Checksum", progressDetail: {} }),
  );
  report({ id, status: "Download complete", progressDetail: {} });
}

/** Downloads a blob; a connection that breaks is taken up again where it broke. */
async function download(
  content: ContentStore,
  registry: Registry,
  { digest, size }: Descriptor,
  signal: AbortSignal,
  onProgress: (current: number) => void = () => {},
  onVerify: () => void = () => {},
): Promise<void> {
  if (content.has(digest)) return;
  let ingest = await content.begin();
  try {
    for (let attempt = 0, complete = false; !complete; ) {
      const before = ingest.size;
      const { status, body } = await registry.blob(digest, before);
      if (status === 200 && before > 0) {
        await ingest.abort(); // this registry can't go on where it broke off
        ingest = await content.begin();
      }
      try {
        for await (const chunk of body as AsyncIterable<Buffer>) {
          signal.throwIfAborted();
          await ingest.write(chunk);
          if (ingest.size > size) throw new OnggiError("corrupt", `blob ${digest} has more than its ${size} bytes`);
          onProgress(ingest.size);
        }
        complete = true;
      } catch (error) {
        body.destroy();
        signal.throwIfAborted();
        if (error instanceof OnggiError) throw error;
        attempt = ingest.size > before ? 0 : attempt + 1;
        const broken = new BrokenConnection(
          `the registry broke off while sending ${digest}: ${messageOf(error)}`,
          error,
        );
        if (!(await registry.waitToRetry(attempt))) throw broken;
      }
    }
    onVerify();
    await ingest.commit({ digest, size });
  } catch (error) {
    await ingest.abort();
    throw error;
  }
}

/** The tag, and the digest that it stood for. */
async function name({ store }: ImageParts, image: StoredImage, reference: Reference, digest: Digest): Promise<string> {
  const { tag: _tag, ...repository } = reference;
  const names = [fullReference({ ...repository, digest })];
  if (reference.digest === undefined) names.push(fullReference(reference));
  const isKnown = names.every((one) => store.allReferences().get(one) === image.id);
  if (!isKnown) await store.setReferences(new Map(names.map((one) => [one, image.id])));
  return isKnown ? "Image is up to date" : "Downloaded newer image";
}

function parseManifest({ bytes, digest }: ReceivedManifest): Manifest {
  const parsed = parseManifestOrIndex(bytes, `manifest ${digest}`);
  if ("index" in parsed) throw new OnggiError("corrupt", `manifest ${digest} is an index`);
  return parsed.manifest;
}

function checkKind({ config }: Manifest, reference: Reference): void {
  if (imageConfigs.includes(config.mediaType)) return;
  throw new OnggiError("unsupported", `${familiarReference(reference)} is no container image but ${config.mediaType}`);
}

async function checkPlatform(
  content: ContentStore,
  config: Descriptor,
  reference: Reference,
  platform: Platform,
): Promise<void> {
  const { os, architecture, variant } = parseImageConfig(await content.read(config.digest), `config ${config.digest}`);
  const own = { os, architecture, ...(variant === undefined ? {} : { variant }) };
  if (isPlatformMatch(own, platform) || architecture === "") return;
  throw new OnggiError(
    "unsupported",
    `image with reference ${familiarReference(reference)} was found but its platform (${formatPlatform(own)}) ` +
      `does not match the specified platform (${formatPlatform(platform)})`,
    { hint: `Ask for it by --platform ${formatPlatform(own)}; programs of another processor won't run here.` },
  );
}
