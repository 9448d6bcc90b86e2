/** Images in a real data root: layers unpacked side by side, kept once, made again, and what a full disk or a bad archive leaves. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { isErrno } from "../../src/base/errno.ts";
import { type TarEntry, tarEntry } from "../../src/image/tar-entry.ts";
import { encodeTarHeader, tarEnd, tarPadding } from "../../src/image/tar-writer.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { startDaemon, type TestDaemon } from "./harness.ts";
import { formatterOf, type LoopDisk, makeLoopDisk } from "./loop-disk.ts";

const cli = join(import.meta.dirname, "../../build/cli.js");

let scratch: string;
before(() => {
  scratch = mkdtempSync(join(tmpdir(), "onggi-once-"));
});
after(() => rmSync(scratch, { recursive: true, force: true }));

for (const driver of ["overlay", "erofs", "vfs"]) {
  describe(`an image's layers on ${driver}`, () => {
    let daemon: TestDaemon | undefined;
    let missing: string | undefined;
    before(async () => {
      daemon = await startDaemon({ args: ["--storage-driver", driver] }).catch((error: Error) => {
        missing = /(no storage driver can work|unsupported)[^\n]*/.exec(error.message)?.[0];
        if (missing === undefined) throw error;
        return undefined;
      });
    });
    after(() => daemon?.stop());

    it("are unpacked side by side, kept once, and saved as they were", async (test) => {
      if (daemon === undefined) return test.skip(missing ?? "");
      const layers = [await hostLayer(), ...changes];
      const path = archive(`kept-${driver}.tar`, layers);
      const empty = inodesBelow(daemon.root);

      await succeeds(daemon, ["load", "-i", path]);

      assert.equal(readdirSync(join(daemon.root, "blobs/sha256")).length, 2, "more than config and manifest");
      const seen = await succeeds(daemon, ["run", "--rm", "--network", "none", "kept:1", "/bin/sh", "-c", look]);
      assert.deepEqual(seen.split("\n"), [...looks, ""]);
      const saved = join(scratch, "saved.tar");
      await succeeds(daemon, ["save", "-o", saved, "kept:1"]);
      const files = execFileSync("tar", ["-tf", saved], { encoding: "utf8" }).split("\n");
      for (const layer of layers) {
        const name = `blobs/sha256/${digestOf(layer).slice(7)}`;
        assert.ok(files.includes(name));
        const hash = createHash("sha256").update(execFileSync("tar", ["-xOf", saved, name], { maxBuffer: 1 << 28 }));
        assert.equal(`sha256:${hash.digest("hex")}`, digestOf(layer));
      }

      // From stdin it comes bit by bit; what is there already isn't unpacked again.
      await succeeds(daemon, ["load"], readFileSync(saved));
      // A file that is redirected is named to the daemon.
      const redirected = ["-c", '"$0" "$1" -H "$2" load < "$3"', process.execPath, cli, daemon.host, saved];
      assert.match(execFileSync("sh", redirected, { encoding: "utf8" }), /Loaded image: kept:1/);
      await succeeds(daemon, ["rmi", "kept:1"]);
      assert.deepEqual(readdirSync(join(daemon.root, "layers")), []);
      await until(() => daemon !== undefined && inodesBelow(daemon.root) <= empty + 2);
    });

    it("refuse an archive that lies, climbs or unfolds without end, and leave nothing of it", async (test) => {
      if (daemon === undefined) return test.skip(missing ?? "");
      const good = layer([{ type: "file", path: "good" }, "x".repeat(100_000)]);
      const lying = layer([{ type: "file", path: "good" }, "y".repeat(100_000)]);
      const bomb = gzipSync(layer([{ type: "file", path: "zeros" }, "\0".repeat(8 << 20)]));
      const cases: [string, Buffer[], RegExp, Buffer[]?][] = [
        ["a digest", [good, lying], /layer sha256:\w+ is damaged: its tar has the digest/, [good, good]],
        ["climbing", [good, layer([{ type: "file", path: "../../etc/x" }])], /leads out of the layer/],
        [
          "a link out",
          [layer([{ type: "hardlink", path: "x", linkPath: "../../etc/passwd" }])],
          /leads out of the layer/,
        ],
        [
          "links through links",
          [
            layer(
              [{ type: "symlink", path: "a", linkPath: "b" }],
              [{ type: "symlink", path: "b", linkPath: "a" }],
              [{ type: "file", path: "a/x" }],
            ),
          ],
          /leads in a circle/,
        ],
        ["a deletion in disguise", [layer([{ type: "char", path: "etc/passwd" }])], /device 0:0 at \/etc\/passwd/],
        ["a long name", [layer([{ type: "file", path: "n".repeat(300) }])], /has 300 bytes, a file's has 255 at most/],
        ["a long path", [layer([{ type: "file", path: "d/".repeat(3000) }])], /more than 4096 bytes/],
        ["a cut", [good.subarray(0, 3000)], /cut short/, [good.subarray(0, 3000)]],
        [
          "a bomb",
          [good, bomb],
          /unfolds to more than 4194304 bytes/,
          [good, layer([{ type: "file", path: "zeros" }, "\0".repeat(8 << 20)])],
        ],
      ];
      const limited = await startDaemon({ args: ["--storage-driver", driver, "--max-layer-bytes", String(4 << 20)] });
      try {
        const before = inodesBelow(limited.root);
        for (const [what, layers, reason, claimed] of cases) {
          const path = archive("bad.tar", layers, claimed);
          const { code, stderr, stdout } = await limited.onggi(["load", "-i", path]);
          assert.notEqual(code, 0, what);
          assert.match(stderr + stdout, reason, what);
          assert.equal((await succeeds(limited, ["images", "-q"])).trim(), "", what);
          assert.deepEqual(readdirSync(join(limited.root, "blobs/sha256")), [], what);
          assert.deepEqual(readdirSync(join(limited.root, "layers")), [], what);
        }
        await until(() => inodesBelow(limited.root) <= before + 2);
        const dashed = archive("good.tar", [good, layer([{ type: "char", path: "dev/null", major: 1, minor: 3 }])]);
        await succeeds(limited, ["load", "-i", dashed]);
      } finally {
        await limited.stop();
      }
    });
  });
}

