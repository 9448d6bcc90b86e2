import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import { isOnggiError } from "../base/error.ts";
import { type TarEntry, type TarEntryType, tarEntry } from "./tar-entry.ts";
import { TarReader } from "./tar-reader.ts";
import { encodeSparseHeader, encodeTarHeader, tarEnd, tarPadding } from "./tar-writer.ts";

interface Member {
  readonly entry: TarEntry;
  readonly data: Buffer;
}

describe("a tar", () => {
  it("reads back as it was written, however it is cut into chunks", () => {
    fc.assert(
      fc.property(
        fc.array(anyMember(), { maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 20 }),
        (members, cuts) => {
          fc.pre(members.length > 0);
          const read = readAll(write(members), cuts);
          assert.deepEqual(read, members);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("is the same for the same entries", () => {
    const member = {
      entry: tarEntry({
        type: "file",
        path: "a".repeat(300),
        xattrs: new Map([
          ["user.b", Buffer.of(0, 255)],
          ["user.a", Buffer.of(1)],
        ]),
      }),
      data: Buffer.alloc(0),
    };
    const swapped = { ...member, entry: { ...member.entry, xattrs: new Map([...member.entry.xattrs].reverse()) } };
    assert.deepEqual(write([member]), write([swapped]));
  });

  it("survives any damage with a clear error or without one, but never another", () => {
    const whole = write([
      {
        entry: tarEntry({ type: "file", path: `d/${"x".repeat(200)}`, size: 700, mtimeNs: 5n }),
        data: Buffer.alloc(700, 1),
      },
      { entry: tarEntry({ type: "symlink", path: "l", linkPath: "ü".repeat(80) }), data: Buffer.alloc(0) },
    ]);
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.nat(whole.length), (at, value, length) => {
        const damaged = Buffer.from(whole.subarray(0, length));
        if (at < damaged.length) damaged[at] = value;
        try {
          readAll(damaged, [1000]);
        } catch (error) {
          assert.ok(isOnggiError(error, "corrupt") || isOnggiError(error, "unsupported"), String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("is refused when it is cut short, but not for want of its last blocks", () => {
    const whole = write([{ entry: tarEntry({ type: "file", path: "f", size: 600 }), data: Buffer.alloc(600, 1) }]);
    for (const length of [0, 1, 511, 513, 1100, 1200]) {
      assert.throws(() => readAll(whole.subarray(0, length), [700]), /cut short/, `${length} bytes`);
    }
    assert.equal(readAll(whole.subarray(0, 512 + 1024), [700]).length, 1);
  });

  it("is refused when a number, a length or a checksum is wrong", () => {
    const header = Buffer.from(encodeTarHeader(tarEntry({ type: "file", path: "f" })));
    const patched = (offset: number, text: string) => {
      const block = Buffer.from(header);
      block.write(text, offset, "latin1");
      return rehashed(block);
    };
    assert.throws(() => readAll(patched(124, "0000000009x\0"), [512]), /isn't octal/);
    assert.throws(() => readAll(Buffer.from(header.fill("z", 0, 1)), [512]), /checksum is wrong/);
    assert.throws(() => readAll(Buffer.concat([extended("x", "20 path=a\n")]), [512]), /pax header has a wrong length/);
    assert.throws(() => readAll(Buffer.concat([extended("x", "8 patha\n")]), [512]), /record without a value/);
    assert.throws(() => readAll(patched(124, "77777777777"), [512]), /cut short/);
  });

  it("reads base-256 numbers, negative times, and device numbers", () => {
    const header = Buffer.from(encodeTarHeader(tarEntry({ type: "char", path: "c", major: 1, minor: 3 })));
    header.writeUInt32BE(0x80000000, 108);
    header.writeUInt32BE(3_000_000_000, 112); // uid
    header.fill(0xff, 136, 148); // mtime -1
    const [read] = readAll(Buffer.concat([rehashed(header), tarEnd()]), [512]);
    assert.deepEqual(
      [read?.entry.uid, read?.entry.mtimeNs, read?.entry.major, read?.entry.minor],
      [3_000_000_000, -1_000_000_000n, 1, 3],
    );
  });

  it("takes a folder from an old header that marks it by a slash, and passes over what it doesn't know", () => {
    const unknown = Buffer.from(encodeTarHeader(tarEntry({ type: "file", path: "v", size: 3 })));
    unknown.write("V", 156);
    const folder = Buffer.from(encodeTarHeader(tarEntry({ type: "file", path: "dir/" })));
    folder.write("\0", 156, "latin1");
    const read = readAll(Buffer.concat([rehashed(unknown), Buffer.alloc(512), rehashed(folder), tarEnd()]), [512]);
    assert.deepEqual(
      read.map(({ entry }) => [entry.type, entry.path]),
      [["directory", "dir/"]],
    );
  });

  it("takes global pax headers until they are taken back", () => {
    const global = extended("g", "9 uid=77\n");
    const member = encodeTarHeader(tarEntry({ type: "fifo", path: "p" }));
    const back = extended("x", "7 uid=\n");
    const read = readAll(Buffer.concat([global, member, back, member, tarEnd()]), [512]);
    assert.deepEqual(
      read.map(({ entry }) => entry.uid),
      [77, 0],
    );
  });

  it("keeps names that are no UTF-8, and writes them as they were", () => {
    const header = Buffer.from(encodeTarHeader(tarEntry({ type: "file", path: "caf?" })));
    header[3] = 0xe9;
    const [member] = readAll(Buffer.concat([rehashed(header), tarEnd()]), [512]);
    assert.equal(member?.entry.path, "caf\udce9");

    const written = encodeTarHeader(tarEntry({ type: "symlink", path: "caf\udce9", linkPath: "\udcff" }));
    const [again] = readAll(Buffer.concat([written, tarEnd()]), [512]);
    assert.deepEqual([again?.entry.path, again?.entry.linkPath], ["caf\udce9", "\udcff"]);
  });

  it("writes files with holes that it reads again", () => {
    const entry = tarEntry({ type: "file", path: `${"long/".repeat(40)}sparse`, size: 10_000_000 });
    const header = encodeSparseHeader(entry, [
      [512, 3],
      [9_000_000, 2],
    ]);
    const archive = Buffer.concat([header, Buffer.from("abcde"), tarPadding(5), tarEnd()]);
    const [member] = readAll(archive, [512, 100]);

    const expected = Buffer.alloc(10_000_000);
    expected.write("abc", 512);
    expected.write("de", 9_000_000);
    assert.equal(member?.entry.path, entry.path);
    assert.ok(member?.data.equals(expected));
  });
});

describe("an archive of GNU tar", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "onggi-tar-"));
    const file = openSync(join(folder, "sparse"), "w");
    for (let index = 0; index < 30; index++) writeSync(file, `piece ${index}`, index * 1_000_000);
    ftruncateSync(file, 40_000_000);
    closeSync(file);
    writeFileSync(join(folder, "n".repeat(180)), "long");
  });
  after(() => rmSync(folder, { recursive: true }));

  for (const format of [["gnu"], ["posix", "0.0"], ["posix", "0.1"], ["posix", "1.0"], ["oldgnu"]]) {
    it(`keeps holes and long names in format ${format.join(" ")}`, () => {
      const version = format[1] === undefined ? [] : [`--sparse-version=${format[1]}`];
      const options = ["-cS", `--format=${format[0]}`, ...version, "-C", folder, "sparse", "n".repeat(180)];
      const { stdout, stderr, status } = spawnSync("tar", options, { maxBuffer: 64 << 20 });
      assert.equal(status, 0, String(stderr));
      assert.ok(stdout.length < 1_000_000);

      const holes: number[] = [];
      const read = readAll(stdout, [777], holes);

      assert.deepEqual(
        read.map(({ entry }) => [entry.path, entry.size]),
        [
          ["sparse", 40_000_000],
          ["n".repeat(180), 4],
        ],
      );
      assert.ok(read[0]?.data.equals(readFileSync(join(folder, "sparse"))));
      assert.ok(holes.reduce((sum, hole) => sum + hole, 0) > 39_000_000);
    });
  }
});

function anyMember(): fc.Arbitrary<Member> {
  const part = fc.string({
    unit: fc.constantFrom("a", "b", "-", ".", " ", "é", "漢", "\u{1f3fa}"),
    minLength: 1,
    maxLength: 60,
  });
  const path = fc.array(part, { minLength: 1, maxLength: 8 }).map((parts) => parts.join("/"));
  const types: TarEntryType[] = ["file", "hardlink", "symlink", "char", "block", "directory", "fifo"];
  return fc
    .record({
      type: fc.constantFrom(...types),
      path,
      mode: fc.nat(0o7777),
      uid: fc.oneof(fc.nat(70000), fc.nat(2 ** 32 - 2)),
      gid: fc.nat(2 ** 31 - 1),
      mtimeNs: fc.bigInt({ min: -(10n ** 18n), max: 4n * 10n ** 18n }),
      linkPath: path,
      device: fc.nat(2 ** 20),
      xattrs: fc.uniqueArray(
        fc.tuple(fc.constantFrom("user.a", "security.capability", "trusted.x=y?"), fc.uint8Array({ maxLength: 30 })),
        {
          selector: ([name]) => name.replace("=", ""),
          maxLength: 3,
        },
      ),
      data: fc.uint8Array({ maxLength: 1500 }),
    })
    .map(({ type, path: written, linkPath, device, xattrs, data, ...rest }) => {
      const isLink = type === "hardlink" || type === "symlink";
      const isDevice = type === "char" || type === "block";
      const entry = tarEntry({
        ...rest,
        type,
        path: type === "directory" ? `${written}/` : written,
        size: type === "file" ? data.length : 0,
        linkPath: isLink ? linkPath : "",
        major: isDevice ? device % 4096 : 0,
        minor: isDevice ? device : 0,
        xattrs: new Map(xattrs.map(([name, value]) => [name.replace("=y?", ""), value])),
      });
      return { entry, data: type === "file" ? Buffer.from(data) : Buffer.alloc(0) };
    });
}

function write(members: readonly Member[]): Buffer {
  const parts = members.flatMap(({ entry, data }) => [encodeTarHeader(entry), data, tarPadding(data.length)]);
  return Buffer.concat([...parts, tarEnd()]);
}

function readAll(tar: Buffer, cuts: readonly number[], holes: number[] = []): Member[] {
  const members: { entry: TarEntry; parts: Buffer[] }[] = [];
  const reader = new TarReader({
    entry: (entry) => members.push({ entry, parts: [] }),
    data: (bytes, hole) => {
      holes.push(hole);
      members.at(-1)?.parts.push(Buffer.alloc(hole), Buffer.from(bytes));
    },
    end: () => {},
  });
  for (let at = 0, turn = 0; at < tar.length; turn++) {
    const length = cuts[turn % cuts.length] ?? 512;
    reader.write(tar.subarray(at, at + length));
    at += length;
  }
  reader.end();
  return members.map(({ entry, parts }) => ({
    entry: { ...entry, xattrs: new Map([...entry.xattrs].map(([name, value]) => [name, value])) },
    data: Buffer.concat(parts),
  }));
}

function extended(flag: string, body: string): Buffer {
  const header = Buffer.from(encodeTarHeader(tarEntry({ type: "file", path: "PaxHeaders", size: body.length })));
  header.write(flag, 156, "latin1");
  return Buffer.concat([rehashed(header), Buffer.from(body), tarPadding(body.length)]);
}

function rehashed(block: Buffer): Buffer {
  block.fill(" ", 148, 156);
  const sum = block.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}
