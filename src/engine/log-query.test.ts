import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import type { LogPlace } from "./log-files.ts";
import { logFormat } from "./log-frames.ts";
import { type LogLife, queryLog } from "./log-query.ts";
import type { LogQuery } from "./model.ts";

const second = 1_000_000_000n;

function frame(stream: 1 | 2, time: bigint, text: string): Buffer {
  const header = Buffer.alloc(16);
  const data = Buffer.from(text);
  header.writeUInt32LE(data.length, 0);
  header[4] = stream;
  header.writeUInt16LE(0x4f47, 6);
  header.writeBigUInt64LE(time, 8);
  return Buffer.concat([header, data]);
}

function aPlace(t: TestContext, format: LogPlace["format"] = logFormat.frames): LogPlace {
  const directory = mkdtempSync(join(tmpdir(), "onggi-log-"));
  t.after(() => rmSync(directory, { recursive: true }));
  return { directory, name: "log", format, maxFiles: 3 };
}

const dead: LogLife = { isAlive: () => false, onEnd: () => () => {} };

async function read(place: LogPlace, query: Partial<LogQuery> = {}, life = dead): Promise<string> {
  let text = "";
  const whole: LogQuery = { stdout: true, stderr: true, follow: false, timestamps: false, ...query };
  for await (const chunk of queryLog(place, whole, life)) text += chunk.data.toString();
  return text;
}

describe("queryLog", () => {
  it("reads rotated files first, the oldest first", async (t) => {
    const place = aPlace(t);
    writeFileSync(join(place.directory, "log.2"), frame(1, 1n, "a\n"));
    writeFileSync(join(place.directory, "log.1"), frame(2, 2n, "b\n"));
    writeFileSync(join(place.directory, "log"), frame(1, 3n, "c\n"));

    assert.equal(await read(place), "a\nb\nc\n");
    assert.equal(await read(place, { stderr: false }), "a\nc\n");
  });

  it("gives a line the time of its first byte, also where it was read in pieces", async (t) => {
    const place = aPlace(t);
    const frames = [frame(1, second, "on"), frame(2, 2n * second, "err\n"), frame(1, 3n * second, "e\ntwo")];
    writeFileSync(join(place.directory, "log"), Buffer.concat(frames));

    assert.equal(
      await read(place, { timestamps: true }),
      "1970-01-01T00:00:02.000000000Z err\n1970-01-01T00:00:01.000000000Z one\n1970-01-01T00:00:03.000000000Z two",
    );
  });

  it("keeps to the last lines, to a time span, and to both", async (t) => {
    const place = aPlace(t);
    const lines = [1n, 2n, 3n, 4n].map((n) => frame(1, n * second, `${n}\n`));
    writeFileSync(join(place.directory, "log"), Buffer.concat(lines));

    assert.equal(await read(place, { tail: 2 }), "3\n4\n");
    assert.equal(await read(place, { tail: 0 }), "");
    assert.equal(await read(place, { sinceMs: 2000, untilMs: 3000 }), "2\n3\n");
    assert.equal(await read(place, { sinceMs: 2000, tail: 1, untilMs: 3000 }), "3\n");
  });

  it("counts an unfinished last line as a line", async (t) => {
    const place = aPlace(t);
    writeFileSync(join(place.directory, "log"), frame(1, 1n, "a\nb\nc"));

    assert.equal(await read(place, { tail: 2 }), "b\nc");
  });

  it("reads Docker's json-file lines", async (t) => {
    const place = aPlace(t, logFormat.json);
    writeFileSync(join(place.directory, "log"), '{"log":"hé\\n","stream":"stderr","time":"1970-01-01T00:00:01.5Z"}\n');

    assert.equal(await read(place, { timestamps: true }), "1970-01-01T00:00:01.500000000Z hé\n");
  });

  it("follows what is written over a rotation, until the container ends", async (t) => {
    const place = aPlace(t);
    const current = join(place.directory, "log");
    writeFileSync(current, frame(1, 1n, "a\n"));
    let alive = true;
    let end = () => {};
    const life = {
      isAlive: () => alive,
      onEnd: (listener: () => void) => {
        end = listener;
        return () => {};
      },
    };
    const text = read(place, { follow: true }, life);
    await new Promise((resolve) => setTimeout(resolve, 30));
    appendFileSync(current, frame(1, 2n, "b\n"));
    renameSync(current, join(place.directory, "log.1"));
    writeFileSync(current, frame(1, 3n, "c\n"));
    await new Promise((resolve) => setTimeout(resolve, 30));
    appendFileSync(current, frame(1, 4n, "d\n"));
    alive = false;
    end();

    assert.equal(await text, "a\nb\nc\nd\n");
  });

  it("waits for the rest of a frame that is half written", async (t) => {
    const place = aPlace(t);
    const whole = frame(1, 1n, "whole\n");
    writeFileSync(join(place.directory, "log"), whole.subarray(0, 10));

    assert.equal(await read(place), "");
  });

  it("says so when the file isn't a log", async (t) => {
    const place = aPlace(t);
    writeFileSync(join(place.directory, "log"), "this is no frame at all");

    await assert.rejects(read(place), /isn't what the monitor wrote/);
  });

  it("has nothing to say where nothing was kept", async (t) => {
    assert.equal(await read(aPlace(t)), "");
  });
});
