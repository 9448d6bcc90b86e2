import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { digestOf } from "../oci/digest.ts";
import type { Op } from "../program/op.ts";
import { type LayerBatch, type LayerFacts, type LayerJob, readLayer } from "./layer-job.ts";
import type { WhiteoutStyle } from "./layer-sink.ts";
import { MemoryTree } from "./memory-sink.ts";
import { type TarEntry, tarEntry } from "./tar-entry.ts";
import { encodeTarHeader, tarEnd, tarPadding } from "./tar-writer.ts";
import { defaultLimits } from "./unpack-limits.ts";

let scratch: string;
before(() => {
  scratch = mkdtempSync(join(tmpdir(), "onggi-unpack-unit-"));
});
after(() => rmSync(scratch, { recursive: true, force: true }));

describe("readLayer", () => {
  it("makes files with owner, mode, attributes and times, in an order that keeps them", async () => {
    const capability = Buffer.of(1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0);
    const tree = await unpack([
      [{ type: "directory", path: "bin/", mode: 0o2750, uid: 1, gid: 2, mtimeNs: 7n }],
      [
        {
          type: "file",
          path: "bin/su",
          mode: 0o4755,
          uid: 5,
          gid: 6,
          mtimeNs: 9n,
          xattrs: new Map([["security.capability", capability]]),
        },
        "code",
      ],
      [{ type: "hardlink", path: "bin/su2", linkPath: "/bin/su" }],
      [{ type: "char", path: "null", mode: 0o666, major: 1, minor: 3 }],
      [{ type: "fifo", path: "pipe", mode: 0o600 }],
      [{ type: "symlink", path: "link", linkPath: "/bin/su", uid: 3, mtimeNs: 4n }],
    ]);

    const su = tree.files.get("/bin/su");
    assert.deepEqual([su?.mode, su?.uid, su?.gid, su?.mtimeNs, String(su?.data)], [0o4755, 5, 6, 9n, "code"]);
    assert.deepEqual(su?.xattrs.get("security.capability"), capability);
    assert.equal(tree.files.get("/bin/su2"), su);
    const bin = tree.files.get("/bin");
    assert.deepEqual([bin?.mode, bin?.uid, bin?.gid, bin?.mtimeNs], [0o2750, 1, 2, 7n]);
    assert.equal(tree.files.get("/null")?.device, "1:3");
    assert.deepEqual([tree.files.get("/link")?.target, tree.files.get("/link")?.uid], ["/bin/su", 3]);
  });

  it("spells deletions as overlayfs does", async () => {
    const tree = await unpack([
      [{ type: "file", path: "etc/.wh.passwd" }],
      [{ type: "file", path: "var/.wh..wh..opq" }],
      [{ type: "file", path: "var/new" }],
      [{ type: "file", path: ".wh..wh.aufs" }],
      [{ type: "directory", path: ".wh..wh.plnk" }],
      [{ type: "file", path: ".wh..wh.plnk/1" }],
      [{ type: "file", path: "new" }],
      [{ type: "file", path: ".wh.new" }],
      [{ type: "file", path: ".wh.dir" }],
      [{ type: "directory", path: "dir" }],
    ]);

    assert.equal(tree.files.get("/etc/passwd")?.device, "0:0");
    assert.equal(String(tree.files.get("/var")?.xattrs.get("trusted.overlay.opaque")), "y");
    assert.equal(tree.files.get("/new")?.kind, "file");
    assert.equal(String(tree.files.get("/dir")?.xattrs.get("trusted.overlay.opaque")), "y");
    assert.deepEqual([...tree.files.keys()].sort(), ["/", "/dir", "/etc", "/etc/passwd", "/new", "/var", "/var/new"]);
  });

  it("carries deletions out where the layer is a copy of those below", async () => {
    const below = await unpack(
      [
        [{ type: "file", path: "etc/passwd" }],
        [{ type: "file", path: "etc/group" }, "old"],
        [{ type: "file", path: "var/a/b" }],
        [{ type: "directory", path: "tree/below" }],
        [{ type: "file", path: "tree/file" }],
      ],
      "remove",
    );
    const tree = await unpack(
      [
        [{ type: "file", path: "etc/.wh.passwd" }],
        [{ type: "file", path: "etc/.wh.never" }],
        [{ type: "file", path: "etc/group", uid: 7 }, "new"],
        [{ type: "directory", path: "var", mode: 0o700 }],
        [{ type: "file", path: "var/.wh..wh..opq" }],
        [{ type: "file", path: "var/c" }],
        [{ type: "file", path: "tree" }, "a file now"],
      ],
      "remove",
      below,
    );

    assert.deepEqual([...tree.files.keys()].sort(), ["/", "/etc", "/etc/group", "/tree", "/var", "/var/c"]);
    assert.deepEqual([String(tree.files.get("/etc/group")?.data), tree.files.get("/etc/group")?.uid], ["new", 7]);
    assert.equal(tree.files.get("/var")?.mode, 0o700);
  });

  it("lets a later member replace an earlier one of any type", async () => {
    const tree = await unpack([
      [{ type: "directory", path: "a/b" }],
      [{ type: "file", path: "a/b/c" }],
      [{ type: "file", path: "a" }, "file"],
      [{ type: "symlink", path: "s", linkPath: "t" }],
      [{ type: "directory", path: "s", mtimeNs: 3n }],
      [{ type: "file", path: "x" }, "1"],
      [{ type: "hardlink", path: "y", linkPath: "x" }],
      [{ type: "file", path: "y" }, "2"],
    ]);
    assert.deepEqual([...tree.files.keys()].sort(), ["/", "/a", "/s", "/x", "/y"]);
    assert.deepEqual([String(tree.files.get("/x")?.data), String(tree.files.get("/y")?.data)], ["1", "2"]);
    assert.equal(tree.files.get("/s")?.mtimeNs, 3n);
  });

  it("follows links of the layer in folders' names, and stays inside", async () => {
    const tree = await unpack([
      [{ type: "directory", path: "usr/lib" }],
      [{ type: "symlink", path: "lib", linkPath: "usr/lib" }],
      [{ type: "file", path: "lib/a" }],
      [{ type: "file", path: "usr/lib/a" }, "again"],
      [{ type: "symlink", path: "out", linkPath: "../../../../etc" }],
      [{ type: "file", path: "out/passwd" }, "mine"],
      [{ type: "file", path: "/abs/../b" }],
    ]);
    assert.equal(String(tree.files.get("/usr/lib/a")?.data), "again");
    assert.equal(String(tree.files.get("/etc/passwd")?.data), "mine");
    assert.ok(tree.files.has("/b"));
  });

  it("refuses what leads out, in a circle, or nowhere", async () => {
    await assert.rejects(unpack([[{ type: "file", path: "../x" }]]), {
      code: "corrupt",
      message: /leads out of the layer/,
    });
    await assert.rejects(
      unpack([[{ type: "hardlink", path: "x", linkPath: "../../etc/shadow" }]]),
      /leads out of the layer/,
    );
    await assert.rejects(
      unpack([[{ type: "hardlink", path: "x", linkPath: "gone" }]]),
      /hard link to gone, which the layer doesn't have/,
    );
    const circle = [
      [{ type: "symlink", path: "a", linkPath: "b" }],
      [{ type: "symlink", path: "b", linkPath: "a" }],
      [{ type: "file", path: "a/x" }],
    ] as Members;
    await assert.rejects(unpack(circle), /leads in a circle/);
    await assert.rejects(unpack([[{ type: "file", path: "d/.wh.." }]]), /names nothing/);
  });

  it("leaves attributes out that would steer overlayfs", async () => {
    const xattrs = new Map([
      ["trusted.overlay.redirect", Buffer.from("/etc")],
      ["user.kept", Buffer.from("1")],
    ]);
    const tree = await unpack([[{ type: "directory", path: "d", xattrs }]]);
    assert.deepEqual([...(tree.files.get("/d")?.xattrs.keys() ?? [])], ["user.kept"]);
  });

  it("writes large files in pieces, and never lets one into the next", async () => {
    const big = "0123456789".repeat(100_000);
    const tree = await unpack([
      [{ type: "file", path: "a" }, big],
      [{ type: "file", path: "b" }, `${big}!`],
      [{ type: "file", path: "empty" }],
    ]);
    assert.equal(String(tree.files.get("/a")?.data), big);
    assert.equal(String(tree.files.get("/b")?.data), `${big}!`);
    assert.equal(tree.files.get("/empty")?.data.length, 0);
  });

  it("tells a diffID that isn't the tar's, naming both", async () => {
    const tar = layer([[{ type: "file", path: "x" }]]);
    const diffId = digestOf("other");
    await assert.rejects(read(gzipSync(tar), { diffId, compression: "gzip", plainPath: join(scratch, "plain") }), {
      code: "corrupt",
      message: `layer ${diffId} is damaged: its tar has the digest ${digestOf(tar)}`,
    });
  });

  it("tells stored bytes that aren't what their digest says, and a layer that is shorter than it was said to be", async () => {
    const tar = layer([[{ type: "file", path: "x" }]]);
    const packed = gzipSync(tar);
    const job = { diffId: digestOf(tar), compression: "gzip", plainPath: join(scratch, "plain") } as const;
    await assert.rejects(read(packed, { ...job, storedDigest: digestOf("y") }), /blob sha256:\w+ has the digest/);
    await assert.rejects(read(tar, { diffId: digestOf(tar), bytes: tar.length + 1 }), /shorter than it was said/);
  });

  it("refuses what unfolds to more than a limit, and names it", async () => {
    const zeros = layer([[{ type: "file", path: "zeros" }, "\0".repeat(80 << 20)]]);
    const job = { diffId: digestOf(zeros), compression: "zstd", plainPath: join(scratch, "plain") } as const;
    await assert.rejects(read(zstdCompressSync(zeros), job), {
      code: "exhausted",
      message: /unfolds to more than 2000 times its \d+ bytes/,
      hint: /--max-layer-ratio/,
    });
    const limits = { ...defaultLimits, maxLayerBytes: 1 << 20 };
    await assert.rejects(read(zstdCompressSync(zeros), { ...job, limits }), {
      code: "exhausted",
      message: /unfolds to more than 1048576 bytes/,
      hint: /--max-layer-bytes/,
    });
    assert.ok(!existsSync(join(scratch, "plain")), "the plain tar is left");
  });

  it("refuses names that are too long, and the device that would be a deletion", async () => {
    await assert.rejects(unpack([[{ type: "file", path: "x".repeat(256) }]]), {
      code: "corrupt",
      message: /the name x+… has 256 bytes, a file's has 255 at most/,
    });
    await unpack([[{ type: "file", path: "x".repeat(255) }]]);
    await assert.rejects(unpack([[{ type: "file", path: "x/".repeat(2040) + "y".repeat(50) }]]), {
      code: "corrupt",
      message: /a path has more than 409[46] bytes/,
    });
    await assert.rejects(unpack([[{ type: "symlink", path: "x", linkPath: "y".repeat(5000) }]]), {
      code: "corrupt",
      message: /points too far/,
    });
    await assert.rejects(unpack([[{ type: "char", path: "etc/passwd" }]]), {
      code: "unsupported",
      message: /device 0:0 at \/etc\/passwd/,
    });
  });

  it("never asks for a path outside, nor fails but as corrupt, whatever the members", async () => {
    const part = fc.constantFrom("a", "b", "c", "..", ".", ".wh.a", ".wh..wh..opq", "");
    const path = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
    const member = fc.record({
      type: fc.constantFrom("file", "directory", "symlink", "hardlink" as const),
      path,
      linkPath: path,
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(member, { minLength: 1, maxLength: 12 }),
        fc.constantFrom("overlay", "remove" as const),
        async (members, style) => {
          try {
            const tree = await unpack(
              members.map((one) => [one as Partial<TarEntry>]) as Members,
              style as WhiteoutStyle,
            );
            for (const name of tree.files.keys()) {
              assert.ok(
                name === "/" ||
                  !name
                    .split("/")
                    .slice(1)
                    .some((part) => part === "" || part.startsWith("..")),
                name,
              );
            }
          } catch (error) {
            const { code, message } = error as { code?: string; message: string };
            // On a copy of other layers only the kernel knows what a hard link may find.
            const isRefused =
              code === "corrupt" || code === "unsupported" || (style === "remove" && /^link /.test(message));
            assert.ok(isRefused, `${code} ${message} ${JSON.stringify(members)}`);
          }
        },
      ),
      { numRuns: 1500 },
    );
  });
});

