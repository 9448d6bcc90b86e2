import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout } from "node:timers/promises";
import { openSnapshotter } from "../../src/storage/open.ts";
import { overlayCandidate } from "../../src/storage/overlay/driver.ts";
import { noTools } from "../../src/storage/testing/no-tools.ts";

const rounds = 12;

describe("snapshots under kill -9", () => {
  let root: string;

  before(() => {
    root = mkdtempSync(join(tmpdir(), "onggi-crash-"));
  });

  after(() => {
    rmSync(root, { recursive: true, force: true });
  });

  it(`has all that was acknowledged, and nothing else, after each of ${rounds} kills at random moments`, async () => {
    const layers = new Map<string, string>();
    for (let round = 0; round < rounds; round++) {
      const lines = await killedWork(root, round);
      const snapshots = await openSnapshotter({ tools: noTools, root, candidates: [overlayCandidate] });
      const expected = acknowledged(round, lines, layers);
      const found = new Set([...snapshots.list()].map((info) => info.id));

      for (const id of expected.must) assert.ok(found.has(id), `round ${round}: ${id} is lost`);
      for (const id of found)
        assert.ok(expected.must.has(id) || expected.may.has(id), `round ${round}: ${id} is left over`);
      for (const { id } of [...snapshots.list()].filter((info) => info.kind === "committed")) {
        const text = readFileSync(join(snapshots.describe(id).UpperDir ?? "", "name"), "utf8");
        assert.equal(`layer ${text}`, id);
        layers.set(id, text);
      }
      // The next round starts from layers alone.
      for (const { id, kind } of [...snapshots.list()]) if (kind !== "committed") await snapshots.remove(id);
      await snapshots.close();
      const trees = readdirSync(join(root, "overlay")).filter((name) => /^[0-9a-f]{12}$/.test(name));
      const records = readdirSync(join(root, "overlay", "state"));
      assert.deepEqual(trees.toSorted(), records.map((name) => name.replace(".json", "")).toSorted());
      assert.deepEqual(readdirSync(join(root, "overlay", "trash")), []);
      assert.equal(readdirSync(join(root, "overlay", "l")).length, layers.size);
    }
    assert.ok(layers.size > rounds, `only ${layers.size} layers were made`);
  });
});

/** Starts the worker, kills it after a random while, and returns its lines. */
async function killedWork(root: string, round: number): Promise<readonly string[]> {
  const script = join(import.meta.dirname, "storage-crash-worker.ts");
  const worker = spawn(process.execPath, [script, root, String(round)], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  worker.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  const closed = once(worker, "close");
  await once(worker.stdout, "data");
  await setTimeout(Math.random() * 120);
  worker.kill("SIGKILL");
  await closed;
  return output.split("\n");
}

/** What must be there after these lines, and what may be since its change was under way. */
function acknowledged(
  round: number,
  lines: readonly string[],
  before: ReadonlyMap<string, string>,
): Record<"must" | "may", ReadonlySet<string>> {
  const must = new Set(before.keys());
  const may = new Set<string>();
  const last = new Map<string, string>();
  for (const line of lines) {
    const [, sign, what, id] = /^([+?-])(\w+) (.*)$/.exec(line) ?? [];
    if (sign === undefined || id === undefined) continue;
    last.set(id.split("-").slice(0, 2).join("-"), line);
    if (sign === "+" && what === "layer") must.delete(`key ${id}`);
    if (sign === "+") must.add(`${what} ${id}`);
    if (sign === "-") must.delete(`${what} ${id}`);
  }
  for (const line of last.values()) {
    const [, sign, what, id = ""] = /^([+?-])(\w+) (.*)$/.exec(line) ?? [];
    const next = id.replace(/\d+$/, (turn) => String(Number(turn) + 1));
    if (sign === "?" && what === "commit") {
      must.delete(`key ${id}`);
      may.add(`key ${id}`).add(`layer ${id}`);
    }
    if (sign === "?" && what === "remove") {
      must.delete(`container ${id}`);
      may.add(`container ${id}`);
    }
    if (sign === "+" && what === "layer") may.add(`container ${id}`);
    if (sign === "-") may.add(`key ${next}`);
  }
  for (const name of ["a", "b", "c"]) if (!last.has(`${round}-${name}`)) may.add(`key ${round}-${name}-0`);
  return { must, may };
}
