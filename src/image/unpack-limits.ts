import { OnggiError } from "../base/error.ts";

/** What an image may ask for at most; beyond it, it is refused by name. */
export interface UnpackLimits {
  /** Bytes of one layer's plain tar. */
  readonly maxLayerBytes: number;
  /** How many times its stored size a layer's plain tar may have, once it is larger than {@link freeBytes}. */
  readonly maxRatio: number;
  readonly maxLayers: number;
}

/**
 * More than any honest image has, less than a bomb needs to matter. gzip can't do better than 1032 times, which a file of zeros reaches; overlayfs takes
 * 500 layers.
 */
export const defaultLimits: UnpackLimits = { maxLayerBytes: 2 ** 38, maxRatio: 2000, maxLayers: 500 };

/** What every layer may unfold to, however small it is stored. */
const freeBytes = 64 << 20;

/** @throws OnggiError `exhausted`, naming the limit */
export function checkUnfolding(plainBytes: number, storedBytes: number, limits: UnpackLimits): void {
  if (plainBytes > limits.maxLayerBytes) {
    throw refused(`it unfolds to more than ${limits.maxLayerBytes} bytes`, "max-layer-bytes");
  }
  if (plainBytes > freeBytes && plainBytes > storedBytes * limits.maxRatio) {
    throw refused(`it unfolds to more than ${limits.maxRatio} times its ${storedBytes} bytes`, "max-layer-ratio");
  }
}

/** @throws OnggiError `exhausted`, naming the limit */
export function checkLayerCount(layers: number, { maxLayers }: UnpackLimits): void {
  if (layers > maxLayers) throw refused(`it has ${layers} layers, more than ${maxLayers}`, "max-layers");
}

function refused(reason: string, flag: string): OnggiError {
  return new OnggiError("exhausted", `the image is refused: ${reason}`, {
    hint: `If it is to be trusted, start the daemon with a higher --${flag}.`,
  });
}
