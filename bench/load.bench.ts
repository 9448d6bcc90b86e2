/** An image of 1 GB and 50,000 files in five layers: loaded from a docker archive, and removed. Each time on a file system that was just made. */
import { execFile, execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { startDaemon } from "../test/e2e/harness.ts";
import { type LoopDisk, makeLoopDisk } from "../test/e2e/loop-disk.ts";
import { Api } from "./api.ts";
import { makeBigImage } from "./big-image.ts";
import { table } from "./harness.ts";
import { startOwnDocker } from "./own-docker.ts";
import { makeScratchImage } from "./scratch-image.ts";

const run = promisify(execFile);
const image = "onggi-big:latest";
const cli = join(import.meta.dirname, "../build/cli.js");
const diskBytes = 12e9;
const mebibyte = 1024;

interface Load {
  readonly load: number;
  readonly remove: number;
  /** Of one container that is made of the image, the whole request. */
  readonly create?: number;
  /** MiB of the daemon above what it had at rest. */
  readonly memory?: number;
}

export default table({
  title: "Load",
  unit: "see the row",
  async define({ row, missing }) {
    const big = makeBigImage(image);
    const options = { n: 3, warmUps: 0 };
    const loads = new Map<string, Load[]>();
    const measured = (name: string, work: () => Promise<Load>) => async () => {
      const load = await work();
      loads.set(name, [...(loads.get(name) ?? []), load]);
      return load.load;
    };

    const gnu = "GNU tar unpacks the layers, one after the other, and syncs, ms";
    row(gnu, () => onFreshDisk((disk) => unpackByTar(disk, big.layers)), options);
    const docker = await dockerWorks();
    const first = "docker load, ms";
    if (docker === undefined)
      row(
        first,
        measured("docker", () => onFreshDisk((disk) => byDocker(disk, big.archive))),
        { ...options, pairedWith: gnu },
      );
    else missing(first, docker);
    const reference = docker === undefined ? first : gnu;
    const ways: [name: string, driver: string, how: "file" | "pipe"][] = [
      ["onggi load, overlay, ms (goal: a fifth of docker's)", "overlay", "file"],
      ["onggi load, overlay, through a pipe, ms", "overlay", "pipe"],
      ["onggi load, erofs, ms (goal: a fifth of docker's)", "erofs", "file"],
      ["onggi load, btrfs, ms", "btrfs", "file"],
    ];
    for (const [name, driver, how] of ways) {
      const reason = await whyNot(driver);
      if (reason !== undefined) missing(name, reason);
      else
        row(
          name,
          measured(`${driver} ${how}`, () =>
            onFreshDisk((disk) => byOnggi(disk, big.archive, driver, how), diskFor(driver)),
          ),
          { ...options, pairedWith: reference },
        );
    }
    const told = (name: string, what: "create" | "remove" | "memory") => {
      let next = 0;
      return () => loads.get(name)?.[next++]?.[what] ?? Number.NaN;
    };
    if (docker === undefined) row("docker rmi, ms", told("docker", "remove"), options);
    for (const driver of ["overlay", "erofs", "btrfs"])
      row(
        `create of a container of it, ${driver}, the whole request, ms (goal of the clone: 2)`,
        told(`${driver} file`, "create"),
        options,
      );
    row("onggi rmi, overlay, ms", told("overlay file", "remove"), options);
    row("onggi rmi, erofs, ms (goal: 50)", told("erofs file", "remove"), options);
    row("daemon's memory while it loads, overlay, MiB above rest (goal: 150)", told("overlay file", "memory"), options);
    row("daemon's memory while it loads, erofs, MiB above rest (goal: 150)", told("erofs file", "memory"), options);
    return () => big.remove();
  },
});

function diskFor(driver: string): "btrfs" | "ext4" {
  return driver === "btrfs" ? "btrfs" : "ext4";
}

async function onFreshDisk<T>(work: (disk: LoopDisk) => Promise<T>, type: "btrfs" | "ext4" = "ext4"): Promise<T> {
  // What was read before is read from memory, what was written before isn't on its way any more.
  execFileSync("sync");
  const options = type === "ext4" ? ["-E", "lazy_itable_init=0,lazy_journal_init=0"] : [];
  const disk = makeLoopDisk(type, diskBytes, ["-q", ...options]);
  try {
    return await work(disk);
  } finally {
    disk.remove();
  }
}

async function unpackByTar({ directory }: LoopDisk, layers: readonly string[]): Promise<number> {
  const before = performance.now();
  for (const [index, layer] of layers.entries()) {
    const folder = join(directory, String(index));
    mkdirSync(folder);
    await run("tar", ["-xf", layer, "-C", folder]);
  }
  await run("sync", ["-f", directory]);
  return performance.now() - before;
}

async function byOnggi(disk: LoopDisk, archive: string, driver: string, how: "file" | "pipe"): Promise<Load> {
  const runRoot = join(disk.directory, "run");
  const daemon = await startDaemon({ root: join(disk.directory, "data"), runRoot, args: ["--storage-driver", driver] });
  const onggi = (script: string) => run("sh", ["-c", script, process.execPath, cli, daemon.host, archive]);
  try {
    await sleep(1000);
    const rest = kib(daemon.pid, "VmRSS");
    const load = await timed(() =>
      onggi(how === "file" ? '"$0" "$1" -H "$2" load -q -i "$3"' : 'cat "$3" | "$0" "$1" -H "$2" load -q'),
    );
    const memory = (kib(daemon.pid, "VmHWM") - rest) / mebibyte;
    const create = await createTime(daemon.socket);
    const api = new Api(daemon.socket);
    const remove = await timed(() => api.call("DELETE", `/images/${image}`));
    api.close();
    return { load, create, remove, memory };
  } finally {
    await daemon.stop();
  }
}

/** The median of some: the first has the image's layers looked at. */
async function createTime(socket: string): Promise<number> {
  const api = new Api(socket);
  const times: number[] = [];
  for (let i = 0; i < 21; i++) {
    let id = "";
    times.push(
      await timed(async () => {
        id = await api.create({ Image: image, Cmd: ["/bin/true"] });
      }),
    );
    await api.remove(id);
  }
  api.close();
  return times.toSorted((a, b) => a - b)[10] ?? Number.NaN;
}

async function byDocker(disk: LoopDisk, archive: string): Promise<Load> {
  const docker = await startDockerOn(disk);
  try {
    const load = await timed(() => run("docker", ["-H", docker.host, "load", "-q", "-i", archive]));
    const remove = await timed(() => run("docker", ["-H", docker.host, "rmi", image]));
    return { load, remove };
  } finally {
    await docker.stop();
  }
}

async function startDockerOn({ directory }: LoopDisk) {
  const scratch = makeScratchImage("onggi-bench:latest");
  const before = process.env.TMPDIR;
  process.env.TMPDIR = directory;
  try {
    const docker = await startOwnDocker(scratch.archive);
    if (typeof docker === "string") throw new Error(docker);
    return docker;
  } finally {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
    scratch.remove();
  }
}

/** Why dockerd can't be measured here, if so. */
async function dockerWorks(): Promise<string | undefined> {
  return await onFreshDisk(async (disk) => {
    try {
      await (await startDockerOn(disk)).stop();
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  });
}

/** Why a driver can't work here, if so. */
async function whyNot(driver: string): Promise<string | undefined> {
  return await onFreshDisk(async ({ directory }) => {
    const runRoot = join(directory, "run");
    try {
      await (await startDaemon({ root: join(directory, "data"), runRoot, args: ["--storage-driver", driver] })).stop();
      return undefined;
    } catch (error) {
      return error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
    }
  }, diskFor(driver));
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const before = performance.now();
  await work();
  return performance.now() - before;
}

function kib(pid: number, field: string): number {
  return Number(new RegExp(`^${field}:\\s*(\\d+)`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
}
