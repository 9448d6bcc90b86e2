/** Layers through the real executor, compared with what GNU tar makes of the same archive. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import type { Executor } from "../../src/executor/executor.ts";
import { openExecutor } from "../../src/executor/spawner.ts";
import { hostImage } from "../../src/image/from-host.ts";
import { openImages } from "../../src/image/images.ts";
import type { LayerBatch } from "../../src/image/layer-job.ts";
import { tarSlot } from "../../src/image/layer-ops.ts";
import { LayerThreads } from "../../src/image/layer-threads.ts";
import { MemorySink } from "../../src/image/memory-sink.ts";
import { type TarEntry, tarEntry } from "../../src/image/tar-entry.ts";
import { TarReader } from "../../src/image/tar-reader.ts";
import { encodeTarHeader, tarEnd, tarPadding } from "../../src/image/tar-writer.ts";
import { defaultLimits } from "../../src/image/unpack-limits.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { O_RDONLY } from "../../src/program/kernel.ts";

const binary = join(import.meta.dirname, "../../build/onggi-exec");

let scratch: string;
let executor: Executor;

before(async () => {
  scratch = mkdtempSync(join(tmpdir(), "onggi-unpack-"));
  executor = await openExecutor({ binary, socketDirectory: scratch });
});
after(async () => {
  await executor.close();
  rmSync(scratch, { recursive: true, force: true });
});

describe("a layer unpacked by the executor", () => {
  let own: string;
  let gnu: string;
  beforeEach(() => {
    own = join(scratch, "own");
    gnu = join(scratch, "gnu");
    mkdirSync(own, { mode: 0o755 });
    mkdirSync(gnu, { mode: 0o755 });
  });
  afterEach(() => {
    for (const folder of [own, gnu]) rmSync(folder, { recursive: true, force: true });
  });

  it("has the owners, modes, times, links, devices and attributes that GNU tar gives it", async () => {
    const capability = Buffer.of(1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    const tar = archive([
      [{ type: "directory", path: "./", mode: 0o755, mtimeNs: 1_600_000_000_123_456_789n }],
      [{ type: "directory", path: "setgid", mode: 0o2775, gid: 50, mtimeNs: 86_400_000_000_001n }],
      [{ type: "file", path: "setgid/inherits-not", mode: 0o640 }, "x"],
      [{ type: "directory", path: "setgid/below" }],
      [{ type: "file", path: "bin/su", mode: 0o4755, uid: 0, gid: 0 }, "setuid"],
      [{ type: "file", path: "bin/other", mode: 0o6711, uid: 1234, gid: 4321 }, "both"],
      [
        { type: "file", path: "bin/ping", mode: 0o755, uid: 7, xattrs: new Map([["security.capability", capability]]) },
        "p",
      ],
      [{ type: "file", path: "bin/attributes", xattrs: new Map([["user.binary", Buffer.of(0, 10, 255, 0)]]) }, "a"],
      [{ type: "hardlink", path: "bin/ping6", linkPath: "bin/ping" }],
      [{ type: "symlink", path: "bin/sh", linkPath: "../does/not/exist", uid: 3, gid: 4, mtimeNs: -5_000_000_000n }],
      [{ type: "char", path: "dev/null", mode: 0o666, major: 1, minor: 3 }],
      [{ type: "block", path: "dev/disk", mode: 0o660, gid: 6, major: 259, minor: 70_000 }],
      [{ type: "fifo", path: "dev/pipe", mode: 0o622, uid: 9 }],
      [{ type: "directory", path: "tmp", mode: 0o1777, mtimeNs: 3n }],
      [{ type: "file", path: "tmp/old", mtimeNs: -1_500_000_000n }, "before 1970"],
      [{ type: "file", path: "tmp/big", mode: 0o444 }, "0123456789abcdef".repeat(100_000)],
      [{ type: "file", path: "unreadable", mode: 0 }, "nobody"],
      [{ type: "file", path: `${"long-name/".repeat(30)}ü-漢-\n\t file` }, "deep"],
      [{ type: "file", path: "empty" }],
      [{ type: "directory", path: "readonly", mode: 0o555 }],
      [{ type: "file", path: "readonly/inside" }, "made before its folder is closed"],
    ]);

    await unpack(tar, own);
    extractWithTar(tar, gnu);

    assert.deepEqual(treeOf(own), treeOf(gnu));
    assert.ok(treeOf(own).length > 20);
  });

  it("keeps the holes of sparse files", async () => {
    const source = join(scratch, "source");
    mkdirSync(source);
    spawnSync(
      "sh",
      ["-c", "echo start > sparse && echo end | dd of=sparse bs=1 seek=50000000 status=none && truncate -s 80M sparse"],
      { cwd: source },
    );
    const { stdout } = spawnSync("tar", ["-cS", "--format=posix", "-C", source, "sparse"], { maxBuffer: 8 << 20 });

    await unpack(stdout, own);

    const { stdout: blocks } = spawnSync("stat", ["-c", "%s %b", join(own, "sparse")], { encoding: "utf8" });
    const [size, used] = blocks.trim().split(" ").map(Number);
    assert.equal(size, 80 << 20);
    assert.ok((used ?? 0) < 100, `${used} blocks`);
    assert.equal(spawnSync("cmp", [join(own, "sparse"), join(source, "sparse")]).status, 0);
    rmSync(source, { recursive: true });
  });

  it("can't be made to touch anything outside, whatever the archive says", async () => {
    const outside = join(scratch, "outside");
    mkdirSync(outside);
    writeFileSync(join(outside, "victim"), "untouched");
    const attacks: Members[] = [
      [[{ type: "symlink", path: "out", linkPath: outside }], [{ type: "file", path: "out/new" }, "x"]],
      [
        [{ type: "symlink", path: "out", linkPath: `${"../".repeat(20)}${outside}` }],
        [{ type: "file", path: "out/victim" }, "x"],
      ],
      [[{ type: "file", path: `../../../${outside}/victim` }, "x"]],
      [[{ type: "hardlink", path: "link", linkPath: `${outside}/victim` }], [{ type: "file", path: "link" }, "x"]],
      [[{ type: "symlink", path: "victim", linkPath: `${outside}/victim` }], [{ type: "file", path: "victim" }, "x"]],
      [[{ type: "symlink", path: "out", linkPath: outside }], [{ type: "file", path: "out/.wh.victim" }]],
      [[{ type: "symlink", path: "d", linkPath: outside }], [{ type: "directory", path: "d", mode: 0o777, uid: 99 }]],
    ];
    for (const members of attacks) {
      await unpack(archive(members), own).catch(() => {});
      assert.deepEqual(readdirSync(outside), ["victim"]);
      assert.equal(spawnSync("cat", [join(outside, "victim")], { encoding: "utf8" }).stdout, "untouched");
      assert.equal(spawnSync("stat", ["-c", "%u %a", outside], { encoding: "utf8" }).stdout, "0 755\n");
      rmSync(own, { recursive: true });
      mkdirSync(own);
    }
    rmSync(outside, { recursive: true });
  });

  it("fails with the step and its reason when the disk refuses", async () => {
    const small = join(scratch, "small");
    mkdirSync(small);
    assert.equal(spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "onggi-unpack-test", small]).status, 0);
    // An executor of its own, which sees the mount: it copied the mount table when it started.
    const second = await openExecutor({ binary, socketDirectory: small });
    try {
      const tar = archive([[{ type: "file", path: "too-big" }, "x".repeat(3_000_000)]]);
      await assert.rejects(unpack(tar, small, second), { code: "step_failed", errno: "ENOSPC" });
    } finally {
      await second.close();
      spawnSync("umount", [small]);
    }
  });

  it("is the host's image, whose programs run", { skip: !existsSync("/bin/sh") }, async () => {
    const { tree } = hostImage(["sh", "ls", "id"], { os: "linux", architecture: "amd64" });
    await unpack(Buffer.concat(await Array.fromAsync(tree.tar())), own);
    const { stdout, stderr } = spawnSync("chroot", [own, "/bin/sh", "-c", "id -un && ls -d /tmp"], {
      encoding: "utf8",
    });
    assert.equal(stdout, "root\n/tmp\n", stderr);
  });
});

describe("images on a full disk", () => {
  it("say so, and keep nothing of what didn't fit", async () => {
    const root = join(scratch, "full");
    mkdirSync(root);
    assert.equal(spawnSync("mount", ["-t", "tmpfs", "-o", "size=2m", "onggi-unpack-test", root]).status, 0);
    try {
      const sink = new MemorySink();
      const images = await openImages({ root, sink, usedBy: () => [] });
      const tar = archive([[{ type: "file", path: "layer.tar" }, "x".repeat(4_000_000)]]);
      async function* chunks() {
        for (let at = 0; at < tar.length; at += 65_536) yield tar.subarray(at, at + 65_536);
      }
      await assert.rejects(Array.fromAsync(images.load(chunks())), {
        code: "exhausted",
        message: /^no space left on device/,
      });
      assert.deepEqual(readdirSync(join(root, "blobs/sha256")), []);
    } finally {
      spawnSync("umount", [root]);
    }
  });
});

type Members = readonly (readonly [entry: Partial<TarEntry> & Pick<TarEntry, "type" | "path">, content?: string])[];

async function unpack(tar: Buffer, folder: string, through = executor): Promise<void> {
  const path = join(scratch, "layer.tar");
  writeFileSync(path, tar);
  const worker = await through.work([
    { op: "open", slot: tarSlot, path, flags: O_RDONLY },
    { op: "chroot", path: folder },
    { op: "chdir", path: "/" },
  ]);
  try {
    const source = { path, offset: 0, bytes: tar.length };
    const job = { source, compression: "none", want: "ops", whiteouts: "overlay", limits: defaultLimits } as const;
    const take = async ({ ops = [] }: LayerBatch) => void (await worker.run(ops));
    await new LayerThreads().run({ ...job, diffId: digestOf(tar) }, take);
  } finally {
    await worker.close();
  }
}

function extractWithTar(tar: Buffer, folder: string): void {
  const options = ["-x", "-p", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--same-owner", "-C", folder];
  const { status, stderr } = spawnSync("tar", options, { input: tar });
  assert.equal(status, 0, String(stderr));
}

/** A tree as GNU tar reads it, every member in a line; files by their content's hash. */
function treeOf(folder: string): string[] {
  const options = [
    "-c",
    "--format=posix",
    "--sort=name",
    "--numeric-owner",
    "--xattrs",
    "--xattrs-include=*",
    "-C",
    folder,
    ".",
  ];
  const { stdout, status, stderr } = spawnSync("tar", options, { maxBuffer: 64 << 20 });
  assert.equal(status, 0, String(stderr));
  const lines: string[] = [];
  let hash = createHash("sha256");
  const reader = new TarReader({
    entry: ({ type, path, mode, uid, gid, mtimeNs, linkPath, major, minor, size, xattrs }) => {
      const attributes = [...xattrs].map(([name, value]) => `${name}=${Buffer.from(value).toString("hex")}`).sort();
      // Folders that no archive tells of have the time of their making.
      const time = path.includes("long-name") || path === "./bin/" || path === "./dev/" ? "" : mtimeNs;
      lines.push([type, path, mode.toString(8), uid, gid, time, linkPath, major, minor, size, ...attributes].join(" "));
      hash = createHash("sha256");
    },
    data: (bytes) => hash.update(bytes),
    end: () => lines.push(hash.digest("hex")),
  });
  reader.write(stdout);
  reader.end();
  return lines;
}

function archive(members: Members): Buffer {
  const parts = members.flatMap(([entry, content = ""]) => {
    const data = Buffer.from(content);
    return [encodeTarHeader(tarEntry({ ...entry, size: data.length })), data, tarPadding(data.length)];
  });
  return Buffer.concat([...parts, tarEnd()]);
}
