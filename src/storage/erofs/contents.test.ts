import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isOnggiError } from "../../base/error.ts";
import { archiveDevice, ContentMap, spillDevice } from "./contents.ts";
import { holeBlock } from "./tree.ts";

const archiveBytes = 10 * 1024 * 1024;
const map = () => new ContentMap(archiveBytes);

describe("ContentMap", () => {
  it("points to a file without holes with one chunk, whatever its size", () => {
    const contents = map();
    for (const [size, chunkBits] of [
      [1, 0],
      [512, 0],
      [513, 1],
      [5_000_000, 14],
    ] as const) {
      const extents = [{ offset: 0, archiveOffset: 1024, length: size }];
      assert.deepEqual(contents.contentOf({ path: "f", size, extents }), { chunkBits, chunks: [archiveDevice, 2] });
    }
    assert.deepEqual(contents.takeSpilled(), []);
  });

  it("has nothing for an empty file, and one hole for one that is all hole", () => {
    assert.equal(map().contentOf({ path: "f", size: 0, extents: [] }), undefined);
    const content = map().contentOf({ path: "f", size: 2 ** 33, extents: [] });
    assert.deepEqual(content, { chunkBits: 24, chunks: [0, holeBlock] });
  });

  it("cuts a file with holes into the largest chunks that its pieces fit", () => {
    const contents = map();
    const extents = [
      { offset: 8192, archiveOffset: 512, length: 4096 },
      { offset: 20480, archiveOffset: 4608, length: 100 },
    ];
    assert.deepEqual(contents.contentOf({ path: "f", size: 20580, extents }), {
      chunkBits: 3,
      chunks: [0, holeBlock, 0, holeBlock, archiveDevice, 1, 0, holeBlock, 0, holeBlock, archiveDevice, 9],
    });
    assert.deepEqual(contents.takeSpilled(), []);
  });

  it("copies what doesn't begin at a block, with the hole before it", () => {
    const contents = map();
    const extents = [{ offset: 100, archiveOffset: 1024, length: 50 }];
    const content = contents.contentOf({ path: "f", size: 1000, extents });
    assert.deepEqual(content, { chunkBits: 0, chunks: [spillDevice, 0, 0, holeBlock] });
    assert.deepEqual(contents.takeSpilled(), [{ archiveOffset: 1024, offset: 100, length: 50 }]);
    assert.equal(contents.spillBytes, 512);
    assert.deepEqual(contents.takeSpilled(), []);
  });

  it("copies the last block of an archive that lacks its padding", () => {
    const contents = new ContentMap(1024 + 100);
    const extents = [{ offset: 0, archiveOffset: 1024, length: 100 }];
    assert.deepEqual(contents.contentOf({ path: "f", size: 100, extents }), { chunkBits: 0, chunks: [spillDevice, 0] });
  });

  it("keeps a vast file with few pieces small", () => {
    const contents = map();
    const extents = [{ offset: 2 ** 40 + 4096, archiveOffset: 512, length: 4096 }];
    const content = contents.contentOf({ path: "f", size: 2 ** 41, extents });
    assert.ok(content !== undefined && content.chunks.length <= 2048, `${content?.chunks.length} numbers`);
    assert.equal(contents.takeSpilled().length, 1);
  });

  it("refuses pieces that overlap or reach beyond the file", () => {
    for (const extents of [
      [{ offset: 0, archiveOffset: 0, length: 2000 }],
      [
        { offset: 512, archiveOffset: 0, length: 512 },
        { offset: 0, archiveOffset: 512, length: 512 },
      ],
    ]) {
      assert.throws(
        () => map().contentOf({ path: "f", size: 1024, extents }),
        (error) => isOnggiError(error, "corrupt"),
      );
    }
  });
});
