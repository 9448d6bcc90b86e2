import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { isOnggiError } from "../base/error.ts";
import { encodeOps, encodeProgram, opRows, SlotNumbers } from "./encode.ts";
import type { Op } from "./op.ts";

const binary = join(import.meta.dirname, "../../build/onggi-exec");
const notBuilt = existsSync(binary) ? false : "build/onggi-exec isn't built";

/** Length, bytes, NUL. */
function text(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u32(bytes.length), bytes, Buffer.from([0])]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
}

/** What follows the header of the only op in a batch. */
function bodyOf(op: Op): Buffer {
  const bytes = encodeOps([op]);
  assert.equal(bytes.readUInt32LE(0), 1);
  assert.equal(bytes.readUInt32LE(8), bytes.length - 12);
  return bytes.subarray(12);
}

const noErrnos = Buffer.alloc(8);

describe("encodeOps", () => {
  it("writes code, length, tolerated errnos, then the fields", () => {
    const bytes = encodeOps([{ op: "rename", from: "a", to: "é", ignore: ["ENOENT", "EXDEV"] }]);

    const errnos = Buffer.from([2, 0, 18, 0, 0, 0, 0, 0]);
    const body = Buffer.concat([errnos, text("a"), text("é")]);
    assert.deepEqual(bytes, Buffer.concat([u32(1), Buffer.from([43, 0, 0, 0]), u32(body.length), body]));
  });

  it("writes negative and large numbers in 64 bits", () => {
    assert.deepEqual(bodyOf({ op: "oomScoreAdj", value: -500 }), Buffer.concat([noErrnos, u64(2n ** 64n - 500n)]));
    const { body, high } = { body: bodyOf({ op: "boundingSet", keep: -1n }), high: 2n ** 64n - 1n };
    assert.deepEqual(body, Buffer.concat([noErrnos, u64(high)]));
    assert.equal(bodyOf({ op: "readFile", path: "", maxBytes: 2 ** 40 }).readBigUInt64LE(13), 2n ** 40n);
  });

  it("writes lists, numbers and places in messages", () => {
    const exec: Op = { op: "exec", file: "f", argv: ["f", "x"], env: [], searchPath: "" };
    assert.deepEqual(
      bodyOf(exec),
      Buffer.concat([noErrnos, text("f"), u32(2), text("f"), text("x"), u32(0), text("")]),
    );
    const user: Op = { op: "setUser", uid: 1, gid: 2, groups: [3, 4] };
    assert.deepEqual(bodyOf(user), Buffer.concat([noErrnos, u64(1n), u64(2n), u32(2), u32(3), u32(4)]));
    const netlink: Op = {
      op: "netlink",
      slot: "n",
      messages: Buffer.from("abcd"),
      patches: [{ offset: 0, slot: "m" }],
      shell: [],
    };
    assert.deepEqual(
      bodyOf(netlink),
      Buffer.concat([noErrnos, u64(0n), u32(4), Buffer.from("abcd"), u32(1), u32(0), u32(1)]),
    );
  });

  it("writes an ioctl's argument, and where descriptors go in it", () => {
    const argument = Buffer.from("12345678");
    const call: Op = {
      op: "ioctl",
      path: "p",
      flags: 2,
      request: 0xc0089401,
      argument,
      patches: [{ offset: 4, slot: "s" }],
    };

    const numbers = Buffer.concat([u64(2n), u64(0xc0089401n)]);
    const patches = Buffer.concat([u32(1), u32(4), u32(0)]);
    assert.deepEqual(bodyOf(call), Buffer.concat([noErrnos, text("p"), numbers, u32(8), argument, patches]));
  });

  it("writes an absent slot as 2^32-1", () => {
    assert.equal(bodyOf({ op: "clone", flags: 0 }).readBigUInt64LE(16), 2n ** 32n - 1n);
  });

  it("keeps names that are no UTF-8, as lone surrogates", () => {
    const op: Op = { op: "chroot", path: "a\udcffb\udc80한" };

    assert.deepEqual(
      bodyOf(op).subarray(8),
      text(Buffer.concat([Buffer.from([0x61, 0xff, 0x62, 0x80]), Buffer.from("한")])),
    );
  });

  it("writes text of any length", () => {
    for (const length of [0, 47, 48, 5000, 100_000]) {
      assert.deepEqual(bodyOf({ op: "chroot", path: "x".repeat(length) }).subarray(8), text("x".repeat(length)));
    }
  });

  it("refuses text with a NUL and numbers that aren't whole", () => {
    const refused: Op[] = [
      { op: "chroot", path: "a\0b" },
      { op: "chroot", path: `${"x".repeat(100)}\0` },
      { op: "unshare", flags: 1.5 },
      { op: "unshare", flags: Number.NaN },
    ];
    for (const op of refused)
      assert.throws(
        () => encodeOps([op]),
        (error) => isOnggiError(error, "invalid"),
      );
  });

  it("gives the number of a closed slot to the next one", () => {
    const slots = new SlotNumbers();
    const ops = Array.from({ length: 1000 }, (_, i): Op[] => [
      { op: "createFile", slot: `f${i}`, path: "x", mode: 0 },
      { op: "closeSlot", slot: `f${i}` },
    ]).flat();

    encodeOps(ops, slots);

    assert.equal(slots.of("next"), 0);
  });

  it("refuses more slots than the executor has", () => {
    const ops = Array.from({ length: 65 }, (_, i): Op => ({ op: "netlinkSocket", slot: `s${i}`, protocol: 0 }));

    assert.throws(
      () => encodeOps(ops),
      (error) => isOnggiError(error, "invalid"),
    );
  });
});

describe("encodeProgram", () => {
  it("writes three parts that share their slots", () => {
    const close: Op = { op: "closeSlot", slot: "b" };
    const bytes = encodeProgram({ host: [{ op: "closeSlot", slot: "a" }, close], child: [close], teardown: [] });

    const host = encodeOps([{ op: "closeSlot", slot: "a" }]).length - 4;
    assert.deepEqual([bytes.readUInt32LE(0), bytes.readUInt32LE(4)], [2, 2 * host]);
    const child = 8 + 2 * host;
    assert.deepEqual([bytes.readUInt32LE(child), bytes.readUInt32LE(child + 4)], [1, host]);
    assert.equal(bytes.readBigUInt64LE(child + 8 + 16), 1n, "b has the same number in each part");
    assert.deepEqual(bytes.subarray(child + 8 + host), Buffer.alloc(8));
  });
});

describe("opRows", () => {
  it("are those of the executor", { skip: notBuilt }, () => {
    const rows = Object.entries(opRows).map(([name, { code, signature }]) => `${code} ${name} ${signature}`);

    assert.deepEqual(
      execFileSync(binary, ["table"], { encoding: "utf8" })
        .trimEnd()
        .split("\n")
        .map((row) => row.trimEnd()),
      rows.map((row) => row.trimEnd()),
    );
  });

  it("have a letter for each field", () => {
    for (const { signature } of Object.values(opRows)) assert.match(signature, /^[xdDsblgp]{0,6}$/);
  });
});
