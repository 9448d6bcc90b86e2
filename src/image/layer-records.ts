import { rmSync } from "node:fs";
import { mkdir, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { sweepTemporaryFiles, syncDirectory, temporaryPath, writeFileAtomic } from "../base/atomic-file.ts";
import { type ChainId, type DiffId, hexOf, isDigest, parseChainId } from "../oci/digest.ts";
import type { LayerFacts } from "./layer-job.ts";
import { encodeHead, type RecordHead, readHead } from "./tar-record.ts";

/** What is known of the layers that were unpacked, a file each: `layers/HEX` of the chainID, see {@link RecordHead}. */
export class LayerRecords {
  readonly #directory: string;
  readonly #heads: Map<ChainId, RecordHead>;

  private constructor(directory: string, heads: Map<ChainId, RecordHead>) {
    this.#directory = directory;
    this.#heads = heads;
  }

  /** Opens the folder; records of layers that aren't there go. */
  static async open(directory: string, layers: readonly ChainId[]): Promise<LayerRecords> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await sweepTemporaryFiles(directory);
    const known = new Set<string>(layers);
    const heads = new Map<ChainId, RecordHead>();
    for (const name of await readdir(directory)) {
      const id = `sha256:${name}`;
      const head = isDigest(id) && known.has(id) ? readHead(join(directory, name)) : undefined;
      if (head === undefined) rmSync(join(directory, name), { force: true });
      else heads.set(parseChainId(id), head);
    }
    return new LayerRecords(directory, heads);
  }

  get(chainId: ChainId): RecordHead | undefined {
    return this.#heads.get(chainId);
  }

  path(chainId: ChainId): string {
    return join(this.#directory, hexOf(chainId));
  }

  /** Where a record is written until it is whole. */
  temporaryPath(chainId: ChainId): string {
    return temporaryPath(this.path(chainId));
  }

  /** Keeps what is known of a layer, with the record at `written` if there is one. It is on the disk when this resolves. */
  async put(chainId: ChainId, facts: LayerFacts, diffId: DiffId, written: string | undefined): Promise<void> {
    const { plainBytes, contentBytes } = facts;
    const head: RecordHead = { format: 1, diffId, plainBytes, contentBytes, hasBlocks: written !== undefined };
    if (written === undefined) await writeFileAtomic(this.path(chainId), encodeHead(head));
    else {
      await rename(written, this.path(chainId));
      await syncDirectory(this.#directory);
    }
    this.#heads.set(chainId, head);
  }

  remove(chainId: ChainId): void {
    this.#heads.delete(chainId);
    rmSync(this.path(chainId), { force: true });
  }
}
