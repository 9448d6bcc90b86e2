import assert from "node:assert/strict";
import { get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

/** A body of one JSON value a line. */
export function linesOf<T>(text: string): T[] {
  return text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => JSON.parse(line) as T);
}

/** The first lines of an answer that goes on; then the client goes away. `meanwhile` runs once the header is there. */
export function firstLines(
  socketPath: string,
  path: string,
  count: number,
  meanwhile: () => Promise<void> = async () => {},
): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const request = get({ socketPath, path }, (answer) => {
      let text = "";
      answer.on("data", (chunk: Buffer) => {
        text += chunk.toString();
        const lines = text.split("\n").slice(0, -1);
        if (lines.length < count) return;
        request.destroy();
        resolve(lines.slice(0, count));
      });
      answer.on("error", () => {});
      meanwhile().catch(reject);
    });
    request.on("error", reject);
  });
}

/** Resolves when the condition holds; fails when it takes too long. */
export async function until(condition: () => boolean, limitMs = 2000): Promise<void> {
  for (const start = performance.now(); !condition(); ) {
    assert.ok(performance.now() - start < limitMs, "it takes too long");
    await sleep(5);
  }
}
