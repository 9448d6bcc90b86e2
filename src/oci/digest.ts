import { createHash } from "node:crypto";
import { OnggiError } from "../base/error.ts";

declare const kind: unique symbol;

/** Hash of stored bytes: a blob's name, `sha256:` and 64 digits. */
export type Digest = string & { readonly [kind]: "digest" };

/** Hash of a layer's plain tar, whatever it is compressed with. */
export type DiffId = string & { readonly [kind]: "diffId" };

/** Hash of a stack of layers: names a committed snapshot. */
export type ChainId = string & { readonly [kind]: "chainId" };

const sha256 = /^sha256:[0-9a-f]{64}$/;

/** @throws OnggiError `invalid` in Docker's words when `text` is no sha256 digest */
export function parseDigest(text: string): Digest {
  return parse(text) as Digest;
}

/** @throws OnggiError `invalid` when `text` is no sha256 digest */
export function parseDiffId(text: string): DiffId {
  return parse(text) as DiffId;
}

/** @throws OnggiError `invalid` when `text` is no sha256 digest */
export function parseChainId(text: string): ChainId {
  return parse(text) as ChainId;
}

export function isDigest(text: unknown): text is Digest {
  return typeof text === "string" && sha256.test(text);
}

/** The digest of bytes in memory. */
export function digestOf(bytes: string | Uint8Array): Digest {
  return parseDigest(`sha256:${createHash("sha256").update(bytes).digest("hex")}`);
}

/** The 64 digits after `sha256:`. */
export function hexOf(digest: Digest | DiffId | ChainId): string {
  return digest.slice("sha256:".length);
}

/** Twelve digits, as Docker shows ids. */
export function shortId(id: string): string {
  const colon = id.indexOf(":");
  return id.slice(colon + 1, colon + 13);
}

/**
 * The chainID of each layer of a stack, the lowest first.
 *
 * @see https://github.com/opencontainers/image-spec/blob/main/config.md#layer-chainid
 */
export function chainIds(diffIds: readonly DiffId[]): readonly ChainId[] {
  const chain: ChainId[] = [];
  for (const diffId of diffIds) {
    const below = chain.at(-1);
    chain.push(parseChainId(below === undefined ? diffId : digestOf(`${below} ${diffId}`)));
  }
  return chain;
}

function parse(text: string): string {
  if (sha256.test(text)) return text;
  const colon = text.indexOf(":");
  if (colon > 0 && !/^sha256:/.test(text)) {
    throw new OnggiError("invalid", `unsupported digest algorithm: "${text}"`, {
      hint: "Onggi knows sha256 digests: sha256: and 64 lower-case hexadecimal digits.",
    });
  }
  if (colon > 0 && text.length !== "sha256:".length + 64) {
    throw new OnggiError("invalid", `invalid checksum digest length: "${text}"`);
  }
  throw new OnggiError("invalid", `invalid checksum digest format: "${text}"`);
}
