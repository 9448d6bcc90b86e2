/** Kills whoever writes images at random moments, then looks whether what was acknowledged is there and nothing else is. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openImages } from "../../src/image/images.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { markerSink } from "./image-crash-worker.ts";

const rounds = 25;
const platform = { os: "linux", architecture: "amd64" };

describe("images under kill -9", () => {
  it(`lose nothing acknowledged and leave nothing behind, ${rounds} times in a row`, async () => {
    const root = mkdtempSync(join(tmpdir(), "onggi-crash-"));
    try {
      let next = 0;
      for (let round = 0; round < rounds; round++) {
        const said = await killedAfter(root, next, 150 + Math.random() * 200);
        const loaded = said.filter(([what]) => what === "loaded").map(([, serial]) => serial);
        const removed = new Set(said.filter(([what]) => what === "removed").map(([, serial]) => serial));

        const images = await openImages({ root, sink: markerSink(join(root, "marked")), usedBy: () => [], platform });

        assert.deepEqual(
          images.repairs.filter((one) => !one.startsWith("removed ")),
          [],
        );
        const names = new Set((await images.list()).flatMap(({ references }) => references));
        for (const serial of loaded) {
          // The one after the last acknowledged step may be done or not.
          const isCertain = !removed.has(serial) && serial !== Math.max(...loaded) - 1;
          if (isCertain) assert.ok(names.has(`app:${serial}`), `round ${round}: app:${serial} of ${[...names]}`);
        }
        for (const serial of removed) assert.ok(!names.has(`app:${serial}`), `round ${round}: app:${serial} is back`);
        await assertSound(root, images);
        next = Math.max(next, ...loaded) + 1;
      }
      assert.ok(next > rounds / 2, `only ${next} images in all rounds`);
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  });
});

/** Every blob is what its name says and belongs to an image, every image has its blobs and layers, nothing is half written. */
async function assertSound(root: string, images: Awaited<ReturnType<typeof openImages>>): Promise<void> {
  const blobs = readdirSync(join(root, "blobs/sha256"));
  for (const name of blobs) assert.equal(digestOf(readFileSync(join(root, "blobs/sha256", name))), `sha256:${name}`);
  const all = await images.list();
  // One config and one manifest each, the upper layers, and the lower one that all share.
  assert.equal(blobs.length, all.length === 0 ? 0 : 3 * all.length + 1);
  const layers = readdirSync(join(root, "marked"));
  assert.equal(layers.length, all.length === 0 ? 0 : all.length + 1);
  const others = readdirSync(join(root, "images")).filter((name) => !/^[^.].*\.json$/.test(name));
  assert.deepEqual(others, [".reserve"]);
}

async function killedAfter(root: string, start: number, ms: number): Promise<[what: string, serial: number][]> {
  const worker = join(import.meta.dirname, "image-crash-worker.ts");
  const child = spawn(process.execPath, [worker, root, String(start)], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk;
  });
  const closed = new Promise((resolve) => child.once("close", resolve));
  await sleep(ms);
  child.kill("SIGKILL");
  await closed;
  const lines = output.split("\n").slice(0, -1);
  return lines.map((line) => [line.split(" ")[0] ?? "", Number(line.split(" ")[1])]);
}
