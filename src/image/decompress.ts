import { Readable } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { OnggiError } from "../base/error.ts";
import { corrupt } from "./tar-header.ts";

export type Compression = "none" | "gzip" | "zstd";

const chunkSize = 512 << 10;
/** More than any image has, less than a bomb needs to matter: the plain size that one archive may unfold to. */
export const maxPlainBytes = 2 ** 40;

const magics: readonly (readonly [name: Compression | "bzip2" | "xz", bytes: readonly number[]])[] = [
  ["gzip", [0x1f, 0x8b]],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
  ["bzip2", [0x42, 0x5a, 0x68]],
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
];

/**
 * Tells by the first bytes how data is compressed.
 *
 * @throws OnggiError `unsupported` for bzip2 and xz
 */
export function detectCompression(start: Uint8Array): Compression {
  const found = magics.find(([, bytes]) => bytes.every((byte, index) => start[index] === byte))?.[0] ?? "none";
  if (found === "bzip2" || found === "xz") {
    throw new OnggiError("unsupported", `the archive is compressed with ${found}`, {
      hint: `Unpack it first, for example with ${found} -dc.`,
    });
  }
  return found;
}

/**
 * The plain bytes of a stream that is plain, gzip (of one or more members) or zstd.
 *
 * @throws OnggiError `corrupt` when the compressed data is damaged or cut short
 */
export async function* decompress(
  chunks: AsyncIterable<Uint8Array>,
  options: { readonly signal?: AbortSignal | undefined } = {},
): AsyncGenerator<Buffer> {
  const [start, all] = await peek(chunks, 6);
  const compression = detectCompression(start);
  if (compression === "none") {
    for await (const chunk of all) yield asBuffer(chunk);
    return;
  }
  const inflate = compression === "gzip" ? createGunzip({ chunkSize }) : createZstdDecompress({ chunkSize });
  const source = Readable.from(all, { objectMode: false, highWaterMark: chunkSize });
  let sourceError: unknown;
  source.on("error", (error) => {
    sourceError = error;
    inflate.destroy(error);
  });
  const abort = () => inflate.destroy(options.signal?.reason);
  options.signal?.addEventListener("abort", abort, { once: true });
  let total = 0;
  try {
    for await (const chunk of source.pipe(inflate) as AsyncIterable<Buffer>) {
      total += chunk.length;
      if (total > maxPlainBytes) throw corrupt(`it unfolds to more than ${maxPlainBytes} bytes`);
      yield chunk;
    }
  } catch (error) {
    if (options.signal?.aborted || sourceError !== undefined || error instanceof OnggiError) throw sourceError ?? error;
    throw corrupt(`its ${compression} data can't be read (${error instanceof Error ? error.message : error})`);
  } finally {
    options.signal?.removeEventListener("abort", abort);
    source.destroy();
    inflate.destroy();
  }
}

/** The first bytes of a stream, and the whole stream again. */
export async function peek(
  chunks: AsyncIterable<Uint8Array>,
  wanted: number,
): Promise<[start: Buffer, all: AsyncIterable<Uint8Array>]> {
  const iterator = chunks[Symbol.asyncIterator]();
  const seen: Uint8Array[] = [];
  let length = 0;
  let done = false;
  while (length < wanted && !done) {
    const next = await iterator.next();
    if (next.done) done = true;
    else {
      seen.push(next.value);
      length += next.value.length;
    }
  }
  async function* all(): AsyncGenerator<Uint8Array> {
    try {
      yield* seen;
      while (!done) {
        const next = await iterator.next();
        if (next.done) done = true;
        else yield next.value;
      }
    } finally {
      if (!done) await iterator.return?.();
    }
  }
  return [Buffer.concat(seen).subarray(0, wanted), all()];
}

export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
