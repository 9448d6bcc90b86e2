import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { OutputChunk } from "./model.ts";
import { OutputHub } from "./output-hub.ts";

const out = (text: string): OutputChunk => ({ stream: "stdout", data: Buffer.from(text) });
const err = (text: string): OutputChunk => ({ stream: "stderr", data: Buffer.from(text) });
const both = { stdout: true, stderr: true };

async function textOf(chunks: AsyncIterable<OutputChunk>): Promise<string> {
  let text = "";
  for await (const chunk of chunks) text += Buffer.from(chunk.data).toString();
  return text;
}

describe("OutputHub", () => {
  it("gives every reader all that comes after it opened, in order", async () => {
    const hub = new OutputHub();
    const first = textOf(hub.open(both));
    void hub.push(out("a"));
    const second = textOf(hub.open(both));
    void hub.push(err("b"));
    hub.end();

    assert.deepEqual(await Promise.all([first, second]), ["ab", "b"]);
  });

  it("gives a reader only the streams it wants", async () => {
    const hub = new OutputHub();
    const text = textOf(hub.open({ stdout: false, stderr: true }));
    void hub.push(out("a"));
    void hub.push(err("b"));
    hub.end();

    assert.equal(await text, "b");
  });

  it("holds the process back while a reader has too much waiting, and lets go when it leaves", async () => {
    const hub = new OutputHub();
    let left = false;
    const reader = hub.open(both, () => {
      left = true;
    });
    const held = hub.push(out("x".repeat(300_000)));
    assert.ok(held !== undefined);
    reader.close();
    await held;

    assert.equal(left, true);
    assert.equal(hub.push(out("y")), undefined);
  });

  it("ends a reader that comes after the end at once", async () => {
    const hub = new OutputHub();
    hub.end();

    assert.equal(await textOf(hub.open(both)), "");
  });
});
