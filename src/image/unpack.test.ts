import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { digestOf, parseDiffId } from "../oci/digest.ts";
import type { WhiteoutStyle } from "./layer-sink.ts";
import { MemoryTree } from "./memory-sink.ts";
import { type TarEntry, tarEntry } from "./tar-entry.ts";
import { encodeTarHeader, tarEnd, tarPadding } from "./tar-writer.ts";
import { unpackLayer } from "./unpack.ts";

describe("unpackLayer", () => {
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
    const diffId = parseDiffId(digestOf("other"));
    const work = unpackLayer(once(gzipSync(tar)), new MemoryTree(), {
      diffId,
      storedDigest: digestOf(gzipSync(tar)),
      whiteouts: "overlay",
    });
    await assert.rejects(work, {
      code: "corrupt",
      message: `layer ${diffId} is damaged: its tar has the digest ${digestOf(tar)}`,
    });
  });

  it("tells a failing worker's error, once all that was sent has ended", async () => {
    const tar = layer(
      Array.from({ length: 20 }, (_, index) => [{ type: "file", path: String(index) }, "x".repeat(120_000)]) as Members,
    );
    let running = 0;
    const worker = {
      run: async () => {
        running++;
        await new Promise((resolve) => setTimeout(resolve, 5));
        running--;
        throw new Error("no space left");
      },
    };
    const work = unpackLayer(once(tar), worker, {
      diffId: parseDiffId(digestOf(tar)),
      storedDigest: digestOf(tar),
      whiteouts: "overlay",
    });
    await assert.rejects(work, /no space left/);
    assert.equal(running, 0);
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
  tree = new MemoryTree(),
): Promise<MemoryTree> {
  const tar = layer(members);
  const digest = digestOf(tar);
  await unpackLayer(once(tar), tree, { diffId: parseDiffId(digest), storedDigest: digest, whiteouts });
  return tree;
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 64 << 10) yield bytes.subarray(at, at + (64 << 10));
}
