import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Frame, FrameReader, frameHeader, frameType } from "./frames.ts";

function aFrame(type: number, payload: string, arg = 0): Buffer {
  return Buffer.concat([frameHeader(type, payload.length, arg), Buffer.from(payload)]);
}

/** Feeds the bytes in pieces of `size` and returns what came out. */
function read(bytes: Buffer, size = bytes.length): Frame[] {
  const frames: Frame[] = [];
  const reader = new FrameReader((frame) => frames.push(frame));
  for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size));
  return frames;
}

describe("FrameReader", () => {
  it("cuts a stream into frames wherever its pieces end", () => {
    const bytes = Buffer.concat([aFrame(64, "started"), aFrame(67, "", 2), aFrame(68, "x".repeat(100))]);

    for (const size of [1, 3, 8, 15, bytes.length]) {
      const frames = read(bytes, size).map(({ type, arg, payload }) => [type, arg, payload.toString()]);
      assert.deepEqual(frames, [
        [64, 0, "started"],
        [67, 2, ""],
        [68, 0, "x".repeat(100)],
      ]);
    }
  });

  it("hands output on as it comes", () => {
    const frames = read(Buffer.concat([aFrame(frameType.output, "0123456789", 1), aFrame(67, "", 1)]), 12);

    assert.deepEqual(
      frames.map(({ payload }) => payload.toString()),
      ["0123", "456789", ""],
    );
    assert.deepEqual(
      frames.map(({ type, arg }) => [type, arg]),
      [
        [66, 1],
        [66, 1],
        [67, 1],
      ],
    );
  });

  it("does not copy a frame that lies in one piece", () => {
    const bytes = aFrame(frameType.hello, "whole");

    assert.equal(read(bytes)[0]?.payload.buffer, bytes.buffer);
  });

  it("refuses lengths that can't be", () => {
    assert.throws(() => read(Buffer.from([3, 0, 0, 0, 1, 0, 0, 0])), RangeError);
    assert.throws(() => read(Buffer.from([1, 0, 0, 4, 1, 0, 0, 0])), RangeError);
  });
});
