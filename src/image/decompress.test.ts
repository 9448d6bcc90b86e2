import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { decompress, detectCompression } from "./decompress.ts";

const plain = Buffer.from("plain text of some length. ".repeat(5000));

describe("decompress", () => {
  for (const [name, bytes] of [
    ["plain bytes", plain],
    ["gzip", gzipSync(plain)],
    ["gzip of several members", Buffer.concat([gzipSync(plain.subarray(0, 1000)), gzipSync(plain.subarray(1000))])],
    ["zstd", zstdCompressSync(plain)],
    [
      "zstd of several frames",
      Buffer.concat([zstdCompressSync(plain.subarray(0, 1000)), zstdCompressSync(plain.subarray(1000))]),
    ],
  ] as const) {
    it(`gives what is in ${name}`, async () => {
      for (const size of [1, 5, 100_000]) {
        const read = Buffer.concat(
          await Array.fromAsync(decompress(chunked(size === 1 ? bytes : bytes, size === 1 ? 997 : size))),
        );
        assert.ok(read.equals(plain));
      }
    });
  }

  for (const [name, bytes] of [
    ["gzip", gzipSync(plain)],
    ["zstd", zstdCompressSync(plain)],
  ] as const) {
    it(`says that ${name} data is damaged or cut short`, async () => {
      await assert.rejects(Array.fromAsync(decompress(chunked(bytes.subarray(0, -9), 100))), { code: "corrupt" });
      const damaged = Buffer.from(bytes);
      damaged.fill(0x55, damaged.length >> 1);
      await assert.rejects(Array.fromAsync(decompress(chunked(damaged, 100))), { code: "corrupt" });
    });
  }

  it("lets the source's own error and an abort through", async () => {
    async function* broken() {
      yield gzipSync(plain).subarray(0, 200);
      throw new Error("the pipe broke");
    }
    await assert.rejects(Array.fromAsync(decompress(broken())), /the pipe broke/);
    async function* endless() {
      yield gzipSync(plain).subarray(0, 200);
      await new Promise(() => {});
    }
    const signal = AbortSignal.timeout(30);
    await assert.rejects(Array.fromAsync(decompress(endless(), { signal })), { name: "TimeoutError" });
  });
});

describe("detectCompression", () => {
  it("names what it can't unpack", () => {
    assert.throws(() => detectCompression(Buffer.from("BZh91AY")), { code: "unsupported", message: /bzip2/ });
    assert.throws(() => detectCompression(Buffer.from("fd377a585a00", "hex")), { code: "unsupported", message: /xz/ });
    assert.equal(detectCompression(Buffer.alloc(0)), "none");
  });
});

async function* chunked(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
