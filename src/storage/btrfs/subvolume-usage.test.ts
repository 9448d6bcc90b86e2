import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Op } from "../../program/op.ts";
import { subvolumeUsage } from "./subvolume-usage.ts";
import { EXTENT_DATA, INODE_ITEM } from "./tree-search.ts";

interface AnItem {
  readonly object: bigint;
  readonly kind: number;
  readonly data: Buffer;
}

function inode(object: bigint, changedIn: bigint): AnItem {
  const data = Buffer.alloc(160);
  data.writeBigUInt64LE(changedIn, 8);
  return { object, kind: INODE_ITEM, data };
}

function extent(object: bigint, { madeIn, place, bytes }: { madeIn: bigint; place: bigint; bytes: number }): AnItem {
  const data = Buffer.alloc(53);
  data.writeBigUInt64LE(madeIn, 0);
  data.writeUInt8(1, 20);
  data.writeBigUInt64LE(place, 21);
  data.writeBigUInt64LE(BigInt(bytes), 29);
  return { object, kind: EXTENT_DATA, data };
}

function inlineExtent(object: bigint, text: string): AnItem {
  const data = Buffer.concat([Buffer.alloc(21), Buffer.from(text)]);
  data.writeBigUInt64LE(9n, 0);
  return { object, kind: EXTENT_DATA, data };
}

/** Answers the first search with all of the items, the next with none. */
function treeOf(items: readonly AnItem[]) {
  let asked = 0;
  return {
    async perform([op]: readonly Op[]) {
      assert.ok(op?.op === "ioctl");
      const found = asked++ === 0 ? items : [];
      const head = Buffer.from(op.argument.subarray(0, 112));
      head.writeUInt32LE(found.length, 64);
      const parts = found.flatMap(({ object, kind, data }) => {
        const itemHead = Buffer.alloc(32);
        itemHead.writeBigUInt64LE(object, 8);
        itemHead.writeUInt32LE(kind, 24);
        itemHead.writeUInt32LE(data.length, 28);
        return [itemHead, data];
      });
      return [Buffer.concat([head, ...parts])];
    },
  };
}

describe("subvolumeUsage", () => {
  const query = { path: "/", subvolume: 300n, since: 9n };

  it("counts what is new since a transaction", async () => {
    const tree = treeOf([
      inode(256n, 9n),
      inode(257n, 8n),
      extent(257n, { madeIn: 8n, place: 1n, bytes: 4096 }),
      inode(258n, 12n),
      extent(258n, { madeIn: 12n, place: 2n, bytes: 8192 }),
    ]);

    assert.deepEqual(await subvolumeUsage(tree, query), { bytes: 8192, inodes: 2 });
  });

  it("counts an extent once that is shown twice, a hole not at all, and small files by their bytes", async () => {
    const tree = treeOf([
      extent(257n, { madeIn: 10n, place: 5n, bytes: 4096 }),
      extent(258n, { madeIn: 10n, place: 5n, bytes: 4096 }),
      extent(259n, { madeIn: 10n, place: 0n, bytes: 0 }),
      inlineExtent(260n, "small"),
    ]);

    assert.deepEqual(await subvolumeUsage(tree, query), { bytes: 4101, inodes: 0 });
  });
});
