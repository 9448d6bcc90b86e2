import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseMountTable } from "./mount-table.ts";
import { formatFlags, imageShape } from "./sized-image.ts";

const mebibyte = 1024 ** 2;
const gibibyte = 1024 ** 3;

describe("imageShape", () => {
  it("adds to the bytes asked for what ext4 needs for itself", () => {
    const { bytes, inodes } = imageShape({ bytes: 2 * gibibyte }, true, 100 * gibibyte);
    const table = inodes * 256;
    assert.ok(bytes >= 2 * gibibyte + table + 4 * mebibyte);
    assert.ok(bytes < 2 * gibibyte + table + 8 * mebibyte);
  });

  it("needs no journal for what a power cut may take", () => {
    const shape = (durable: boolean) => imageShape({ bytes: 64 * mebibyte }, durable, gibibyte).bytes;
    assert.equal(shape(true) - shape(false), 4 * mebibyte);
    assert.ok(formatFlags(1000, false).join(" ").includes("^has_journal"));
    assert.ok(!formatFlags(1000, true).join(" ").includes("^has_journal"));
  });

  it("takes what room the host has where only inodes are limited", () => {
    assert.ok(imageShape({ inodes: 1_000_000 }, true, 10 * gibibyte).bytes > 9 * gibibyte);
  });

  it("takes so few groups for few inodes that hardly more are made", () => {
    const { bytes } = imageShape({ inodes: 100 }, true, 1000 * gibibyte);
    assert.ok(bytes <= 8 * 130 * mebibyte, `${bytes}`);
  });

  it("refuses less than a file system can be made in", () => {
    assert.throws(() => imageShape({ bytes: mebibyte }, true, gibibyte), { code: "invalid" });
  });
});

describe("parseMountTable", () => {
  it("reads where, what, of which type, and whether other namespaces learn of it", () => {
    const text = [
      "65 27 7:0 / /var/lib/a\\040b rw,relatime - ext4 /dev/loop0 rw,discard",
      "27 1 254:0 / / rw shared:1 master:2 - ext4 /dev/vda rw",
      "",
    ].join("\n");
    assert.deepEqual(parseMountTable(text), [
      { mountPoint: "/var/lib/a b", type: "ext4", source: "/dev/loop0", shared: false },
      { mountPoint: "/", type: "ext4", source: "/dev/vda", shared: true },
    ]);
  });
});
