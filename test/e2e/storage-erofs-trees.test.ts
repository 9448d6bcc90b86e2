import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Mount } from "../../src/program/mount.ts";
import { Chains } from "../../src/storage/erofs/chain.ts";
import { importArchive } from "../../src/storage/erofs/import-layer.ts";
import { readImage } from "../../src/storage/erofs/read-image.ts";
import { holeBlock, type Node } from "../../src/storage/erofs/tree.ts";
import { writeImage } from "../../src/storage/erofs/write-image.ts";
import { debianImage, whyNoDebian } from "./image-debian.ts";
import { chanceOf, packLayer, randomLayer, randomTree } from "./random-tree.ts";
import { tarLayer } from "./tar-layer.ts";
import { walkTree } from "./tree-walk.ts";
import { withMounts } from "./with-mounts.ts";

const hasErofs = /\berofs$/m.test(readFileSync("/proc/filesystems", "utf8"));
const skip = hasErofs ? false : "needs a kernel with erofs";
const formats = ["posix", "gnu", "oldgnu"];

describe("a tar as an EROFS image", { skip }, () => {
  let scratch: string;
  let quick: string | undefined;

  before(() => {
    scratch = mkdtempSync(join(tmpdir(), "onggi-trees-"));
  });

  after(() => {
    rmSync(scratch, { recursive: true });
    if (quick !== undefined) rmSync(quick, { recursive: true });
  });

  /** Imports tars as a chain, the lowest first, and shows what it looks like. */
  const look = async <T>(tars: readonly string[], see: (directory: string) => T): Promise<T> => {
    const root = mkdtempSync(join(scratch, "erofs-"));
    const chains = new Chains(root);
    const ids: string[] = [];
    for (const [index, tar] of tars.entries()) {
      const id = `l${index}`;
      await importArchive(join(root, id), tarLayer(tar), index === 0);
      ids.unshift(id);
    }
    const { path, devices } = chains.imageOf(ids);
    const options = devices.map((device) => `device=${device}`);
    const mounts: Mount[] = [{ type: "erofs", source: path, options, readonly: true }];
    try {
      return withMounts(mounts, see);
    } finally {
      rmSync(root, { recursive: true });
    }
  };
  const pack = (folder: string, format: string, more: readonly string[] = []): string => {
    const tar = join(scratch, `${format}-${Date.now()}-${Math.random()}.tar`);
    const attributes = format === "posix" ? ["--xattrs", "--xattrs-include=*", "--acls"] : [];
    execFileSync("tar", [`--format=${format}`, "--sparse", ...attributes, ...more, "-C", folder, "-cf", tar, "."]);
    return tar;
  };
  const unpack = (tar: string): string => {
    const folder = mkdtempSync(join(quick ?? scratch, "unpacked-"));
    const attributes = ["--xattrs", "--xattrs-include=*", "--acls"];
    execFileSync("tar", [...attributes, "--same-owner", "--numeric-owner", "-p", "-C", folder, "-xf", tar]);
    return folder;
  };
  const compare = async (folder: string, format: string, more: readonly string[] = []): Promise<void> => {
    const tar = pack(folder, format, more);
    const unpacked = unpack(tar);
    const expected = walkTree(unpacked);
    const actual = await look([tar], (directory) => walkTree(directory));
    assert.deepEqual(actual, expected);
    rmSync(unpacked, { recursive: true });
    rmSync(tar);
  };
  const made = (script: string): string => {
    const folder = mkdtempSync(join(scratch, "made-"));
    execFileSync("bash", ["-ec", script], { cwd: folder });
    return folder;
  };

  for (const seed of [1, 2, 3, 4]) {
    it(`looks as GNU tar unpacks it: tree ${seed}`, async () => {
      const folder = mkdtempSync(join(scratch, "random-"));
      randomTree(folder, chanceOf(seed), { files: 250 });
      await compare(folder, formats[seed % formats.length] ?? "posix");
    });
  }

  it("looks as GNU tar unpacks it: a whole Debian", { skip: whyNoDebian() }, async () => {
    const { layer } = await debianImage();
    const unpacked = unpack(layer);
    assert.deepEqual(await look([layer], (directory) => walkTree(directory)), walkTree(unpacked));
    rmSync(unpacked, { recursive: true });
  });

  it("has files with holes of every kind, also beyond 4 GiB", async () => {
    const script = [
      "truncate -s 6G end; echo end | dd of=end bs=1 seek=6442450940 conv=notrunc status=none",
      "truncate -s 5G nothing",
      "truncate -s 1G middle; seq 100000 | dd of=middle bs=1M seek=511 conv=notrunc status=none",
      "for i in $(seq 0 2 400); do head -c 4096 /dev/urandom | dd of=comb bs=4096 seek=$i conv=notrunc status=none; done",
      "head -c 4097 /dev/urandom > odd; truncate -s 100001 odd; echo tail >> odd",
      "truncate -s 40M few; for i in 3 7777 9001; do echo $i | dd of=few bs=4096 seek=$i conv=notrunc status=none; done",
    ].join("\n");
    const folder = made(script);
    for (const format of formats) await compare(folder, format);
    for (const version of ["0.0", "0.1", "1.0"]) await compare(folder, "posix", [`--sparse-version=${version}`]);
  });

  it("has folders of 100,000 entries", async () => {
    // Where making files is quick; what is on the disk is the tar.
    quick = mkdtempSync("/dev/shm/onggi-trees-");
    const script = "mkdir big; cd big; seq -f 'an entry with a name of some length %06g' 100000 | xargs -d '\\n' touch";
    execFileSync("bash", ["-ec", `mkdir made; cd made; ${script}`], { cwd: quick });
    await compare(join(quick, "made"), "gnu");
    rmSync(quick, { recursive: true });
    quick = undefined;
  });

  it("has names of 255 bytes, deep paths, long links and names that sort around the dot", async () => {
    const script = [
      "long=$(printf 'n%.0s' {1..255}); echo 1 > $long; mkdir -p $long'x' 2>/dev/null || mkdir d$(printf 'é%.0s' {1..127})",
      "for i in 1 400 480 500 511 512 513 1024 4000; do ln -s \"$(head -c $i /dev/zero | tr '\\0' x)\" link$i; done",
      "touch -- - '!' '#' '.a' '..a' '...' a. ~ $'new\\nline' ' '",
      "at=.; for i in $(seq 60); do at=$at/$(printf 'deep%.0s' {1..10}); mkdir $at; done; echo bottom > $at/file",
    ].join("\n");
    await compare(made(script), "posix");
  });

  it("has attributes: many, binary, large, shared, access lists, capabilities", async () => {
    const script = [
      "for i in $(seq 30); do echo $i > f$i; setfattr -n user.same -v 0x00ff0a00 f$i; setfattr -n user.own$i -v $i f$i; done",
      "setfattr -n user.large -v 0x$(head -c 3000 /dev/zero | tr '\\0' '\\252' | od -An -v -tx1 | tr -d ' \\n') f1",
      "setfattr -n trusted.mine -v 0x00 f2; setfattr -n user.empty f3; setfattr -n security.made -v up f4",
      "setfattr -n user.$(printf 'x%.0s' {1..250}) -v long f5",
      "setfacl -m u:5:rwx,g:70000:r f6; mkdir folder; setfacl -d -m u:5:rwx folder; setfattr -n user.folder -v yes .",
      "setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 f7",
      "ln -s f1 link; setfattr -h -n trusted.link -v on link; for i in $(seq 40); do setfattr -n user.n$i -v v f8; done",
    ].join("\n");
    await compare(made(script), "posix");
  });

  it("has times to the nanosecond, before 1970 and after 2038; owners and modes of all sizes; all kinds of files", async () => {
    const script = [
      "touch -d '1901-01-01 00:00:00.999999999 UTC' old; touch -d '2200-02-03 04:05:06.123456789 UTC' late; touch -d @0 zero",
      "echo > own; chown 65535:65536 own; echo > ids; chown 4294967294:4000000000 ids; chmod 7777 ids; mkdir -m 3775 folder",
      "mkfifo -m 600 pipe; mknod -m 640 char c 5 1; mknod block b 259 1048575; mknod big c 4095 65536; echo x > s; ln s s1; ln s s2",
      "mkdir links; for i in $(seq 70); do ln own links/$i; done; chmod 0 s; touch empty",
    ].join("\n");
    const folder = made(script);
    for (const format of ["posix", "gnu"]) await compare(folder, format);
  });

  it("agrees with fsck.erofs and dump.erofs", { skip: hasTools() ? false : "needs erofs-utils" }, async () => {
    // Those of Debian 12 know blocks of 4096 bytes alone, and no files that lie elsewhere: the tree is written anew for them.
    const folder = mkdtempSync(join(scratch, "random-"));
    randomTree(folder, chanceOf(99), { files: 400 });
    const tar = pack(folder, "posix");
    const root = join(scratch, "for-fsck");
    await importArchive(join(root, "id"), tarLayer(tar), true);
    const tree = readImage(readFileSync(join(root, "id", "layer.erofs")));
    const image = join(scratch, "fsck.erofs");
    emptyContents(tree.root);
    writeFileSync(image, writeImage({ root: tree.root, devices: [] }, { blockBits: 12, uuid: Buffer.alloc(16, 7) }));
    const { status, stderr } = spawnSync("fsck.erofs", [image], { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    const dump = execFileSync("dump.erofs", ["-s", image], { encoding: "utf8" });
    const inodes = execFileSync("bash", ["-c", "find . -printf '%i\\n' | sort -u | wc -l"], {
      cwd: folder,
      encoding: "utf8",
    });
    assert.match(dump, new RegExp(`inode count:\\s+${inodes.trim()}\\n`));
    assert.match(dump, /sb_csum mtime chunked_file/);
  });

  it("shows 100 layers as overlay shows them", async () => {
    const chance = chanceOf(7);
    const folders: string[] = [];
    const tars: string[] = [];
    for (let index = 0; index < 100; index++) {
      const folder = join(scratch, `overlay-${index}`);
      mkdirSync(folder);
      const hidings = randomLayer(folder, chance);
      const tar = join(scratch, `layer-${index}.tar`);
      packLayer(folder, hidings, tar, 1_000_000 + index);
      folders.push(folder);
      tars.push(tar);
    }
    const lowers = folders.map((_, index) => `overlay-${folders.length - 1 - index}`).join(":");
    const merged = join(scratch, "merged");
    mkdirSync(merged);
    execFileSync("mount", ["-t", "overlay", "overlay", "-o", `lowerdir=${lowers},ro`, merged], { cwd: scratch });
    let expected: readonly string[];
    try {
      expected = walkTree(merged, { links: false });
    } finally {
      execFileSync("umount", [merged]);
    }
    assert.ok(expected.length > 100, `${expected.length} files`);
    assert.deepEqual(await look(tars, (directory) => walkTree(directory, { links: false })), expected);
  });
});

/** Turns all contents into holes. */
function emptyContents(folder: Node): void {
  for (const node of folder.children?.values() ?? []) {
    emptyContents(node);
    const chunks = node.content?.chunks ?? [];
    for (let at = 0; at < chunks.length; at += 2) chunks.splice(at, 2, 0, holeBlock);
  }
}

function hasTools(): boolean {
  return ["fsck.erofs", "dump.erofs"].every((name) => existsSync(`/usr/bin/${name}`) || existsSync(`/sbin/${name}`));
}
