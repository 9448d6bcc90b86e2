import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, it } from "node:test";
import { DetachScanner, defaultDetachKeys, parseDetachKeys } from "../base/detach-keys.ts";
import { frame } from "./fake-daemon.ts";
import { readLines } from "./lines.ts";
import { Demultiplexer } from "./stdcopy.ts";

async function demultiplexed(bytes: Buffer, pieceLength: number) {
  const [out, err] = [new PassThrough(), new PassThrough()];
  const frames = new Demultiplexer(
    () => out,
    () => err,
  );
  for (let at = 0; at < bytes.length; at += pieceLength) await frames.push(bytes.subarray(at, at + pieceLength));
  return { out: await text(out.end()), err: await text(err.end()), error: frames.error };
}

describe("Demultiplexer", () => {
  const bytes = Buffer.concat([
    frame(1, "one\n"),
    frame(2, "oops\n"),
    frame(1, ""),
    frame(1, "two\n"),
    frame(1, "three\n"),
  ]);

  for (const length of [1, 3, 8, 11, 1000]) {
    it(`parts frames that come in pieces of ${length}`, async () => {
      assert.deepEqual(await demultiplexed(bytes, length), { out: "one\ntwo\nthree\n", err: "oops\n", error: "" });
    });
  }

  it("keeps what the daemon says of a broken stream", async () => {
    assert.equal((await demultiplexed(frame(3, "log is gone"), 5)).error, "log is gone");
  });

  it("waits while the reader is slow", async () => {
    const slow = new PassThrough({ highWaterMark: 4 });
    const frames = new Demultiplexer(
      () => slow,
      () => slow,
    );
    let done = false;
    const pushed = frames.push(frame(1, "more than four")).then(() => {
      done = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(done, false);
    slow.resume();
    await pushed;
    assert.equal(done, true);
  });
});

describe("DetachScanner", () => {
  const scan = (keys: string, ...inputs: string[]) => {
    const scanner = new DetachScanner(parseDetachKeys(keys));
    const results = inputs.map((input) => scanner.scan(Buffer.from(input)));
    return {
      passed: results.map(({ pass }) => Buffer.from(pass).toString()).join(""),
      detached: results.at(-1)?.detached,
    };
  };

  it("sees the keys in one piece or in two", () => {
    assert.deepEqual(scan(defaultDetachKeys, "ls\x10\x11rest"), { passed: "ls", detached: true });
    assert.deepEqual(scan(defaultDetachKeys, "ls\x10", "\x11"), { passed: "ls", detached: true });
  });

  it("passes on a beginning that wasn't one", () => {
    assert.deepEqual(scan(defaultDetachKeys, "\x10", "a"), { passed: "\x10a", detached: false });
    assert.deepEqual(scan(defaultDetachKeys, "\x10\x10\x11"), { passed: "\x10", detached: true });
  });

  it("knows single characters and none at all", () => {
    assert.deepEqual(scan("a,b", "xab"), { passed: "x", detached: true });
    assert.deepEqual(scan("", "\x10\x11"), { passed: "\x10\x11", detached: false });
    assert.throws(() => parseDetachKeys("ctrl-1"), { code: "invalid" });
    assert.throws(() => parseDetachKeys("ab"), { code: "invalid" });
  });
});

describe("readLines", () => {
  it("joins pieces, even within a letter", async () => {
    const bytes = Buffer.from("eins\r\nzwölf\n\nlast");
    const pieces = async function* () {
      for (const byte of bytes) yield Buffer.from([byte]);
    };
    assert.deepEqual(await Array.fromAsync(readLines(pieces())), ["eins", "zwölf", "last"]);
  });
});
