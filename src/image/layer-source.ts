import type { ChainId, DiffId } from "../oci/digest.ts";
import type { LayerRecord, StoredImage } from "./image-store.ts";
import type { FileRange } from "./layer-job.ts";

/** One layer of an image. */
export interface LayerToUnpack {
  readonly chainId: ChainId;
  readonly parent: ChainId | undefined;
  readonly diffId: DiffId;
  readonly blob: Pick<LayerRecord, "digest" | "size">;
}

/** Where a layer's stored bytes lie. */
export interface LayerSource extends FileRange {
  /** Whether the bytes were compared with the digest of the blob. */
  readonly isVerified: boolean;
}

/** An image's layers, the lowest first. */
export function layersOf({
  chainIds,
  config,
  layers,
}: Pick<StoredImage, "chainIds" | "config" | "layers">): LayerToUnpack[] {
  return config.rootfs.diff_ids.flatMap((diffId, index) => {
    const [chainId, blob] = [chainIds[index], layers[index]];
    return chainId === undefined || blob === undefined ? [] : [{ chainId, parent: chainIds[index - 1], diffId, blob }];
  });
}
