import { OnggiError } from "../../base/error.ts";
import type { SnapshotsFace } from "../../engine/engine.ts";
import type { ContainerSnapshot, SnapshotOptions } from "../../engine/snapshot-model.ts";

/** Snapshots in memory, of containers of any name. */
export class FakeSnapshots implements SnapshotsFace {
  readonly all: ContainerSnapshot[] = [];
  /** What `create` was asked for last. */
  asked: SnapshotOptions = {};

  async create(container: string, options: SnapshotOptions = {}) {
    this.asked = options;
    const name = options.name ?? "20260102-132337";
    const snapshot: ContainerSnapshot = {
      id: String(this.all.length + 1).repeat(64),
      name,
      reference: `${container}@${name}`,
      container: { id: "c".repeat(64), name: container, exists: true },
      image: { id: `sha256:${"a".repeat(64)}`, reference: "host" },
      createdAtMs: Date.UTC(2026, 0, 2, 13, 23, 37),
      limited: options.keep !== undefined,
      usedBy: [],
    };
    this.all.push(snapshot);
    return { snapshot, removed: [] };
  }

  get(key: string): ContainerSnapshot {
    const found = this.all.find(({ id, reference }) => id === key || reference === key);
    if (found === undefined) throw new OnggiError("not_found", `No such snapshot: ${key}`, { hint: "Look closer." });
    return found;
  }

  list(container?: string): readonly ContainerSnapshot[] {
    return this.all.filter((one) => container === undefined || one.container.name === container);
  }

  async size(): Promise<number> {
    return 4096;
  }

  async remove(key: string): Promise<void> {
    this.all.splice(this.all.indexOf(this.get(key)), 1);
  }

  async tree() {
    return [];
  }
}
