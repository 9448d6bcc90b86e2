import type { ImageConfig } from "../oci/manifest.ts";
import { familiarReference, type Reference } from "../oci/reference.ts";
import type { StoredImage } from "./image-store.ts";

/** An image as it is told of: a snapshot of what is known, never live. */
export interface ImageInfo {
  /** `sha256:…` of the config. */
  readonly id: string;
  /** Tags as Docker shows them. */
  readonly references: readonly string[];
  /** `name@sha256:…` of what was pulled or pushed. */
  readonly repoDigests: readonly string[];
  readonly createdAtMs: number;
  readonly sizeBytes: number;
  readonly architecture: string;
  readonly variant: string;
  readonly os: string;
  readonly author: string;
  readonly config: ImageConfig;
  /** diffIDs, lowest first. */
  readonly layers: readonly string[];
  readonly history: readonly ImageHistoryEntry[];
  readonly labels: Readonly<Record<string, string>>;
  readonly containers: number;
}

export interface ImageHistoryEntry {
  readonly createdAtMs: number;
  readonly createdBy: string;
  readonly author: string;
  readonly comment: string;
  readonly emptyLayer: boolean;
  readonly sizeBytes: number;
}

/** One line of progress: Docker's jsonmessage, in its own field names. */
export interface Progress {
  readonly id?: string;
  readonly status: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
  readonly aux?: object;
  readonly stream?: string;
}

/** A container that uses an image, or a snapshot of one. */
export interface ImageUser {
  readonly id: string;
  readonly running: boolean;
  /** `CONTAINER@NAME` of a snapshot. */
  readonly snapshot?: string;
}

export function imageInfo(image: StoredImage, references: readonly Reference[], containers: number): ImageInfo {
  const { config } = image;
  const tags = references.filter(({ digest }) => digest === undefined);
  const digests = references.filter(({ digest }) => digest !== undefined);
  return {
    id: image.id,
    references: tags.map(familiarReference),
    repoDigests: digests.map(familiarReference),
    createdAtMs: timeMs(config.created),
    sizeBytes: image.layers.reduce((sum, { contentBytes }) => sum + contentBytes, 0),
    architecture: config.architecture,
    variant: config.variant ?? "",
    os: config.os,
    author: config.author ?? "",
    config: config.config ?? {},
    layers: config.rootfs.diff_ids,
    history: imageHistory(image),
    labels: config.config?.Labels ?? {},
    containers,
  };
}

/** The steps an image was made in, with the size of the layer that each of them left. */
function imageHistory({ config, layers }: StoredImage): ImageHistoryEntry[] {
  const sizes = layers.map(({ contentBytes }) => contentBytes);
  let next = 0;
  return (config.history ?? []).map((entry) => ({
    createdAtMs: timeMs(entry.created),
    createdBy: entry.created_by ?? "",
    author: entry.author ?? "",
    comment: entry.comment ?? "",
    emptyLayer: entry.empty_layer ?? false,
    sizeBytes: entry.empty_layer ? 0 : (sizes[next++] ?? 0),
  }));
}

function timeMs(text: string | undefined): number {
  const time = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(time) ? 0 : time;
}
