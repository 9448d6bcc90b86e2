import { existsSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { messageOf, OnggiError } from "../base/error.ts";
import { imageMeans, SizedImages } from "../storage/sized-image.ts";
import type { StorageLimit } from "../storage/snapshotter.ts";
import type { Trash } from "../storage/trash.ts";
import type { Perform } from "./volume-mounter.ts";

/** The file systems of volumes that have a size: `volumes/.sized/data-<name>`, mounted as long as an engine is open. */
export class VolumeImages {
  readonly #directory: string;
  readonly #trash: Trash;
  readonly #perform: Perform;
  #opened: Promise<SizedImages> | undefined;

  constructor(parts: { readonly directory: string; readonly trash: Trash; readonly perform: Perform }) {
    this.#directory = parts.directory;
    this.#trash = parts.trash;
    this.#perform = parts.perform;
  }

  data(volume: string): string {
    return join(this.#directory, idOf(volume));
  }

  /** @throws OnggiError `unsupported` where the host can't make such file systems */
  async create(volume: string, limit: StorageLimit): Promise<void> {
    await (await this.#images()).create(idOf(volume), limit, { durable: true });
  }

  async discard(volume: string): Promise<void> {
    const id = idOf(volume);
    const trash = this.#trash.name(id);
    const images = await this.#images();
    if (images.has(id)) await images.discard(id, trash);
    if (existsSync(this.data(volume))) renameSync(this.data(volume), trash);
    this.#trash.added();
  }

  /** Mounts those that are known and discards others: what a creation or removal that was cut off left. @returns what is wrong with some */
  async restore(known: readonly string[]): Promise<readonly string[]> {
    const files = join(this.#directory, "images");
    if (!existsSync(files) || readdirSync(files).length === 0) return [];
    const volumes = new Map(known.map((name) => [idOf(name), name]));
    const images = await this.#images();
    const problems: string[] = [];
    for (const file of readdirSync(files)) {
      const id = file.replace(/\.img$/, "");
      if (!images.has(id)) continue;
      if (!volumes.has(id)) await this.discard(id.slice(idOf("").length));
      else problems.push(...problemsOf(images, id));
    }
    return problems;
  }

  async close(): Promise<void> {
    await (await this.#opened)?.close();
  }

  /** Opened when the first is asked for: most hosts have none. */
  #images(): Promise<SizedImages> {
    if (this.#opened === undefined) {
      if (imageMeans() === "none")
        throw new OnggiError(
          "unsupported",
          "a volume of a certain size needs mke2fs and loop devices, which this host lacks",
          { hint: "Install e2fsprogs and load the kernel's module loop, or leave the size out." },
        );
      mkdirSync(this.#directory, { recursive: true, mode: 0o711 });
      this.#opened = SizedImages.open(this.#directory, { perform: this.#perform });
      this.#opened.catch(() => {
        this.#opened = undefined;
      });
    }
    return this.#opened;
  }
}

/** Beside `images`, the folder's own: no volume shall collide with it. */
function idOf(volume: string): string {
  return `data-${volume}`;
}

function problemsOf(images: SizedImages, id: string): readonly string[] {
  try {
    images.check(id);
    return [];
  } catch (error) {
    return [messageOf(error)];
  }
}
