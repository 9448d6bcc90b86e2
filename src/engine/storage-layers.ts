import { OnggiError } from "../base/error.ts";
import type { SnapshotInfo } from "../storage/snapshotter.ts";
import type { Amount } from "./model.ts";
import type { ImageSharing, LayerTree, LayerUse } from "./storage-face.ts";

export interface ImageOfLayers {
  readonly id: string;
  /** References, or none. */
  readonly names: readonly string[];
  /** Lowest first. */
  readonly chainIds: readonly string[];
  readonly diffIds: readonly string[];
}

export interface LayerWorld {
  readonly snapshots: readonly SnapshotInfo[];
  readonly images: readonly ImageOfLayers[];
  /** By id. */
  readonly containers: ReadonlyMap<string, { readonly name: string; readonly status: string }>;
  readonly sizes: ReadonlyMap<string, Amount>;
  /** For people: of committed trees that are no layers. */
  nameOf(id: string): string;
}

/** What images share: of layers with the same parents, by the bytes of their files. */
export function imageSharing(
  images: readonly (Pick<ImageOfLayers, "id" | "chainIds"> & { readonly contentBytes: readonly number[] })[],
): ImageSharing {
  const users = new Map<string, number>();
  const bytes = new Map<string, number>();
  for (const { chainIds, contentBytes } of images) {
    chainIds.forEach((chainId, index) => {
      users.set(chainId, (users.get(chainId) ?? 0) + 1);
      bytes.set(chainId, contentBytes[index] ?? 0);
    });
  }
  const shared = ({ chainIds }: Pick<ImageOfLayers, "chainIds">) =>
    sum(chainIds.filter((chainId) => (users.get(chainId) ?? 0) > 1).map((chainId) => bytes.get(chainId) ?? 0));
  return {
    layersBytes: sum([...bytes.values()]),
    sharedBytes: new Map(images.map((image) => [image.id, shared(image)])),
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

const nothing: Amount = { bytes: 0, inodes: 0 };

/** Each committed tree once, with all that stands on it. */
export function layerUses(world: LayerWorld): readonly LayerUse[] {
  const parents = new Map(world.snapshots.map(({ id, parent }) => [id, parent]));
  const layers = layerIds(world);
  const uses = new Map(
    world.snapshots
      .filter(({ kind }) => kind === "committed")
      .map(({ id }) => [id, { images: [] as string[], containers: [] as string[], snapshots: [] as string[] }]),
  );
  for (const image of world.images) {
    for (const chainId of image.chainIds) uses.get(chainId)?.images.push(...shownNames(image));
  }
  for (const { id, kind } of world.snapshots) {
    const container = world.containers.get(id);
    const isSnapshot = kind === "committed" && !layers.has(id);
    if (container === undefined && !isSnapshot) continue;
    for (let below = parents.get(id); below !== undefined; below = parents.get(below)) {
      if (container !== undefined) uses.get(below)?.containers.push(container.name);
      else uses.get(below)?.snapshots.push(world.nameOf(id));
    }
  }
  return [...uses].map(([id, held]) => ({
    id,
    kind: layers.has(id) ? "layer" : "snapshot",
    parent: parents.get(id),
    ...(world.sizes.get(id) ?? nothing),
    ...held,
  }));
}

/**
 * The tree of what stands on a layer; of an image, on its lowest layer.
 *
 * @throws OnggiError `not_found`, `invalid`
 */
export function whyTree(world: LayerWorld, key: string): LayerTree {
  const children = Map.groupBy(world.snapshots, ({ parent }) => parent);
  const layers = layerIds(world);
  const grow = (snapshot: SnapshotInfo): LayerTree => {
    const { id, kind } = snapshot;
    const container = world.containers.get(id);
    const isLayer = kind === "committed" && layers.has(id);
    const common = {
      id,
      ...(world.sizes.get(id) ?? nothing),
      images: world.images.filter(({ chainIds }) => chainIds.at(-1) === id).flatMap(shownNames),
      children: (children.get(id) ?? []).map(grow),
    };
    if (container !== undefined)
      return { ...common, kind: "container", name: `${container.name} (${container.status})` };
    if (kind !== "committed") return { ...common, kind: "other", name: id };
    return { ...common, kind: isLayer ? "layer" : "snapshot", name: isLayer ? id : world.nameOf(id) };
  };
  return grow(findLayer(world, key));
}

function findLayer(world: LayerWorld, key: string): SnapshotInfo {
  const byId = new Map(world.snapshots.map((snapshot) => [snapshot.id, snapshot]));
  const image = world.images.find(({ id, names }) => names.includes(key) || id === key);
  const lowest = image?.chainIds[0] ?? "";
  const found = byId.get(lowest);
  if (found !== undefined) return found;
  if (image !== undefined) throw new OnggiError("not_found", `image ${key} has no layers`);
  const matches = new Set(
    world.snapshots.filter(({ id, kind }) => kind === "committed" && isPrefix(id, key)).map(({ id }) => id),
  );
  for (const { chainIds, diffIds } of world.images) {
    diffIds.forEach((diffId, index) => {
      if (isPrefix(diffId, key)) matches.add(chainIds[index] ?? "");
    });
  }
  const [first, second] = matches;
  if (second !== undefined) {
    throw new OnggiError("invalid", `layer "${key}" is ambiguous: ${matches.size} layers begin so`, {
      hint: "Give more digits; onggi system df -v lists all layers.",
    });
  }
  const layer = byId.get(first ?? "");
  if (layer !== undefined) return layer;
  throw new OnggiError("not_found", `No such image or layer: ${key}`, { hint: "onggi system df -v lists all layers." });
}

function layerIds({ images }: LayerWorld): ReadonlySet<string> {
  return new Set(images.flatMap(({ chainIds }) => chainIds));
}

function shownNames({ id, names }: ImageOfLayers): readonly string[] {
  return names.length > 0 ? names : [id];
}

function isPrefix(id: string, key: string): boolean {
  return key !== "" && (id.startsWith(key) || id.replace(/^sha256:/, "").startsWith(key));
}
