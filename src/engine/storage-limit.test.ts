import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fileSystemUse, isLow, limitPercent, limitState } from "./storage-limit.ts";

const mebibyte = 1024 ** 2;

describe("limitState", () => {
  it("is reached when hardly a byte is left, or no inode", () => {
    const limit = { bytes: 100 * mebibyte, inodes: 100 };
    const state = (bytes: number, inodes: number) => limitState({ bytes, inodes }, limit).reached;
    assert.equal(state(50 * mebibyte, 50), undefined);
    assert.equal(state(99.5 * mebibyte, 50), "disk");
    assert.equal(state(50 * mebibyte, 100), "inode");
  });

  it("believes the file system where that knows what is left", () => {
    const limit = { bytes: 100 * mebibyte };
    assert.equal(limitState({ bytes: 0, inodes: 0 }, limit, { bytes: 0, inodes: 9 }).reached, "disk");
  });

  it("knows no limit of inodes where none was set", () => {
    const limit = { bytes: 100 * mebibyte };
    assert.equal(limitState({ bytes: 0, inodes: 5 }, limit, { bytes: 50 * mebibyte, inodes: 0 }).reached, undefined);
  });
});

describe("limitPercent", () => {
  it("tells the share of each limit", () => {
    const state = limitState({ bytes: 75, inodes: 1 }, { bytes: 100, inodes: 4 });
    assert.deepEqual(limitPercent(state), { bytes: 75, inodes: 25 });
  });
});

describe("fileSystemUse", () => {
  it("counts as df does, without what is kept for root", () => {
    const use = fileSystemUse("ext4", { bsize: 1, blocks: 100, bfree: 50, bavail: 40, files: 10, ffree: 5 });
    assert.deepEqual(use.used, { bytes: 50, inodes: 5 });
    assert.deepEqual(use.percent, { bytes: 55.6, inodes: 50 });
  });

  it("never runs out of inodes where there is no fixed number of them", () => {
    const use = fileSystemUse("btrfs", { bsize: 1, blocks: 100, bfree: 50, bavail: 50, files: 0, ffree: 0 });
    assert.equal(use.percent.inodes, 0);
  });
});

describe("isLow", () => {
  it("holds from the threshold on until it is well below", () => {
    assert.equal(isLow(false, 89.9, 90), false);
    assert.equal(isLow(false, 90, 90), true);
    assert.equal(isLow(true, 86, 90), true);
    assert.equal(isLow(true, 84.9, 90), false);
  });
});
