import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { MNT_DETACH, MOUNT_ATTR_RDONLY } from "../../program/kernel.ts";
import type { DriverTools } from "../snapshotter.ts";
import { unmountElsewhere } from "../unmount-elsewhere.ts";
import type { ChainImage } from "./chain.ts";

/**
 * Images mounted once for all containers, in the executor's mount namespace: the kernel keeps pages by mount of an EROFS image, so that
 * containers with a mount each would each have a copy of libc in memory.
 *
 * They lie on a tmpfs that only that namespace has: where the executor was started anew, nothing is at their paths, and nobody takes an empty
 * folder for an image. With the executor's end they are gone.
 */
export class SharedImages {
  readonly #folder: string;
  readonly #tools: DriverTools;
  /** Of the executor in whose namespace they are. */
  #generation: number | undefined;
  #ready: Promise<unknown> = Promise.resolve();
  readonly #shared = new Map<string, "mounting" | "mounted">();

  private constructor(folder: string, tools: DriverTools) {
    this.#folder = folder;
    this.#tools = tools;
  }

  /** Takes away what an executor before this one mounted: its namespace lasts as long as a container of it, and would hold on to removed files. */
  static async open(directory: string, tools: DriverTools): Promise<SharedImages> {
    const folder = join(directory, "shared");
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    await unmountElsewhere(folder, tools.perform);
    return new SharedImages(folder, tools);
  }

  /** Where the image of a stack of layers is mounted, if it is. */
  find(id: string): string | undefined {
    this.#notice();
    return this.#shared.get(id) === "mounted" ? this.#path(id) : undefined;
  }

  /** Mounts it, unless it is there. A failure is no harm: who doesn't find it mounts the image for himself, and is told why that fails. */
  async share(id: string, image: ChainImage): Promise<void> {
    this.#notice();
    if (this.#shared.has(id)) return;
    this.#shared.set(id, "mounting");
    const generation = this.#generation;
    try {
      await this.#ready;
      await this.#tools.perform([
        { op: "mkdir", path: this.#path(id), mode: 0o700 },
        {
          op: "fsmount",
          type: "erofs",
          source: image.path,
          options: image.devices.map((device) => `device=${device}`),
          attributes: MOUNT_ATTR_RDONLY,
          target: this.#path(id),
        },
      ]);
      if (this.#generation === generation) this.#shared.set(id, "mounted");
    } catch {
      if (this.#generation === generation) this.#shared.delete(id);
    }
  }

  /** Before an image's files go. */
  async drop(id: string): Promise<void> {
    this.#notice();
    if (!this.#shared.delete(id)) return;
    await this.#tools
      .perform([
        { op: "umount", target: this.#path(id), flags: MNT_DETACH, ignore: ["EINVAL", "ENOENT"] },
        { op: "remove", path: this.#path(id), ignore: ["ENOENT"] },
      ])
      .catch(() => {}); // The executor has ended, and its mounts with it.
  }

  async close(): Promise<void> {
    this.#shared.clear();
    await unmountElsewhere(this.#folder, this.#tools.perform).catch(() => {});
  }

  #path(id: string): string {
    return join(this.#folder, id);
  }

  #notice(): void {
    const generation = this.#tools.generation?.() ?? 0;
    if (generation === this.#generation) return;
    this.#generation = generation;
    this.#shared.clear();
    this.#ready = this.#tools.perform([
      { op: "mount", source: "onggi", target: this.#folder, type: "tmpfs", flags: 0, data: "mode=0700,size=1m" },
    ]);
    this.#ready.catch(() => {});
  }
}
