import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import { digestOf } from "../oci/digest.ts";
import type { Op } from "../program/op.ts";
import { readLayer } from "./layer-job.ts";
import { MemoryTree } from "./memory-sink.ts";
import { tarEntry } from "./tar-entry.ts";
import { readHead, rebuildTar } from "./tar-record.ts";
import { encodeTarHeader, tarEnd, tarPadding } from "./tar-writer.ts";
import { writeTree } from "./testing/disk-sink.ts";
import { TreeFiles } from "./tree-files.ts";
import { defaultLimits } from "./unpack-limits.ts";

let scratch: string;
before(() => {
  scratch = mkdtempSync(join(tmpdir(), "onggi-record-"));
});
after(() => rmSync(scratch, { recursive: true, force: true }));

describe("a tar made again", () => {
  it("is the very same, with padding, order, odd headers and replaced files", async () => {
    const big = Buffer.alloc(3 << 20, "0123456789abcde");
    const tar = Buffer.concat([
      member("./etc/", "", "directory"),
      member("etc/passwd", "root"),
      member("etc/passwd", "root and more"),
      member("big", big),
      member("etc/.wh.shadow", "whiteouts have no content, but this one"),
      member("empty", ""),
      // Padding that isn't zeros, and what comes after the end.
      encodeTarHeader(tarEntry({ type: "file", path: "odd", size: 3 })),
      Buffer.from(`odd${"!".repeat(509)}`),
      tarEnd(),
      Buffer.alloc(8192, "rubbish"),
    ]);

    const { rebuilt, record } = await remake(tar);

    assert.ok(rebuilt.equals(tar));
    const { diffId, plainBytes, hasBlocks } = readHead(record) ?? {};
    assert.deepEqual([diffId, plainBytes, hasBlocks], [digestOf(tar), tar.length, true]);
    assert.ok(readFileSync(record).length < 4096, "the record holds content");
  });

  it("is the same whatever the members", async () => {
    const name = fc.constantFrom("a", "b", "c/d", "c/e", ".wh.a", "c");
    const content = fc.oneof(fc.constant(""), fc.string({ maxLength: 2000 }), fc.constant("x".repeat(1_500_000)));
    const one = fc.record({ type: fc.constantFrom("file" as const, "directory" as const), name, content });
    await fc.assert(
      fc.asyncProperty(fc.array(one, { minLength: 1, maxLength: 10 }), async (members) => {
        const tar = Buffer.concat([
          ...members.map(({ type, name, content }) => member(name, type === "file" ? content : "", type)),
          tarEnd(),
        ]);
        const { rebuilt } = await remake(tar);
        assert.ok(rebuilt.equals(tar));
      }),
      { numRuns: 60 },
    );
  });

  it("says which file was changed, and never reads outside of the tree", async () => {
    const tar = Buffer.concat([member("etc/passwd", "root".repeat(1000)), tarEnd()]);
    const { tree, record } = await remake(tar);
    const again = () => Array.fromAsync(rebuildTar(record, new TreeFiles(tree)));

    writeFileSync(join(tree, "etc/passwd"), "short");
    await assert.rejects(again(), { code: "corrupt", message: /\/etc\/passwd is shorter than it was/ });
    rmSync(join(tree, "etc"), { recursive: true });
    await assert.rejects(again(), { code: "corrupt", message: /\/etc isn't there any more/ });
    symlinkSync("../../../../../../etc", join(tree, "etc"));
    await assert.rejects(again(), { code: "corrupt", message: /isn't there any more/ });
    rmSync(join(tree, "etc"));
    mkdirSync(join(tree, "etc"));
    symlinkSync("/etc/passwd", join(tree, "etc/passwd"));
    await assert.rejects(again(), { code: "corrupt", message: /isn't there any more/ });
    writeFileSync(record, readFileSync(record).fill(7, 520));
    await assert.rejects(again(), { code: "corrupt", message: /the record .* is damaged/ });
  });
});

function member(path: string, content: string | Buffer, type: "file" | "directory" = "file"): Buffer {
  const data = Buffer.from(content as Buffer);
  return Buffer.concat([
    encodeTarHeader(tarEntry({ type, path, size: data.length, mtimeNs: 5_000_000_001n })),
    data,
    tarPadding(data.length),
  ]);
}

/** Unpacks a tar with a record of it, and makes it again of both. */
async function remake(tar: Buffer) {
  const folder = mkdtempSync(join(scratch, "one-"));
  const [path, record, tree] = ["layer.tar", "record", "tree"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(path, tar);
  const ops: Op[] = [];
  const source = { path, offset: 0, bytes: tar.length };
  const job = { source, compression: "none", want: "ops", whiteouts: "overlay", limits: defaultLimits } as const;
  await readLayer({ ...job, diffId: digestOf(tar), recordPath: record }, (batch) => ops.push(...(batch.ops ?? [])));
  const memory = new MemoryTree(path);
  await memory.run(ops);
  mkdirSync(tree);
  writeTree(memory, tree);
  const rebuilt = Buffer.concat(await Array.fromAsync(rebuildTar(record, new TreeFiles(tree))));
  return { rebuilt, record, tree };
}
