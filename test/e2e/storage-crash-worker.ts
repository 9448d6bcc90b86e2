/**
 * Changes snapshots without end and writes a line for each change that was acknowledged; `storage-crash.test.ts` kills it.
 * `node storage-crash-worker.ts ROOT ROUND`
 */
import { writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { openSnapshotter } from "../../src/storage/open.ts";
import { overlayCandidate } from "../../src/storage/overlay/driver.ts";
import { noTools } from "../../src/storage/testing/no-tools.ts";

const [root = "", round = ""] = process.argv.slice(2);
const snapshots = await openSnapshotter({ tools: noTools, root, candidates: [overlayCandidate] });
const say = (line: string) => writeSync(1, `${line}\n`);
say("ready");

async function lives(name: string): Promise<void> {
  for (let turn = 0; ; turn++) {
    const id = `${round}-${name}-${turn}`;
    const parent = turn === 0 ? undefined : `layer ${round}-${name}-${turn - 1}`;
    await snapshots.prepare(`key ${id}`, parent, { durable: turn % 2 === 0 });
    writeFileSync(join(snapshots.writable(`key ${id}`).directory, "name"), id);
    say(`+key ${id}`);
    say(`?commit ${id}`);
    await snapshots.commit(`key ${id}`, `layer ${id}`);
    say(`+layer ${id}`);
    await snapshots.prepare(`container ${id}`, `layer ${id}`, { durable: turn % 3 === 0 });
    say(`+container ${id}`);
    say(`?remove ${id}`);
    await snapshots.remove(`container ${id}`);
    say(`-container ${id}`);
  }
}

await Promise.all(["a", "b", "c"].map(lives));
