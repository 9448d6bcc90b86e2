import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isOnggiError } from "../../src/base/error.ts";
import { devicemapperCandidate } from "../../src/storage/devicemapper/driver.ts";
import { parsePoolStatus } from "../../src/storage/devicemapper/pool-status.ts";
import { openSnapshotter } from "../../src/storage/open.ts";
import type { Snapshotter } from "../../src/storage/snapshotter.ts";
import { withMounts } from "../e2e/with-mounts.ts";
import { openStorageTools, type StorageTools } from "./storage-tools.ts";

const mebibyte = 1024 * 1024;
const crashRounds = 5;
const small = { "dm.basesize": "400M", "dm.loopdatasize": "2G", "dm.loopmetadatasize": "16M" };

let executor: StorageTools;
before(async () => {
  executor = await openStorageTools();
});
after(() => executor.close());

const throwsCode = (code: string) => (error: unknown) => isOnggiError(error) && error.code === code;
const devices = () =>
  execFileSync("dmsetup", ["ls"], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line.startsWith("onggi-"));
const loops = () =>
  execFileSync("losetup", ["-n", "-O", "BACK-FILE"], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line.includes("devicemapper"));

describe("a thin pool", { timeout: 8 * 60_000 }, () => {
  let root: string;
  let snapshots: Snapshotter | undefined;
  const open = async (options: Readonly<Record<string, string>> = small): Promise<Snapshotter> => {
    snapshots = await openSnapshotter({ tools: executor.with(options), root, candidates: [devicemapperCandidate] });
    return snapshots;
  };
  const look = <T>(key: string, see: (directory: string) => T): T => {
    assert.ok(snapshots !== undefined);
    return withMounts(snapshots.mounts(key), see);
  };
  const pool = () => {
    const name =
      devices()
        .find((line) => /-pool\t/.test(line))
        ?.split("\t")[0] ?? "no pool";
    const [, , , ...status] = execFileSync("dmsetup", ["status", name], { encoding: "utf8" }).trim().split(" ");
    return parsePoolStatus(status.join(" "));
  };
  const diskBytes = () => statSync(join(root, "devicemapper", "data")).blocks * 512;
  const check = () => {
    const { status, stdout, stderr } = spawnSync("thin_check", [join(root, "devicemapper", "metadata")]);
    assert.equal(status, 0, `${stdout}${stderr}`);
  };
  const image = async (store: Snapshotter, files = 1) => {
    await store.prepare("unpack", undefined, { durable: false });
    for (let file = 0; file < files; file++) {
      writeFileSync(join(store.writable("unpack").directory, `file ${file}`), Buffer.alloc(4 * mebibyte, 1));
    }
    await store.commit("unpack", "image");
  };

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "onggi-dm-"));
  });
  const close = async () => {
    await snapshots?.close();
    snapshots = undefined;
  };
  afterEach(async () => {
    await close();
    assert.deepEqual([devices(), loops()], [[], []]);
    rmSync(root, { recursive: true });
  });

  it("gives a clone no block of its own until it writes, and a piece at a time then", async () => {
    const store = await open();
    await image(store);
    const before = pool().data.used;
    await store.prepare("clone", "image");
    assert.equal(pool().data.used, before);
    look("clone", (directory) => {
      writeFileSync(join(directory, "file 0"), "x", { flag: "r+" });
      execFileSync("sync", ["-f", directory]);
    });
    const taken = (pool().data.used - before) * 64 * 1024;
    assert.ok(taken > 0 && taken < 2 * mebibyte, `${taken} bytes for one that changed`);
  });

  it("gives the room of what is removed back to the pool, and to the disk that it lies on", async () => {
    const store = await open();
    await image(store);
    const [blocks, bytes] = [pool().data.used, diskBytes()];
    await store.prepare("clone", "image");
    look("clone", (directory) => {
      writeFileSync(join(directory, "large"), Buffer.alloc(64 * mebibyte, 1));
      execFileSync("sync", ["-f", directory]);
    });
    assert.ok(diskBytes() > bytes + 60 * mebibyte);
    await store.remove("clone");
    await close();
    check();
    await open();
    assert.equal(pool().data.used, blocks);
    assert.ok(diskBytes() < bytes + 4 * mebibyte, `${diskBytes() - bytes} bytes more than before`);
  });

  it("holds a container to its bytes and its inodes, and one that wants more than the others gets a larger device", async () => {
    const store = await open();
    await image(store);
    await store.prepare("few", "image", { limit: { bytes: 8 * mebibyte, inodes: 5 } });
    const said = look("few", (directory) =>
      asContainer(directory, "head -c 9M /dev/zero > much; rm much; touch 1 2 3 4 5; touch 6"),
    );
    assert.match(said, /^head: .*quota exceeded\ntouch: .*'6': Disk quota exceeded\n$/);
    const { bytes, inodes, free } = await store.usage("few");
    assert.ok(bytes < mebibyte && inodes === 6 && free?.inodes === 0, JSON.stringify({ bytes, inodes, free }));
    await store.prepare("large", "image", { limit: { bytes: 600 * mebibyte } });
    const size = look("large", (directory) =>
      execFileSync("df", ["-B1", "--output=avail", directory], { encoding: "utf8" }),
    );
    assert.ok(Number(size.split("\n")[1]) >= 590 * mebibyte, size);
  });

  it("holds file systems of xfs, too, several of one origin mounted at once", async () => {
    const store = await open({ ...small, "dm.fs": "xfs" });
    await image(store);
    await store.prepare("one", "image", { limit: { bytes: 8 * mebibyte } });
    await store.prepare("two", "image");
    look("one", (directory) => {
      writeFileSync(join(directory, "file 0"), "changed");
      assert.throws(() => writeFileSync(join(directory, "much"), Buffer.alloc(16 * mebibyte, 1)));
      look("two", (other) => assert.equal(readFileSync(join(other, "file 0")).length, 4 * mebibyte));
    });
    await store.capture("one", "copy");
    await store.view("look", "copy");
    look("look", (directory) => assert.equal(readFileSync(join(directory, "file 0"), "utf8"), "changed"));
  });

  it("that is full makes nothing new and says why, harms nothing, and goes on when there is room again", async () => {
    const store = await open({ ...small, "dm.loopdatasize": "96M" });
    await image(store);
    await store.prepare("greedy", "image");
    await store.prepare("careful", "image");
    look("careful", (directory) => writeFileSync(join(directory, "mine"), "kept"));
    look("greedy", (directory) => {
      const { status } = spawnSync("dd", ["if=/dev/zero", `of=${directory}/much`, "bs=1M", "count=200", "conv=fsync"]);
      assert.notEqual(status, 0);
    });
    assert.match(pool().mode, /^(out_of_data_space|rw)$/);
    await assert.rejects(
      store.prepare("late", "image"),
      (error) => throwsCode("exhausted")(error) && /no space left on device.*full/.test(String(error)),
    );
    assert.equal(store.has("late"), false);
    look("careful", (directory) => assert.equal(readFileSync(join(directory, "mine"), "utf8"), "kept"));

    await store.remove("greedy");
    await close();
    check();
    await open({ ...small, "dm.loopdatasize": "96M" });
    await snapshots?.prepare("late", "image");
    look("late", (directory) => assert.equal(readFileSync(join(directory, "file 0")).length, 4 * mebibyte));
    look("careful", (directory) => assert.equal(readFileSync(join(directory, "mine"), "utf8"), "kept"));
  });

  it(`keeps all layers that were acknowledged, and no device that nobody knows, through ${crashRounds} kills`, async () => {
    const layers = new Set<string>();
    for (let round = 0; round < crashRounds; round++) {
      for (const layer of await killedWork(root, round)) layers.add(layer);
      const store = await open();
      const found = [...store.list()].filter(({ kind }) => kind === "committed").map(({ id }) => id);
      for (const layer of layers) assert.ok(found.includes(layer), `round ${round}: ${layer} is lost`);
      for (const { id, kind } of [...store.list()]) if (kind !== "committed") await store.remove(id);
      for (const layer of found) {
        await store.view("look", layer);
        assert.equal(`layer ${look("look", (directory) => readFileSync(join(directory, "name"), "utf8"))}`, layer);
        await store.remove("look");
        layers.add(layer);
      }
      await close();
      check();
      const trees = readdirSync(join(root, "devicemapper")).filter((name) => /^[0-9a-f]{12}$/.test(name));
      assert.equal(trees.length, found.length);
      assert.equal(thinDevices(root), trees.length + 1, "one for each tree, and the one that all descend from");
    }
    assert.ok(layers.size >= crashRounds, `only ${layers.size} layers were made`);
  });

  it("refuses a pool that isn't of the same time as its records", async () => {
    await open();
    await close();
    const record = join(root, "devicemapper", "pool.json");
    const then = readFileSync(record);
    for (let time = 0; time < 2; time++) {
      await open();
      await close();
    }
    writeFileSync(record, then);
    await assert.rejects(open(), throwsCode("corrupt"));
    for (const line of devices()) execFileSync("dmsetup", ["remove", line.split("\t")[0] ?? ""]);
    for (const loop of execFileSync("losetup", ["-n", "-O", "NAME,BACK-FILE"], { encoding: "utf8" }).split("\n")) {
      if (loop.includes(root)) execFileSync("losetup", ["-d", loop.trim().split(/\s+/)[0] ?? ""]);
    }
  });

  it("lies on devices of one's own", async () => {
    const files = ["data", "metadata"].map((name) => join(root, name));
    const [data = "", metadata = ""] = files.map((file) => {
      execFileSync("truncate", ["-s", "512M", file]);
      return execFileSync("losetup", ["--find", "--show", file], { encoding: "utf8" }).trim();
    });
    try {
      const store = await open({ "dm.basesize": "400M", "dm.datadev": data, "dm.metadatadev": metadata });
      await image(store);
      await store.prepare("clone", "image");
      look("clone", (directory) => assert.equal(readdirSync(directory).length, 1));
      assert.deepEqual(
        readdirSync(join(root, "devicemapper")).filter((name) => /data/.test(name)),
        [],
      );
      await close();
    } finally {
      for (const loop of [data, metadata]) execFileSync("losetup", ["-d", loop]);
    }
  });
});

