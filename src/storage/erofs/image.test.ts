import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isOnggiError } from "../../base/error.ts";
import { crc32c } from "./crc32c.ts";
import { superOffset } from "./format.ts";
import { mark, unmark } from "./marks.ts";
import { readImage } from "./read-image.ts";
import {
  holeBlock,
  type Node,
  newNode,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFREG,
  S_IFSOCK,
  type Tree,
  whiteout,
} from "./tree.ts";
import { writeImage } from "./write-image.ts";

const uuid = Buffer.alloc(16, 1);
const devices = [{ tag: "a".repeat(64), bytes: 1024 * 1024 }];

function treeOf(files: Readonly<Record<string, Node>>, root: Partial<Node> = {}): Tree {
  const folder = newNode({ mode: S_IFDIR | 0o755, ...root });
  for (const [name, node] of Object.entries(files)) folder.children?.set(name, node);
  return { root: folder, devices };
}

/** A tree as text, without what only laying it out knows. */
function shown({ root, devices: files }: Tree): string {
  const plain = (node: Node): unknown => ({
    ...node,
    number: 0,
    links: 0,
    attributes: [...node.attributes].map(([name, value]) => [name, Buffer.from(value).toString("hex")]).toSorted(),
    children:
      node.children &&
      [...node.children].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, child]) => [name, plain(child)]),
  });
  return JSON.stringify([plain(root), files], null, 1);
}

function comesBack(tree: Tree): Buffer {
  const image = writeImage(tree, { blockBits: 9, uuid });
  assert.equal(shown(readImage(image)), shown(tree));
  return image;
}

const file = (more: Partial<Node> = {}) => newNode({ mode: S_IFREG | 0o644, ...more });

describe("an EROFS image", () => {
  it("has what each kind of file is, in the numbers of getdents", () => {
    const kinds = [
      ["1", S_IFREG],
      ["2", S_IFDIR],
      ["3", S_IFCHR],
      ["4", S_IFBLK],
      ["5", S_IFIFO],
      ["6", S_IFSOCK],
      ["7", S_IFLNK],
    ] as const;
    const files = Object.fromEntries(
      kinds.map(([name, type]) => [
        name,
        newNode({
          mode: type | 0o644,
          target: type === S_IFLNK ? "x" : "",
          major: type === S_IFCHR || type === S_IFBLK ? 5 : 0,
        }),
      ]),
    );
    const image = comesBack(treeOf(files));
    // The root's one block of entries ends with the names; the entries before it tell a type in their last byte but one.
    const names = image.indexOf("...1234567");
    const types = kinds.map((_, index) => image.readUInt8(names - 12 * (kinds.length - index) + 10));
    assert.deepEqual(types, [1, 2, 3, 4, 5, 6, 7]);
  });

  it("comes back with large owners, sizes and devices, times of all ages, and long links", () => {
    comesBack(
      treeOf({
        owners: file({ uid: 4_294_967_294, gid: 65_536 }),
        vast: file({
          size: 2 ** 45,
          content: { chunkBits: 31, chunks: Array.from({ length: 32 }, () => [0, holeBlock]).flat() },
        }),
        pieces: file({ size: 2000, content: { chunkBits: 0, chunks: [1, 7, 0, holeBlock, 1, 9, 1, 2000] } }),
        old: file({ seconds: -100, nanos: 999_999_999 }),
        late: file({ seconds: 2 ** 33 }),
        device: newNode({ mode: S_IFBLK | 0o600, major: 4095, minor: 1_048_575 }),
        short: newNode({ mode: S_IFLNK | 0o777, target: "t" }),
        long: newNode({ mode: S_IFLNK | 0o777, target: "t".repeat(4000) }),
      }),
    );
  });

  it("comes back with attributes of any size next to any target", () => {
    const files: Record<string, Node> = {};
    for (let length = 0; length < 600; length += 7) {
      const attributes = new Map([
        [`user.${length}`, Buffer.alloc(length, length)],
        ["user.shared", Buffer.from("the same")],
        ["system.posix_acl_access", Buffer.from("acl")],
      ]);
      files[`link${length}`] = newNode({ mode: S_IFLNK | 0o777, target: "t".repeat(length + 1), attributes });
      files[`folder${length}`] = treeOf({ ["n".repeat(1 + (length % 255))]: file() }, { attributes }).root;
    }
    const image = comesBack(treeOf(files));
    assert.equal(image.toString("latin1").split("the same").length, 2);
  });

  it("comes back with folders of many blocks and with deep ones", () => {
    const many = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`entry ${index}`, file()]));
    let deep = treeOf({ bottom: file() }).root;
    for (let depth = 0; depth < 1500; depth++) deep = treeOf({ d: deep }).root;
    comesBack(treeOf({ ...many, deep, "-": file(), "..a": file(), "\xff": file() }));
  });

  it("keeps a file with several names one file", () => {
    const linked = file({ size: 5, content: { chunkBits: 0, chunks: [1, 1] } });
    const { root } = readImage(writeImage(treeOf({ a: linked, b: linked, c: file() }), { blockBits: 9, uuid }));
    assert.equal(root.children?.get("a"), root.children?.get("b"));
    assert.notEqual(root.children?.get("a"), root.children?.get("c"));
  });

  it("takes the most frequent time for small inodes", () => {
    const files = (seconds: (index: number) => number) =>
      treeOf(
        Object.fromEntries(
          Array.from({ length: 1000 }, (_, index) => [`f${index}`, file({ seconds: seconds(index) })]),
        ),
      );
    const same = comesBack(files(() => 77)).length;
    const different = comesBack(files((index) => index)).length;
    assert.ok(different - same > 1000 * 24, `${same} and ${different} bytes`);
  });

  it("has a checksum that the kernel agrees with", () => {
    assert.equal(crc32c(Buffer.from("123456789")), ~0xe3069283 >>> 0);
    const image = comesBack(treeOf({}));
    const stored = image.readUInt32LE(superOffset + 4);
    image.writeUInt32LE(0, superOffset + 4);
    assert.equal(crc32c(image.subarray(superOffset, superOffset + 512)), stored);
  });

  it("keeps what a layer does to those below it as overlay marks it", () => {
    const tree = treeOf({
      opaque: newNode({ mode: S_IFDIR, opaque: true }),
      implied: newNode({ mode: S_IFDIR, implied: true }),
      gone: whiteout(),
    });
    const before = shown(tree);
    mark(tree.root);
    const image = writeImage(tree, { blockBits: 9, uuid });
    assert.ok(image.includes("overlay.opaque"));
    const back = readImage(image);
    unmark(back.root);
    assert.equal(shown(back), before);
  });

  it("is refused when it is none, cut, or leads in a circle", () => {
    const image = comesBack(treeOf({ folder: treeOf({ x: file() }).root }));
    const isCorrupt = (error: unknown) => isOnggiError(error, "corrupt");
    assert.throws(() => readImage(Buffer.alloc(4096)), isCorrupt);
    assert.throws(() => readImage(image.subarray(0, 1200)), isCorrupt);
    const inner = image.indexOf("...x");
    const root = image.readUInt16LE(superOffset + 14);
    image.writeUInt32LE(root, inner - 12);
    assert.throws(() => readImage(image), isCorrupt);
  });
});
