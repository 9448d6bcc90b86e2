import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkVolumeName, fitsOptions, volumeMeans } from "./volume-options.ts";

describe("volumeMeans", () => {
  it("is a directory where nothing is said", () => {
    assert.deepEqual(volumeMeans({}), { kind: "directory" });
    assert.deepEqual(volumeMeans({ size: "0" }), { kind: "directory" });
  });

  it("is a file system of that size", () => {
    assert.deepEqual(volumeMeans({ size: "1.5G" }), { kind: "sized", bytes: 1.5 * 1024 ** 3 });
    assert.deepEqual(volumeMeans({ size: "64MiB", inodes: "100k" }), {
      kind: "sized",
      bytes: 64 * 1024 ** 2,
      inodes: 100_000,
    });
  });

  it("is what mount(8) makes of type, device and o", () => {
    assert.deepEqual(volumeMeans({ type: "tmpfs", device: "tmpfs", o: "size=100m,uid=1000" }), {
      kind: "mount",
      type: "tmpfs",
      device: "tmpfs",
      options: "size=100m,uid=1000",
    });
  });

  const refused: readonly (readonly [Readonly<Record<string, string>>, RegExp])[] = [
    [{ colour: "red" }, /invalid option: "colour"/],
    [{ o: "bind" }, /missing required option: "device"/],
    [{ type: "tmpfs" }, /missing required option: "device"/],
    [{ device: "/srv" }, /missing required option: "type"/],
    [{ size: "much" }, /invalid size: 'much'/],
    [{ type: "tmpfs", device: "tmpfs", size: "1G" }, /size and inodes don't go with a volume of type "tmpfs"/],
  ];
  for (const [options, message] of refused) {
    it(`refuses ${JSON.stringify(options)}`, () => {
      assert.throws(() => volumeMeans(options), { code: "invalid", message });
    });
  }
});

describe("checkVolumeName", () => {
  for (const name of ["ab", "a.b-c_d", "0a", "a".repeat(64)]) it(`takes ${name}`, () => checkVolumeName(name));
  for (const name of ["", "a", ".hidden", "-a", "a/b", "..", "a b", "ä1", "a".repeat(251)]) {
    it(`refuses ${JSON.stringify(name.slice(0, 20))}`, () => {
      assert.throws(() => checkVolumeName(name), { code: "invalid", message: /^create / });
    });
  }
});

describe("fitsOptions", () => {
  it("holds for the same and for none", () => {
    assert.ok(fitsOptions({}, { size: "1G" }));
    assert.ok(fitsOptions({ size: "1G" }, { size: "1G" }));
  });

  it("doesn't hold for others", () => {
    assert.ok(!fitsOptions({ size: "2G" }, { size: "1G" }));
    assert.ok(!fitsOptions({ size: "1G" }, {}));
    assert.ok(!fitsOptions({ size: "1G" }, { size: "1G", inodes: "1" }));
  });
});
