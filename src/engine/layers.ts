import { randomBytes } from "node:crypto";
import { isOnggiError } from "../base/error.ts";
import type { Executor } from "../executor/executor.ts";
import type { LayerSink, LayerWorker } from "../image/layer-sink.ts";
import { type ChainId, parseChainId } from "../oci/digest.ts";
import type { Snapshotter } from "../storage/snapshotter.ts";
import { isOwnTree } from "./snapshot-trees.ts";

/** Joins image and storage: a layer is unpacked by a jailed worker into a snapshot, which is then frozen under its chainID. */
export class Layers implements LayerSink {
  readonly #snapshotter: Snapshotter;
  readonly #executor: Executor;
  readonly whiteouts: "overlay" | "remove";

  constructor(snapshotter: Snapshotter, executor: Executor) {
    this.#snapshotter = snapshotter;
    this.#executor = executor;
    this.whiteouts = snapshotter.driver === "overlay" ? "overlay" : "remove";
  }

  async has(chainId: ChainId): Promise<boolean> {
    return this.#snapshotter.has(chainId);
  }

  async layer(
    chainId: ChainId,
    parent: ChainId | undefined,
    apply: (worker: LayerWorker) => Promise<void>,
  ): Promise<void> {
    const key = `unpack-${randomBytes(8).toString("hex")}`;
    await this.#snapshotter.prepare(key, parent, { durable: false });
    try {
      const { directory } = this.#snapshotter.writable(key);
      const worker = await this.#executor.work([
        { op: "chroot", path: directory },
        { op: "chdir", path: "/" },
      ]);
      try {
        await apply(worker);
      } finally {
        await worker.close();
      }
      await this.#snapshotter.commit(key, chainId);
    } catch (error) {
      await this.#snapshotter.remove(key);
      throw error;
    }
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
}
