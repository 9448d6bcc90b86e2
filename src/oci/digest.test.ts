import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { chainIds, digestOf, parseDiffId, parseDigest, shortId } from "./digest.ts";

describe("chainIds", () => {
  it("hashes each chain with the next diffID, as the image-spec says", () => {
    const [a, b, c] = ["a", "b", "c"].map((text) => parseDiffId(digestOf(text)));
    assert.ok(a !== undefined && b !== undefined && c !== undefined);
    const second = digestOf(`${a} ${b}`);
    assert.deepEqual(chainIds([a, b, c]), [a, second, digestOf(`${second} ${c}`)]);
    assert.deepEqual(chainIds([]), []);
  });
});

describe("parseDigest", () => {
  it("takes sha256 in lower case only", () => {
    assert.equal(parseDigest(digestOf("x")), digestOf("x"));
    assert.throws(() => parseDigest("sha512:00"), { code: "invalid", message: /^unsupported digest algorithm/ });
    assert.throws(() => parseDigest(digestOf("x").toUpperCase()), { code: "invalid" });
    assert.throws(() => parseDigest("sha256:12"), { message: /^invalid checksum digest length/ });
    assert.throws(() => parseDigest("plain"), { message: /^invalid checksum digest format/ });
  });
});

describe("shortId", () => {
  it("shows twelve digits", () => assert.equal(shortId(`sha256:${"0123456789abcdef".repeat(4)}`), "0123456789ab"));
});
