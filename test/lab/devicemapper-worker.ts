/**
 * Changes snapshots on a thin pool without end and writes a line for each layer that was acknowledged; `devicemapper.test.ts` kills it.
 * `node devicemapper-worker.ts ROOT ROUND OPTIONS`
 */
import { writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { devicemapperCandidate } from "../../src/storage/devicemapper/driver.ts";
import { openSnapshotter } from "../../src/storage/open.ts";
import { openStorageTools } from "./storage-tools.ts";

const [root = "", round = "", options = "{}"] = process.argv.slice(2);
const tools = (await openStorageTools()).with(JSON.parse(options));
const snapshots = await openSnapshotter({ tools, root, candidates: [devicemapperCandidate] });
const say = (line: string) => writeSync(1, `${line}\n`);
say("ready");

for (let turn = 0; ; turn++) {
  const id = `${round}-${turn}`;
  await snapshots.prepare(`key ${id}`, turn === 0 ? undefined : `layer ${round}-${turn - 1}`, { durable: false });
  writeFileSync(join(snapshots.writable(`key ${id}`).directory, "name"), id);
  await snapshots.commit(`key ${id}`, `layer ${id}`);
  say(`layer ${id}`);
  await snapshots.prepare(`container ${id}`, `layer ${id}`);
  await snapshots.remove(`container ${id}`);
}