/** Runs a command as root without the right to go beyond quotas, which containers don't have. @returns what it complained of */
function asContainer(directory: string, command: string): string {
  const words = ["--bounding-set", "-sys_resource", "--inh-caps", "-sys_resource", "sh", "-c", command];
  return spawnSync("setpriv", words, { cwd: directory, encoding: "utf8", env: { ...process.env, LC_ALL: "C" } }).stderr;
}

/** Starts the worker, kills it after a random while, and returns the layers that it told of. */
async function killedWork(root: string, round: number, attempts = 3): Promise<readonly string[]> {
  const script = join(import.meta.dirname, "devicemapper-worker.ts");
  const worker = spawn(process.execPath, [script, root, String(round), JSON.stringify(small)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  worker.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  const closed = once(worker, "close");
  const hasEnded = () => worker.exitCode !== null || worker.signalCode !== null;
  while (!output.includes("layer") && !hasEnded()) await sleep(20);
  // Now and then Node doesn't come up on an emulated processor: that is no crash of a pool's user.
  if (hasEnded() && !output.includes("ready") && attempts > 1) return killedWork(root, round, attempts - 1);
  assert.ok(!hasEnded(), `the worker ended by itself (${worker.exitCode ?? worker.signalCode}) after "${output}"`);
  await sleep(Math.random() * 1500);
  worker.kill("SIGKILL");
  await closed;
  return output.split("\n").filter((line) => line.startsWith("layer"));
}

/** How many devices the metadata of a pool that was closed knows. */
function thinDevices(root: string): number {
  const dump = execFileSync("thin_dump", [join(root, "devicemapper", "metadata")], {
    encoding: "utf8",
    maxBuffer: 64 * mebibyte,
  });
  return dump.split("<device ").length - 1;
}
