import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Op } from "../../program/op.ts";
import { parsePoolStatus } from "./pool-status.ts";
import { listDevices, loadTable, message, parseDevices, parseMinor, parseStatus, resume, suspend } from "./requests.ts";
import { parseSize } from "./sizes.ts";

const argumentOf = (op: Op): Buffer => {
  assert.ok(op.op === "ioctl");
  return Buffer.from(op.argument);
};

describe("requests to the device-mapper", () => {
  it("have the number of their command and the size of the structure, as linux/dm-ioctl.h makes them", () => {
    const numbers = [listDevices(), resume("a"), message("a", "m")].map((op) => op.op === "ioctl" && op.request);
    assert.deepEqual(numbers, [0xc138fd02, 0xc138fd06, 0xc138fd0e]);
  });

  it("name their device, and tell suspending from resuming by a flag", () => {
    const [held, let_go] = [argumentOf(suspend("onggi-1")), argumentOf(resume("onggi-1"))];
    assert.equal(held.toString("latin1", 48, 56), "onggi-1\0");
    assert.deepEqual([held.readUInt32LE(28), let_go.readUInt32LE(28)], [2, 0]);
    assert.equal(held.readUInt32LE(12), held.length);
  });

  it("describe a target by its range, its type and its parameters", () => {
    const argument = argumentOf(loadTable("a", "thin", 2048, "/dev/dm-0 7"));
    assert.equal(argument.readUInt32LE(20), 1);
    assert.equal(argument.readBigUInt64LE(312 + 8), 2048n);
    assert.equal(argument.toString("latin1", 312 + 24, 312 + 29), "thin\0");
    assert.equal(argument.toString("latin1", 312 + 40, 312 + 52), "/dev/dm-0 7\0");
  });

  it("are said as commands that do the same", () => {
    const op = loadTable("a", "thin", 2048, "/dev/dm-0 7");
    assert.equal(op.op === "ioctl" && op.shell, "dmsetup load a --table '0 2048 thin /dev/dm-0 7'");
  });
});

describe("answers of the device-mapper", () => {
  it("name devices with their minor numbers, above 255 too", () => {
    const answer = Buffer.alloc(512);
    answer.writeUInt32LE(312, 16);
    answer.writeBigUInt64LE(0xfd00n | 3n, 312);
    answer.writeUInt32LE(24, 320);
    answer.write("first", 324);
    answer.writeBigUInt64LE((0x1n << 20n) | 0xfd00n | 0x2cn, 336);
    answer.write("second", 348);
    assert.deepEqual(
      [...parseDevices(answer)],
      [
        ["first", 3],
        ["second", 300],
      ],
    );
    assert.deepEqual([...parseDevices(Buffer.from(answer).fill(0, 312))], []);
  });

  it("tell a device's number and its target's status", () => {
    const answer = Buffer.alloc(512);
    answer.writeUInt32LE(312, 16);
    answer.writeBigUInt64LE(0xfd07n, 40);
    answer.write("1 2/3", 352);
    assert.equal(parseMinor(answer), 7);
    assert.equal(parseStatus(answer), "1 2/3");
  });
});

describe("parsePoolStatus", () => {
  it("reads how full a pool is, and whether it can be written to", () => {
    const line = "5 41/4096 330/32768 - rw discard_passdown error_if_no_space - 1024";
    assert.deepEqual(parsePoolStatus(line), {
      transaction: 5,
      metadata: { used: 41, total: 4096 },
      data: { used: 330, total: 32768 },
      mode: "rw",
    });
    assert.equal(parsePoolStatus("5 41/4096 8/8 - out_of_data_space no_discard_passdown -").mode, "out_of_data_space");
    assert.equal(parsePoolStatus("Fail").mode, "Fail");
    assert.throws(() => parsePoolStatus("nonsense"), { code: "corrupt" });
  });
});

describe("parseSize", () => {
  it("reads sizes as people write them", () => {
    assert.deepEqual(["512", "4k", "10G", "1GiB"].map(parseSize), [512, 4096, 10 * 2 ** 30, 2 ** 30]);
    for (const text of ["", "G", "-1G", "1.5G"]) assert.throws(() => parseSize(text), { code: "invalid" });
  });
});
