import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { digestOf } from "./digest.ts";
import { mediaTypes, parseImageConfig, parseManifestOrIndex } from "./manifest.ts";

const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));
const blob = { mediaType: "x", digest: digestOf("x"), size: 1 };

describe("parseManifestOrIndex", () => {
  it("tells manifests and indexes apart by media type, or by their fields", () => {
    assert.ok("manifest" in parseManifestOrIndex(bytes({ schemaVersion: 2, config: blob, layers: null }), "m"));
    assert.ok("index" in parseManifestOrIndex(bytes({ schemaVersion: 2, manifests: [blob] }), "m"));
    assert.ok("index" in parseManifestOrIndex(bytes({ schemaVersion: 2, mediaType: mediaTypes.dockerIndex }), "m"));
  });

  it("says what is wrong with one", () => {
    const parse = (value: unknown) => parseManifestOrIndex(bytes(value), "m");
    assert.throws(() => parse({ schemaVersion: 1 }), { code: "unsupported" });
    assert.throws(() => parse([]), { code: "corrupt", message: "m is not an object" });
    assert.throws(() => parse({ config: { digest: "sha256:zz", size: 1 } }), {
      message: "m: config.digest is not a sha256 digest",
    });
    assert.throws(() => parse({ config: blob, layers: [{ ...blob, size: -1 }] }), {
      message: "m: layers[0].size is not a size in bytes",
    });
    assert.throws(() => parseManifestOrIndex(Buffer.from("{"), "m"), { message: "m is not JSON" });
    assert.throws(() => parseManifestOrIndex(Buffer.of(0x22, 0xff, 0x22), "m"), { message: "m is not JSON" });
  });
});

describe("parseImageConfig", () => {
  it("leaves out the nulls that Go writes, and fields that it doesn't know", () => {
    const config = parseImageConfig(
      bytes({
        architecture: "amd64",
        os: "linux",
        config: {
          Cmd: ["sh"],
          Entrypoint: null,
          Volumes: null,
          ExposedPorts: { "80/tcp": {} },
          Labels: null,
          OnBuild: null,
        },
        container_config: {},
        rootfs: { type: "layers", diff_ids: null },
      }),
      "c",
    );
    assert.deepEqual(config.config, { Cmd: ["sh"], ExposedPorts: { "80/tcp": {} } });
    assert.deepEqual(config.rootfs.diff_ids, []);
  });

  it("says which field is wrong", () => {
    const parse =
      (config: object, rootfs: object = {}) =>
      () =>
        parseImageConfig(bytes({ config, rootfs }), "c");
    assert.throws(parse({ Env: "A=1" }), { code: "corrupt", message: "c: config.Env is not a list of strings" });
    assert.throws(parse({ User: 5 }), { message: "c: config.User is not a string" });
    assert.throws(parse({ Labels: { a: 1 } }), { message: "c: config.Labels is not strings" });
    assert.throws(parse({}, { diff_ids: ["x"] }), { message: "c: rootfs.diff_ids is not a list of digests" });
  });
});