type Members = readonly (readonly [entry: Partial<TarEntry> & Pick<TarEntry, "type" | "path">, content?: string])[];

function layer(members: Members): Buffer {
  const parts = members.flatMap(([entry, content = ""]) => {
    const data = Buffer.from(content);
    return [encodeTarHeader(tarEntry({ ...entry, size: data.length })), data, tarPadding(data.length)];
  });
  return Buffer.concat([...parts, tarEnd()]);
}

async function unpack(
  members: Members,
  whiteouts: WhiteoutStyle = "overlay",
  tree = new MemoryTree(join(scratch, "layer.tar")),
): Promise<MemoryTree> {
  const tar = layer(members);
  const ops: Op[] = [];
  await read(tar, { diffId: digestOf(tar), whiteouts }, (batch) => ops.push(...(batch.ops ?? [])));
  await tree.run(ops);
  return tree;
}

async function read(
  stored: Buffer,
  job: Partial<LayerJob> & Pick<LayerJob, "diffId"> & { readonly bytes?: number },
  emit: (batch: LayerBatch) => void = () => {},
): Promise<LayerFacts> {
  const path = join(scratch, "layer.tar");
  writeFileSync(path, stored);
  const source = { path, offset: 0, bytes: job.bytes ?? stored.length };
  const defaults = { compression: "none", want: "ops", whiteouts: "overlay", limits: defaultLimits } as const;
  return await readLayer({ ...defaults, source, ...job }, emit);
}
