import { statfsSync } from "node:fs";
import { hostname } from "node:os";
import { fileSystemOf } from "../storage/file-system.ts";
import type { Container } from "./container.ts";
import type { Events } from "./events.ts";
import type { ContainerStorage } from "./model.ts";
import type { FileSystemUse } from "./storage-face.ts";
import { fileSystemUse, isLow, limitPercent } from "./storage-limit.ts";
import type { StorageUsage } from "./storage-usage.ts";

const periodMs = 30_000;
/** After something big was written. */
const soonMs = 1000;
export const defaultWarnPercent = 90;

export interface StorageWatchParts {
  readonly root: string;
  readonly warnPercent: number;
  readonly usage: StorageUsage;
  readonly events: Pick<Events, "emit">;
  containers(): Iterable<Container>;
}

/** Warns before bytes or inodes run out: those of the host's file system, and those of containers with a limit. */
export class StorageWatch {
  readonly #parts: StorageWatchParts;
  readonly #timer: NodeJS.Timeout;
  #soon: NodeJS.Timeout | undefined;
  /** The warnings that hold, by what they are about. */
  readonly #low = new Map<string, string>();
  /** Containers whose limit is reached, and which. */
  readonly #reached = new Map<string, string>();
  #looking: Promise<void> | undefined;

  constructor(parts: StorageWatchParts) {
    this.#parts = parts;
    this.#timer = setInterval(() => void this.look(), periodMs);
    this.#timer.unref();
    this.soon();
  }

  get warnings(): readonly string[] {
    return [...this.#low.values()];
  }

  /** Something big was written, or is about to be. */
  soon(): void {
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      void this.look();
    }, soonMs).unref();
  }

  /** Calls at the same time share one look. */
  look(): Promise<void> {
    this.#looking ??= this.#lookNow().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #lookNow(): Promise<void> {
    this.#lookAtHost();
    const seen = new Set<string>();
    for (const container of this.#parts.containers()) {
      if (container.record.config.storage === undefined) continue;
      seen.add(container.id);
      // What can't run can't write.
      if (container.isRunning || !this.#reached.has(container.id)) await this.lookAt(container).catch(() => {});
    }
    for (const key of this.#low.keys()) {
      const [id = ""] = key.split(" ");
      if (id !== "" && !seen.has(id)) this.#low.delete(key);
    }
    for (const id of this.#reached.keys()) if (!seen.has(id)) this.#reached.delete(id);
  }

  /** Of one container with a limit. */
  async lookAt(container: Container): Promise<void> {
    const { id, record } = container;
    const limit = record.config.storage;
    if (limit === undefined) return;
    const state = await this.#parts.usage.of({ id, limit });
    const percent = limitPercent(state);
    const subject = `container ${record.name}`;
    const attributes = { container: id, name: record.name };
    this.#judge(`${id} bytes`, percent.bytes, `${subject} has used ${percent.bytes} % of its disk limit`, attributes);
    this.#judge(
      `${id} inodes`,
      percent.inodes,
      `${subject} has used ${percent.inodes} % of its inode limit`,
      attributes,
    );
    this.#tellReached(container, state);
  }

  close(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#soon);
  }

  #lookAtHost(): void {
    const { root } = this.#parts;
    const use = hostFileSystem(root);
    const attributes = { name: hostname(), path: root };
    for (const what of ["bytes", "inodes"] as const) {
      const percent = use.percent[what];
      const room = what === "bytes" ? "space" : "inodes";
      this.#judge(
        ` ${what}`,
        percent,
        `${percent} % of the ${room} of the file system of ${root} is used: remove what isn't needed, onggi system prune helps`,
        attributes,
      );
    }
  }

  #judge(key: string, percent: number, sentence: string, attributes: Readonly<Record<string, string>>): void {
    const before = this.#low.has(key);
    const now = isLow(before, percent, this.#parts.warnPercent);
    if (!now) {
      this.#low.delete(key);
      return;
    }
    this.#low.set(key, sentence);
    if (before) return;
    const [, what = ""] = key.split(" ");
    this.#parts.events.emit("daemon", "storage-low", attributes.container ?? "", {
      ...attributes,
      what,
      percent: String(percent),
      reason: sentence,
    });
  }

  /** Once, until there is room again. */
  #tellReached({ id, record }: Container, { reached }: ContainerStorage): void {
    if (reached === undefined) this.#reached.delete(id);
    else if (this.#reached.get(id) !== reached) {
      this.#reached.set(id, reached);
      this.#parts.events.emit("container", "storage-full", id, {
        ...record.labels,
        image: record.image.reference,
        name: record.name,
        limit: reached,
        reason: `${reached} limit reached`,
      });
    }
  }
}

/** By one call of the kernel. */
export function hostFileSystem(root: string): FileSystemUse {
  return fileSystemUse(fileSystemOf(root), statfsSync(root));
}
