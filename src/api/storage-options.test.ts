import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatStorageOptions, parseStorageOptions } from "./storage-options.ts";

describe("parseStorageOptions", () => {
  it("reads sizes in powers of 1024 and inodes in powers of 1000", () => {
    assert.deepEqual(parseStorageOptions({ size: "2G", inodes: "100k" }), { bytes: 2 * 1024 ** 3, inodes: 100_000 });
    assert.deepEqual(parseStorageOptions({ size: "1.5GiB" }), { bytes: 1.5 * 1024 ** 3 });
    assert.deepEqual(parseStorageOptions({ size: "33554432" }), { bytes: 33_554_432 });
    assert.deepEqual(parseStorageOptions({ inodes: "1.5m" }), { inodes: 1_500_000 });
  });

  it("is no limit where nothing is asked", () => {
    assert.equal(parseStorageOptions({}), undefined);
  });

  for (const options of [
    { size: "" },
    { size: "2X" },
    { size: "-1" },
    { size: "0" },
    { inodes: "0" },
    { inodes: "1g" },
    { inodes: "0.5" },
    { inodes: "9999999999" },
    { volume: "1" },
  ])
    it(`refuses ${JSON.stringify(options)}`, () => {
      assert.throws(() => parseStorageOptions(options as Record<string, string>), { code: "invalid" });
    });

  it("names an option that there isn't", () => {
    assert.throws(() => parseStorageOptions({ dm: "1" }), { message: "Unknown option dm" });
  });

  it("shows what was asked again", () => {
    for (const options of [{ size: "2G", inodes: "100k" }, { size: "1536M" }, { inodes: "12345" }])
      assert.deepEqual(formatStorageOptions(parseStorageOptions(options) ?? {}), options);
  });
});
