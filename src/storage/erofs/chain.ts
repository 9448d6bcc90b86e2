import { createHash } from "node:crypto";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { OnggiError } from "../../base/error.ts";
import { type ImageSummary, layerFile, type MergedIndex, readLayer, readMerged, writeMerged } from "./layer-files.ts";
import { unmark } from "./marks.ts";
import { mergeLayer, withoutIdleDevices } from "./merge.ts";
import { readImage } from "./read-image.ts";
import type { Tree } from "./tree.ts";

/** One image that shows a layer and all below it. */
export interface ChainImage {
  readonly path: string;
  /** The files that it points into, in its order. */
  readonly devices: readonly string[];
  readonly root: ImageSummary["root"];
}

/**
 * The images of stacks of layers, each made once: of a lowest layer its own, of others one that is merged and lies beside.
 *
 * A merged image can always be made again, so that what a power cut took of it is no loss.
 */
export class Chains {
  readonly #directory: string;
  readonly #known = new Map<string, ChainImage>();
  readonly #waiting = new Map<string, NodeJS.Timeout>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * The image of `ids`, nearest first, made where it isn't there: 50,000 files take some tenths of a second.
   *
   * @throws OnggiError `corrupt` when a layer's image is damaged
   */
  imageOf(ids: readonly string[]): ChainImage {
    const [nearest = ""] = ids;
    const known = this.#known.get(nearest) ?? this.#find(ids);
    this.#known.set(nearest, known);
    return known;
  }

  /** Has the image made soon, unless a layer comes on top meanwhile: then nobody may ever ask for it. */
  soon(ids: readonly string[], whenIdleMs = 100): void {
    const [nearest = "", below = ""] = ids;
    this.#cancel(below);
    const timer = setTimeout(() => {
      this.#waiting.delete(nearest);
      try {
        this.imageOf(ids);
      } catch {
        // Who wants to use it is told.
      }
    }, whenIdleMs);
    timer.unref();
    this.#waiting.set(nearest, timer);
  }

  forget(id: string): void {
    this.#cancel(id);
    this.#known.delete(id);
  }

  close(): void {
    for (const id of [...this.#waiting.keys()]) this.#cancel(id);
  }

  #cancel(id: string): void {
    clearTimeout(this.#waiting.get(id));
    this.#waiting.delete(id);
  }

  #find(ids: readonly string[]): ChainImage {
    const [nearest = ""] = ids;
    const folder = join(this.#directory, nearest);
    if (ids.length === 1) {
      const { image, devices } = readLayer(folder);
      return {
        path: join(folder, layerFile.image),
        devices: devices.map(({ file }) => join(folder, file)),
        root: image.root,
      };
    }
    const merged = readMerged(folder) ?? this.#merge(ids);
    return {
      path: join(folder, layerFile.merged),
      devices: merged.devices.map((path) => join(this.#directory, path)),
      root: merged.image.root,
    };
  }

  /** Lays the layers over the nearest image below that is there already. */
  #merge(ids: readonly string[]): MergedIndex {
    const [nearest = ""] = ids;
    const above: string[] = [];
    let base: { readonly tree: Tree; readonly devices: readonly string[] } | undefined;
    for (const [index, id] of ids.entries()) {
      base = index === ids.length - 1 ? this.#readLayer(id) : this.#readMerged(id);
      if (base !== undefined) break;
      above.push(id);
    }
    if (base === undefined) throw new TypeError("a chain has a lowest layer");
    let { tree } = base;
    const devices = [...base.devices];
    for (const id of above.reverse()) {
      const layer = this.#readLayer(id);
      unmark(layer.tree.root);
      tree = mergeLayer(tree, layer.tree);
      devices.push(...layer.devices);
    }
    const { tree: lean, used } = withoutIdleDevices(tree);
    return writeMerged(
      join(this.#directory, nearest),
      lean,
      used.flatMap((index) => devices[index] ?? []),
    );
  }

  #readLayer(id: string): { readonly tree: Tree; readonly devices: readonly string[] } {
    const folder = join(this.#directory, id);
    const { image, devices } = readLayer(folder);
    const tree = readImage(readChecked(join(folder, layerFile.image), image));
    return { tree, devices: devices.map(({ file }) => join(id, file)) };
  }

  #readMerged(id: string): { readonly tree: Tree; readonly devices: readonly string[] } | undefined {
    const folder = join(this.#directory, id);
    const merged = readMerged(folder);
    if (merged === undefined) return undefined;
    const path = join(folder, layerFile.merged);
    const image = readFileSync(path);
    if (digestOf(image) === merged.image.sha256) return { tree: readImage(image), devices: merged.devices };
    // It is made again when somebody asks for it. Who has it mounted keeps it.
    rmSync(join(folder, layerFile.mergedIndex));
    rmSync(path);
    this.#known.delete(id);
    return undefined;
  }
}

function readChecked(path: string, { sha256 }: ImageSummary): Buffer {
  const image = readFileSync(path);
  if (digestOf(image) === sha256) return image;
  throw new OnggiError("corrupt", `the layer image ${path} is damaged`, {
    hint: "Remove the image and load or pull it again; onggi system check names what else is damaged.",
  });
}

function digestOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