describe("a disk that fills while layers are unpacked", {
  skip: formatterOf("ext4") === undefined ? "needs mkfs.ext4" : false,
}, () => {
  let disk: LoopDisk;
  before(() => {
    disk = makeLoopDisk("ext4", 96 << 20, ["-q", "-m", "0"]);
  });
  after(() => disk.remove());

  for (const driver of ["overlay", "erofs"]) {
    it(`is told as such, and nothing is left (${driver})`, async (test) => {
      const root = join(disk.directory, driver);
      const runRoot = join(scratch, `run-${driver}`);
      const daemon = await startDaemon({ root, runRoot, args: ["--storage-driver", driver] }).catch(() => undefined);
      if (daemon === undefined) return test.skip(`the driver ${driver} can't work here`);
      try {
        const small = archive("small.tar", [layer([{ type: "file", path: "a" }, "b"])]);
        await succeeds(daemon, ["load", "-i", small]);
        const before = usedBytes(disk.directory);
        const layers = [1, 2, 3].map((serial) =>
          layer([{ type: "file", path: `f${serial}` }, String(serial).repeat(40 << 20)]),
        );

        for (const stdin of [false, true]) {
          const big = archive("big.tar", layers);
          const { code, stderr, stdout } = await daemon.onggi(
            stdin ? ["load"] : ["load", "-i", big],
            stdin ? { input: readFileSync(big) } : {},
          );
          assert.notEqual(code, 0);
          assert.match(stderr + stdout, /no space left on device|no room for/);
        }

        await until(() => usedBytes(disk.directory) <= before + (1 << 20));
        assert.equal((await succeeds(daemon, ["images", "-q"])).trim().split("\n").length, 1);
        await succeeds(daemon, ["load", "-i", small]);
      } finally {
        await daemon.stop();
        rmSync(root, { recursive: true, force: true });
      }
    });
  }
});

type Member = readonly [entry: Partial<TarEntry> & Pick<TarEntry, "type" | "path">, content?: string];

