import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ChainId } from "../../oci/digest.ts";
import type { ApplyLayer, LayerMaterial, LayerTar, LayerTarEntry } from "../layer-sink.ts";
import { MemorySink, type MemoryTree } from "../memory-sink.ts";

/** Keeps layers in memory and their files in folders, too, so that their tars can be made again. */
export class TreeSink extends MemorySink {
  readonly #root: string;
  readonly #trees = new Map<ChainId, string>();

  constructor(root: string, whiteouts: "overlay" | "remove" = "overlay") {
    super(whiteouts);
    this.#root = root;
  }

  override async layer(
    chainId: ChainId,
    parent: ChainId | undefined,
    apply: ApplyLayer,
    material: LayerMaterial,
  ): Promise<void> {
    await super.layer(chainId, parent, apply, material);
    const folder = mkdtempSync(join(this.#root, "tree-"));
    const made = this.layers.get(chainId);
    if (made !== undefined) writeTree(made.tree, folder);
    this.#trees.set(chainId, folder);
  }

  tree(chainId: ChainId): string | undefined {
    return this.layers.has(chainId) ? this.#trees.get(chainId) : undefined;
  }
}

/** Keeps layers as archives. */
export class ArchiveSink extends MemorySink {
  readonly #root: string;
  readonly entries = new Map<string, readonly LayerTarEntry[]>();

  constructor(root: string) {
    super("overlay");
    this.#root = root;
  }

  readonly importTar = async (chainId: ChainId, parent: ChainId | undefined, layer: LayerTar): Promise<void> => {
    await super.layer(chainId, parent, async () => ({ hasRoot: false }), {
      tarPath: layer.path,
      below: Promise.resolve(),
    });
    copyFileSync(layer.path, join(this.#root, `${chainId}.tar`));
    this.entries.set(layer.digest, [...layer.entries()]);
  };

  tar(chainId: ChainId): string | undefined {
    return this.layers.has(chainId) ? join(this.#root, `${chainId}.tar`) : undefined;
  }

  /** A file's content by its extents. */
  read(chainId: ChainId, { size, extents }: LayerTarEntry): Buffer {
    const tar = readFileSync(this.tar(chainId) ?? "");
    const content = Buffer.alloc(size);
    for (const { offset, archiveOffset, length } of extents) {
      tar.copy(content, offset, archiveOffset, archiveOffset + length);
    }
    return content;
  }
}

/** Folders, files and links of a tree in memory. */
export function writeTree({ files }: MemoryTree, folder: string): void {
  for (const [path, { kind, data, target }] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (path === "/") continue;
    const place = join(folder, path);
    if (kind === "directory") mkdirSync(place);
    else if (kind === "file") writeFileSync(place, data);
    else if (kind === "symlink") symlinkSync(target, place);
  }
}
