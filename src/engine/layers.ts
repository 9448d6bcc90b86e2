import { randomBytes } from "node:crypto";
import { isOnggiError } from "../base/error.ts";
import type { Executor } from "../executor/executor.ts";
import { tarSlot } from "../image/layer-ops.ts";
import type { ApplyLayer, LayerMaterial, LayerSink } from "../image/layer-sink.ts";
import { type ChainId, parseChainId } from "../oci/digest.ts";
import { O_RDONLY } from "../program/kernel.ts";
import type { Snapshotter } from "../storage/snapshotter.ts";
import { isOwnTree } from "./snapshot-trees.ts";

/**
 * Joins image and storage: a layer is unpacked by a jailed worker into a snapshot, which is then frozen under its chainID; or, where layers are
 * archives, handed over as one.
 */
export class Layers implements LayerSink {
  readonly #snapshotter: Snapshotter;
  readonly #executor: Executor;
  readonly whiteouts: "overlay" | "remove";
  readonly importTar: LayerSink["importTar"];

  constructor(snapshotter: Snapshotter, executor: Executor) {
    this.#snapshotter = snapshotter;
    this.#executor = executor;
    const { importLayer } = snapshotter;
    this.whiteouts = snapshotter.driver === "overlay" ? "overlay" : "remove";
    this.importTar = importLayer;
  }

  async has(chainId: ChainId): Promise<boolean> {
    return this.#snapshotter.has(chainId);
  }

  async layer(
    chainId: ChainId,
    parent: ChainId | undefined,
    apply: ApplyLayer,
    { tarPath, below }: LayerMaterial,
  ): Promise<void> {
    const { rebases } = this.#snapshotter;
    const key = `unpack-${randomBytes(8).toString("hex")}`;
    if (!rebases) await below;
    await this.#snapshotter.prepare(key, rebases ? undefined : parent, { durable: false });
    try {
      const { hasRoot } = await this.#fill(key, tarPath, apply);
      await below;
      await this.#snapshotter.commit(key, chainId, rebases ? { onto: parent, ownRoot: hasRoot } : {});
    } catch (error) {
      await this.#snapshotter.remove(key);
      throw error;
    }
  }

  tree(chainId: ChainId): string | undefined {
    return this.#snapshotter.has(chainId) ? this.#snapshotter.layerTree(chainId) : undefined;
  }

  tar(chainId: ChainId): string | undefined {
    return this.#snapshotter.has(chainId) ? this.#snapshotter.layerTar(chainId) : undefined;
  }

  async remove(chainId: ChainId): Promise<boolean> {
    try {
      await this.#snapshotter.remove(chainId);
    } catch (error) {
      if (isOnggiError(error, "in_use")) return false;
      if (!isOnggiError(error, "not_found")) throw error;
    }
    return true;
  }

  async list(): Promise<readonly ChainId[]> {
    return [...this.#snapshotter.list()]
      .filter(({ kind, id }) => kind === "committed" && !isOwnTree(id))
      .map(({ id }) => parseChainId(id));
  }

  async #fill(key: string, tarPath: string, apply: ApplyLayer): Promise<{ readonly hasRoot: boolean }> {
    const { directory } = this.#snapshotter.writable(key);
    const worker = await this.#executor.work([
      { op: "open", slot: tarSlot, path: tarPath, flags: O_RDONLY },
      { op: "chroot", path: directory },
      { op: "chdir", path: "/" },
    ]);
    try {
      return await apply(worker);
    } finally {
      await worker.close();
    }
  }
}
