import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { bytesOf } from "../../src/base/byte-text.ts";
import type { Executor, Worker } from "../../src/executor/executor.ts";
import { openExecutor } from "../../src/executor/spawner.ts";
import { OpenFile, readEntry, readFiles, scanTree, type TreeEntry } from "../../src/executor/tree-reader.ts";
import type { Op } from "../../src/program/op.ts";

const binary = join(import.meta.dirname, "../../build/onggi-exec");

let scratch: string;
let executor: Executor;

before(async () => {
  scratch = mkdtempSync(join(tmpdir(), "onggi-tree-"));
  executor = await openExecutor({ binary, socketDirectory: scratch });
});

after(async () => {
  await executor.close();
  rmSync(scratch, { recursive: true });
});

function sh(script: string): string {
  const { status, stdout, stderr } = spawnSync("bash", ["-ec", script], { cwd: scratch, encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return stdout;
}

/** A worker that sees `directory` as its root, and nothing else. */
async function jailed<T>(directory: string, use: (worker: Worker) => Promise<T>): Promise<T> {
  const worker = await executor.work([
    { op: "chroot", path: join(scratch, directory) },
    { op: "chdir", path: "/" },
    { op: "jail" },
  ]);
  try {
    return await use(worker);
  } finally {
    await worker.close();
  }
}

function scan(directory: string): Promise<TreeEntry[]> {
  return jailed(directory, (worker) => Array.fromAsync(scanTree(worker, "/", { xattrs: true })));
}

describe("scanTree", () => {
  it("tells all that belongs to an entry, of every type, opening none", async () => {
    sh(`mkdir all; cd all; mkdir -m 1777 d; echo text > d/file; ln d/file d/hard; ln -s /etc/passwd d/link; mkfifo d/fifo
      mknod -m 600 d/null c 1 3; mknod d/disk b 7 200; touch $'d/new\\nline' $'d/\\xff\\xfe'
      python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("d/socket")'
      chown 12:34 d/file; chmod 4755 d/file; touch -d @1.123456789 d/file
      setfattr -n user.binary -v 0x00ff0a d/file; setfattr -n trusted.on-a-link -v yes -h d/link; setfattr -n user.of-folder -v x d`);

    const entries = await scan("all");
    const of = (path: string) => entries.find((entry) => entry.path === path) ?? assert.fail(path);

    const names = ["", "d", "d/disk", "d/fifo", "d/file", "d/hard", "d/link", "d/new\nline", "d/null", "d/socket"];
    assert.deepEqual(
      entries.map(({ path }) => path),
      [...names, "d/\udcff\udcfe"],
    );
    const { mode, uid, gid, size, mtimeNs, links, inode, xattrs } = of("d/file");
    assert.deepEqual([mode, uid, gid, size, mtimeNs, links], [0o4755, 12, 34, 5, 1_123_456_789n, 2]);
    assert.equal(inode, of("d/hard").inode);
    assert.deepEqual([...xattrs], [["user.binary", Uint8Array.of(0, 0xff, 0x0a)]]);
    assert.deepEqual([of("d").mode, [...of("d").xattrs.keys()]], [0o1777, ["user.of-folder"]]);
    assert.deepEqual([of("d/link").linkPath, [...of("d/link").xattrs.keys()]], ["/etc/passwd", ["trusted.on-a-link"]]);
    const types = ["d/disk", "d/fifo", "d/null", "d/socket"].map((path) => of(path).type);
    assert.deepEqual(types, ["block", "fifo", "char", "socket"]);
    assert.deepEqual([of("d/null").major, of("d/null").minor, of("d/disk").minor], [1, 3, 200]);
  });

  it("reads 100,000 entries in the order of their bytes, in pages", async () => {
    // In memory: a disk takes long for so many.
    const memory = mkdtempSync("/dev/shm/onggi-many-");
    symlinkSync(memory, join(scratch, "many"));
    sh(`cd ${memory}; seq 100000 | xargs touch`);

    const entries = await scan("many").finally(() => rmSync(memory, { recursive: true }));

    const sorted = Array.from({ length: 100_000 }, (_, index) => `${index + 1}`).toSorted();
    assert.deepEqual(
      entries.map(({ path }) => path),
      ["", ...sorted],
    );
  });

  it("reads a tree that is deeper than a path may be long", async () => {
    sh(`python3 -c 'import os
os.mkdir("deep"); os.chdir("deep")
for i in range(1500): os.mkdir("abcd"); os.chdir("abcd")'`);

    const entries = await scan("deep");

    assert.equal(entries.length, 1501);
    assert.equal(bytesOf(entries.at(-1)?.path ?? "").length, 1500 * 5 - 1);
    sh("rm -r deep");
  });

  it("goes on while another process changes the tree under it", async () => {
    sh("mkdir -p moving/{0..99}; mkdir outside; touch outside/never");
    const changer = spawn("bash", [
      "-c",
      `cd ${scratch}/moving; while :; do for i in {0..99}; do rm -r $i; ln -s ../../outside $i; touch x$i; rm $i x$i; mkdir -p $i/deep/er; done; done`,
    ]);
    try {
      for (let round = 0; round < 100; round++) {
        const entries = await scan("moving");
        assert.ok(entries.length > 0);
        assert.ok(!entries.some(({ path }) => path.includes("never")));
      }
    } finally {
      changer.kill("SIGKILL");
      await new Promise((resolve) => changer.once("exit", resolve));
    }
  });

  it("tells of other file systems without entering them, as asked", async () => {
    sh("mkdir -p mounts/own mounts/other");
    const worker = await executor.work([
      { op: "unshare", flags: 0x20000 },
      { op: "mount", source: "none", target: "/", type: "", flags: 0x4000 | 0x40000, data: "" },
      { op: "mount", source: "x", target: join(scratch, "mounts/other"), type: "tmpfs", flags: 0, data: "" },
      { op: "chroot", path: join(scratch, "mounts") },
      { op: "chdir", path: "/" },
      { op: "mkdir", path: "/other/inside", mode: 0o755 },
    ]);
    const paths = async (oneFileSystem: boolean) =>
      (await Array.fromAsync(scanTree(worker, "/", { oneFileSystem }))).map(({ path }) => path);

    assert.deepEqual(await paths(true), ["", "other", "own"]);
    assert.deepEqual(await paths(false), ["", "other", "other/inside", "own"]);
    await worker.close();
  });

  it("says of one path what is there, following a link when asked, and undefined for nothing", async () => {
    sh("mkdir -p one/d; echo abc > one/d/f; ln -s /d/f one/l; ln -s nowhere one/dangling");

    await jailed("one", async (worker) => {
      assert.deepEqual(
        [(await readEntry(worker, "/l"))?.type, (await readEntry(worker, "/l"))?.linkPath],
        ["symlink", "/d/f"],
      );
      assert.equal((await readEntry(worker, "/l", { follow: true }))?.size, 4);
      assert.equal(await readEntry(worker, "/no"), undefined);
      assert.equal(await readEntry(worker, "/dangling", { follow: true }), undefined);
      assert.equal(await readEntry(worker, "/d/f/x"), undefined);
    });
  });
});

describe("OpenFile", () => {
  it("reads ranges, and tells where data lies in a file with holes", async () => {
    sh("mkdir sparse; cd sparse; truncate -s 8M f; printf data | dd of=f bs=1 seek=4194304 conv=notrunc status=none");

    await jailed("sparse", async (worker) => {
      const file = await OpenFile.open(worker, "/f");
      const extents = await file.extents();
      const data = Buffer.concat(await Array.fromAsync(file.read({ offset: 4_194_304, length: 4 })));
      const beyond = await Array.fromAsync(file.read({ offset: 8 * 1024 * 1024 - 2, length: 100 }));
      await file.close();

      assert.equal(extents.length, 1);
      assert.equal(extents[0]?.offset, 4_194_304);
      assert.equal(data.toString(), "data");
      assert.deepEqual(Buffer.concat(beyond), Buffer.alloc(2));
    });
  });

  it("opens neither pipes nor devices nor links", async () => {
    sh("mkdir odd; cd odd; mkfifo fifo; mknod null c 1 3; ln -s /x link; mkdir folder");

    await jailed("odd", async (worker) => {
      for (const name of ["fifo", "null", "link", "folder"]) {
        await assert.rejects(OpenFile.open(worker, `/${name}`), /ENXIO/, name);
      }
      assert.deepEqual(await readFiles(worker, [{ path: "/fifo", maxBytes: 10 }]), ["ENXIO"]);
    });
  });
});

describe("readFiles", () => {
  it("reads many, and says of each that it can't why", async () => {
    sh("mkdir small; cd small; printf 1 > a; printf 22 > b; : > empty; truncate -s 100 large");
    const files = ["/a", "/gone", "/b", "/large", "/empty"].map((path) => ({ path, maxBytes: 10 }));

    const answers = await jailed("small", (worker) => readFiles(worker, files));

    const texts = answers.map((answer) => (typeof answer === "string" ? answer : Buffer.from(answer).toString()));
    assert.deepEqual(texts, ["1", "ENOENT", "22", "EFBIG", ""]);
  });
});

describe("a worker in a jail", () => {
  it("follows links inside its root only, and none of /proc out of it", async () => {
    const outside = join(scratch, "secret");
    mkdirSync(outside);
    mkdirSync(join(scratch, "cage/proc"), { recursive: true });
    mkdirSync(join(scratch, "cage/usr/lib"), { recursive: true });
    symlinkSync("usr/lib", join(scratch, "cage/lib"));
    symlinkSync("/../../../usr", join(scratch, "cage/up"));
    symlinkSync(`/proc/${process.pid}/root`, join(scratch, "cage/host"));
    const worker = await executor.work([
      { op: "unshare", flags: 0x20000 },
      { op: "mount", source: "none", target: "/", type: "", flags: 0x4000 | 0x40000, data: "" },
      { op: "mount", source: "proc", target: join(scratch, "cage/proc"), type: "proc", flags: 0, data: "" },
      { op: "chroot", path: join(scratch, "cage") },
      { op: "chdir", path: "/" },
      { op: "jail" },
    ]);
    const file = (path: string): Op => ({ op: "writeFile", path, data: path, mode: 0o600 });

    await worker.run([file("/lib/a"), file("/up/b"), { op: "mkdir", path: "up/lib/../c", mode: 0o700 }]);
    await worker.run([
      { op: "link", target: "/lib/a", path: "/c" },
      { op: "rename", from: "/up/b", to: "/lib/moved" },
      { op: "symlink", target: "anywhere", path: "/lib/link" },
      { op: "chmod", path: "/", mode: 0o711 },
    ]);
    for (const path of ["/host", `/proc/${process.pid}/root`, "/proc/self/cwd"]) {
      await assert.rejects(worker.run([file(`${path}${outside}/x`)]), /ELOOP/);
      await assert.rejects(readEntry(worker, `${path}${outside}`), /ELOOP/);
    }
    await worker.close();

    assert.equal(readFileSync(join(scratch, "cage/usr/lib/a"), "utf8"), "/lib/a");
    assert.equal(spawnSync("ls", [outside]).stdout.length, 0);
  });

  it("stays inside while a folder on the way turns into a link that leads out, hundreds of times", async () => {
    mkdirSync(join(scratch, "race/d"), { recursive: true });
    const outside = join(scratch, "target");
    mkdirSync(outside);
    writeFileSync(join(outside, "kept"), "kept");
    const changer = spawn("python3", [
      "-c",
      `import os
os.chdir(${JSON.stringify(join(scratch, "race"))})
os.symlink(${JSON.stringify(outside)}, "link")
while True:
    os.rename("d", "e"); os.rename("link", "d"); os.rename("d", "link"); os.rename("e", "d")`,
    ]);
    let written = 0;
    try {
      await jailed("race", async (worker) => {
        for (let round = 0; round < 500; round++) {
          const path = `/d/f${round}`;
          await worker.run([{ op: "writeFile", path, data: "x", mode: 0o600 }]).then(
            () => written++,
            () => {},
          );
          await worker.run([{ op: "remove", path: "/d/kept" }]).catch(() => {});
        }
      });
    } finally {
      changer.kill("SIGKILL");
      await new Promise((resolve) => changer.once("exit", resolve));
    }
    assert.ok(written > 0, "the folder was there sometimes");
    assert.equal(spawnSync("ls", [outside], { encoding: "utf8" }).stdout, "kept\n");
  });

  it("removes what is no folder, when only that is asked for", async () => {
    sh("mkdir -p only/d; touch only/f; ln -s d only/l");

    await jailed("only", async (worker) => {
      await worker.run([
        { op: "remove", path: "/f", onlyFile: true },
        { op: "remove", path: "/l", onlyFile: true },
      ]);
      await assert.rejects(worker.run([{ op: "remove", path: "/d", onlyFile: true }]), /EISDIR/);
    });
    assert.equal(spawnSync("ls", [join(scratch, "only")], { encoding: "utf8" }).stdout, "d\n");
    assert.throws(() => readlinkSync(join(scratch, "only/l")));
  });
});
