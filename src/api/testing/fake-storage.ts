import { OnggiError } from "../../base/error.ts";
import type { StorageBenchOptions, StorageMeasure } from "../../engine/storage-bench.ts";
import type {
  CheckOptions,
  ImageSharing,
  LayerTree,
  LayerUse,
  StorageFace,
  StorageOverview,
  StorageProblem,
} from "../../engine/storage-face.ts";

/** Storage in memory: one layer, and what problems a test puts in. */
export class FakeStorage implements StorageFace {
  readonly problems: StorageProblem[] = [];
  readonly refreshed: string[] = [];
  readonly tree: LayerTree = {
    id: "sha256:1111",
    kind: "layer",
    name: "sha256:1111",
    bytes: 1000,
    inodes: 10,
    images: ["alpine:latest"],
    children: [],
  };

  async overview(): Promise<StorageOverview> {
    return {
      driver: "overlay",
      root: "/var/lib/onggi",
      fileSystem: {
        type: "ext4",
        total: { bytes: 1000, inodes: 100 },
        used: { bytes: 500, inodes: 10 },
        free: { bytes: 500, inodes: 90 },
        percent: { bytes: 50, inodes: 10 },
      },
      layers: { bytes: 1000, inodes: 10, count: 1 },
      containers: [],
      warnPercent: 90,
      warnings: [],
    };
  }

  async layers(): Promise<readonly LayerUse[]> {
    const { id, bytes, inodes, images } = this.tree;
    return [{ id, kind: "layer", parent: undefined, bytes, inodes, images, containers: [], snapshots: [] }];
  }

  sharing(): ImageSharing {
    return { layersBytes: 12_345_678, sharedBytes: new Map() };
  }

  async why(key: string): Promise<LayerTree> {
    if (key === "alpine") return this.tree;
    throw new OnggiError("not_found", `No such image or layer: ${key}`);
  }

  async refresh(ids: readonly string[] = []): Promise<void> {
    this.refreshed.push(...ids);
  }

  async *bench({ drivers = ["overlay"] }: StorageBenchOptions = {}): AsyncGenerator<StorageMeasure> {
    for (const driver of drivers) {
      yield { driver, measure: "clone", layers: 1, value: 0.25, unit: "ms" };
      yield { driver, measure: "found", layers: 1, value: 4, unit: "µs" };
      yield { driver, measure: "found", layers: 10, value: 12.3, unit: "µs" };
      yield { driver, measure: "written", layers: 1, value: 2048, unit: "bytes" };
    }
    yield { driver: "zfs", measure: "clone", layers: 1, value: undefined, unit: "ms", reason: "there is no zfs here" };
  }

  async *check({ repair = false }: CheckOptions = {}): AsyncGenerator<StorageProblem> {
    for (const problem of this.problems) yield { ...problem, state: repair ? "repaired" : "found" };
  }
}
