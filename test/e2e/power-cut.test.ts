/** The power fails before each change of a file in turn; what was acknowledged by then must be there when it comes back. */
import assert from "node:assert/strict";
import { createReadStream, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { makeScratchImage } from "../../bench/scratch-image.ts";
import { placesFor } from "../../src/engine/data-root.ts";
import { Engine } from "../../src/index.ts";
import { clearHost } from "./clear-host.ts";
import { beforeEachChange, copyDisk, makeDisk, mountDisk, unmountDisk } from "./cut-disk.ts";

const image = "cut:1";
/** What was acknowledged: a thing and what must be true of it; `undefined` while it is being changed. */
type Facts = ReadonlyMap<string, string | undefined>;

interface Cut {
  readonly number: number;
  /** The change that the power took. */
  readonly call: string;
  readonly disk: string;
  readonly facts: Facts;
}

let scratch: string;
let archive: ReturnType<typeof makeScratchImage>;
const mounted = () => join(scratch, "mounted");
const places = (name: string) => placesFor({ root: join(mounted(), "data"), runRoot: join(scratch, `run-${name}`) });

before(() => {
  scratch = mkdtempSync(join(tmpdir(), "onggi-power-"));
  archive = makeScratchImage(image);
});

after(async () => {
  const { root, runRoot, bridge, cgroupParent } = places("end");
  await clearHost({ roots: [root, runRoot], bridge, cgroupParent });
  archive.remove();
  rmSync(scratch, { recursive: true, force: true });
});

async function withEngine<T>(name: string, use: (engine: Engine) => Promise<T>): Promise<T> {
  const { root, runRoot } = places(name);
  const engine = await Engine.open({ root, runRoot, bridge: `ogcut${process.pid}` });
  try {
    return await use(engine);
  } finally {
    await engine.close();
    rmSync(runRoot, { recursive: true, force: true });
  }
}

/** Does one thing of each kind, and tells what is acknowledged. */
async function work(engine: Engine, told: Map<string, string | undefined>): Promise<void> {
  const change = async (fact: string, value: string, act: () => Promise<unknown>) => {
    told.set(fact, undefined);
    await act();
    told.set(fact, value);
  };
  const { containers, images } = engine;
  await change(`image ${image}`, "there", async () => {
    for await (const _progress of images.load(createReadStream(archive.archive)));
  });
  for (const name of ["one", "two", "three"]) {
    await change(`container ${name}`, "there", () => containers.create({ image, name, command: ["/bin/true"] }));
  }
  await change("container two", "gone", () => containers.remove("two"));
  told.set("container four", undefined);
  await change("container three", "gone", () => containers.rename("three", "four"));
  told.set("container four", "there");
  await change("image cut:2", "there", () => images.tag(image, "cut:2"));
  await change("run of one", "0", async () => {
    await containers.start("one");
    await containers.wait("one", "not-running");
    // Its end is written a moment after it was told.
    await sleep(300);
  });
  await change("volume kept", "there", () => engine.volumes.create({ name: "kept" }));
  await change("volume gone", "there", () => engine.volumes.create({ name: "gone" }));
  await change("volume gone", "gone", () => engine.volumes.remove("gone"));
  await change("snapshot one@first", "there", () => engine.snapshots.create("one", { name: "first" }));
  await change("snapshot one@second", "there", () => engine.snapshots.create("one", { name: "second" }));
  await change("snapshot one@second", "gone", () => engine.snapshots.remove("one@second"));
  await engine.rollback("one", "one@first", { discard: true });
  await change("container fork", "there", () => engine.fork("one", { names: ["fork"], start: false }));
  await change("container fork", "gone", () => containers.remove("fork"));
  await change("image cut:2", "gone", () => images.remove("cut:2"));
  await change("container four", "gone", () => containers.remove("four"));
}

async function verify(engine: Engine, facts: Facts): Promise<void> {
  const names = new Set(engine.containers.list().map(({ name }) => name));
  const there: Readonly<Record<string, ReadonlySet<string>>> = {
    container: names,
    image: new Set((await engine.images.list()).flatMap((one) => one.references)),
    volume: new Set(engine.volumes.list().map(({ name }) => name)),
    snapshot: new Set(engine.snapshots.list().map(({ reference }) => reference)),
  };
  for (const [fact, value] of facts) {
    if (value === undefined) continue;
    const [kind = "", name = ""] = fact.split(/ (?:of )?/);
    if (kind === "run") assert.ok(engine.containers.get(name).state.finishedAtMs > 0, `${fact} is forgotten`);
    else assert.equal(there[kind]?.has(name) ? "there" : "gone", value, fact);
  }
  for (const name of names) {
    await engine.containers.start(name);
    assert.equal((await engine.containers.wait(name, "not-running")).exitCode, 0, `${name} runs`);
  }
}

describe("a power cut", () => {
  it("takes nothing that was acknowledged, before whichever change of a file it comes", {
    timeout: 240_000,
  }, async () => {
    const disk = join(scratch, "disk");
    makeDisk(disk, 48);
    mountDisk(disk, mounted());
    const cuts: Cut[] = [];
    const told = new Map<string, string | undefined>();
    try {
      await withEngine("work", async (engine) => {
        const stop = beforeEachChange((call) => {
          const number = cuts.length;
          cuts.push({ number, call, disk: copyDisk(disk, scratch, `cut-${number}`), facts: new Map(told) });
        });
        try {
          await work(engine, told);
        } finally {
          stop();
        }
        cuts.push({ number: cuts.length, call: "the end", disk: copyDisk(disk, scratch, "end"), facts: new Map(told) });
      });
    } finally {
      await unmountDisk(mounted());
    }
    assert.ok(cuts.length > 40, `${cuts.length} changes of files`);
    for (const cut of cuts) await comeBack(cut);
  });
});

async function comeBack({ number, call, disk, facts }: Cut): Promise<void> {
  mountDisk(disk, mounted());
  try {
    await withEngine(`${number}`, (engine) => verify(engine, facts));
    // What the first had to mend is mended.
    await withEngine(`${number}-again`, async (engine) => {
      const { warnings } = await engine.info();
      assert.deepEqual(
        warnings.filter((one) => /removed|forgot|made|can't be/.test(one)),
        [],
      );
    });
  } catch (cause) {
    const known = [...facts].map(([fact, value]) => `${fact}: ${value ?? "being changed"}`).join(", ");
    throw new Error(`power cut ${number}, before ${call}; acknowledged: ${known || "nothing"}`, { cause });
  } finally {
    await unmountDisk(mounted());
    rmSync(disk);
  }
}