/** What the upper layers change, and how it looks from inside. */
const changes = [
  layer(
    [{ type: "directory", path: "./", mode: 0o711, mtimeNs: 1_000_000_000n }],
    [{ type: "file", path: "opt/a/.wh.gone" }],
    [{ type: "file", path: "opt/b/.wh..wh..opq" }],
    [{ type: "file", path: "opt/b/new", mode: 0o4755, uid: 7, gid: 8 }, "new"],
    [{ type: "symlink", path: "opt/link", linkPath: "/opt/b/new" }],
  ),
  layer(
    [{ type: "file", path: "opt/twice" }, "first"],
    [{ type: "file", path: "opt/twice" }, "second"],
    [{ type: "hardlink", path: "opt/hard", linkPath: "opt/twice" }],
  ),
];
const look =
  "ls /opt/a /opt/b; stat -c '%a %u %g' /opt/b/new; cat /opt/link /opt/hard; echo; stat -c %h /opt/twice; stat -c %a /";
const looks = ["/opt/a:", "kept", "", "/opt/b:", "new", "4755 7 8", "newsecond", "2", "711"];

/** A lowest layer with a shell, and files for the upper ones to change. */
async function hostLayer(): Promise<Buffer> {
  const { hostImage } = await import("../../src/image/from-host.ts");
  const { tree } = hostImage(["sh", "ls", "stat", "cat"], { os: "linux", architecture: "amd64" });
  for (const path of ["/opt/a/gone", "/opt/a/kept", "/opt/b/old"]) tree.addFile(path, "lower");
  return Buffer.concat(await Array.fromAsync(tree.tar()));
}

function layer(...members: (Member | Partial<TarEntry> | string)[]): Buffer {
  const list = Array.isArray(members[0]) ? (members as Member[]) : [members as unknown as Member];
  const parts = list.flatMap(([entry, content = ""]) => {
    const data = Buffer.from(content);
    return [encodeTarHeader(tarEntry({ ...entry, size: data.length })), data, tarPadding(data.length)];
  });
  return Buffer.concat([...parts, tarEnd()]);
}

/** Writes a docker archive; `claimed` are the layers that its config tells of. */
function archive(name: string, layers: readonly Buffer[], claimed: readonly Buffer[] = layers): string {
  const folder = mkdtempSync(join(scratch, "archive-"));
  const config = {
    ...{ architecture: process.arch === "arm64" ? "arm64" : "amd64", os: "linux", config: { Cmd: ["/bin/sh"] } },
    rootfs: { type: "layers", diff_ids: claimed.map((one) => digestOf(one)) },
  };
  const names = layers.map((one, index) => {
    writeFileSync(join(folder, `${index}.tar`), one);
    return `${index}.tar`;
  });
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  writeFileSync(
    join(folder, "manifest.json"),
    JSON.stringify([{ Config: "config.json", RepoTags: ["kept:1"], Layers: names }]),
  );
  const path = join(scratch, name);
  execFileSync("tar", ["-cf", path, "-C", folder, ...names, "config.json", "manifest.json"]);
  rmSync(folder, { recursive: true });
  return path;
}

async function succeeds(daemon: TestDaemon, args: readonly string[], input?: Buffer): Promise<string> {
  const { code, stdout, stderr } = await daemon.onggi(args, input === undefined ? {} : { input });
  assert.equal(code, 0, `onggi ${args.join(" ")}: ${stderr}${stdout}`);
  return stdout;
}

/** While something is being deleted there are more than can be counted. */
function inodesBelow(folder: string): number {
  try {
    return readdirSync(join(folder, "snapshots"), { recursive: true }).length;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return Number.POSITIVE_INFINITY;
    throw error;
  }
}

function usedBytes(folder: string): number {
  const { blocks, bfree, bsize } = statfsSync(folder);
  return (blocks - bfree) * bsize;
}

async function until(isSo: () => boolean): Promise<void> {
  for (let attempt = 0; attempt < 150 && !isSo(); attempt++) await sleep(100);
  assert.ok(isSo(), "it is left");
}
