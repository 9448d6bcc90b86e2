import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { bytesOf, textOf } from "./byte-text.ts";

describe("textOf", () => {
  it("gives every name back as it was", () => {
    const names = [
      Buffer.from("plain"),
      Buffer.from("옹기 \ufffd 🏺"),
      Buffer.from([0xff]),
      Buffer.from([0x61, 0xc3, 0x62]),
      Buffer.from([0xed, 0xb2, 0x80, 0x41]),
      Buffer.from([0xf0, 0x9f, 0x8f]),
      Buffer.concat([Buffer.from("é"), Buffer.from([0xe9]), Buffer.from("é")]),
    ];

    for (const name of names) assert.deepEqual(bytesOf(textOf(name)), name);
  });

  it("makes a lone surrogate of a byte that is no UTF-8", () => {
    assert.equal(textOf(Buffer.from([0x61, 0xff, 0x62])), "a\udcffb");
  });
});
