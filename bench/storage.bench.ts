/** What copy-on-write and redirect-on-write cost: `onggi storage bench` on file systems made for it. */
import type { StorageMeasureBody } from "../src/api/wire.ts";
import { formatterOf, makeLoopDisk } from "../test/e2e/loop-disk.ts";
import { table } from "./harness.ts";
import { startOwnDaemon } from "./own-daemon.ts";

const megabyte = 2 ** 20;
const disks = [
  { type: "ext4", options: ["-q"], drivers: ["overlay", "erofs", "vfs"] },
  { type: "xfs", options: ["-q"], drivers: ["overlay", "vfs"] },
  { type: "btrfs", options: ["-q"], drivers: ["btrfs"] },
];
const units = { ms: "ms", µs: "µs", bytes: "MB" } as const;

/** One table a unit: numbers of different units don't stand under each other. */
export default (["ms", "µs", "bytes"] as const).map((unit) =>
  table({
    title: {
      ms: "Storage: clones and large files",
      µs: "Storage: look-ups, new and deleted files",
      bytes: "Storage: what the first byte of a 256 MB file takes",
    }[unit],
    unit: units[unit],
    async define({ row, missing }) {
      for (const { type, options, drivers } of disks) {
        if (formatterOf(type) === undefined) {
          missing(`on ${type}`, `there is no mkfs.${type}`);
          continue;
        }
        for (const { Driver, Title, Layers, Value, Unit, Reason } of await measured(type, options, drivers)) {
          const name = `${Driver} on ${type}: ${Title}${unit === "µs" ? `, ${Layers === 1 ? "1 layer" : `${Layers} layers`}` : ""}`;
          if (Value === null) missing(`${Driver} on ${type}`, Reason ?? "");
          else if (Unit === unit) row(name, () => (unit === "bytes" ? Value / megabyte : Value), { n: 1, warmUps: 0 });
        }
      }
    },
  }),
);

const known = new Map<string, Promise<readonly StorageMeasureBody[]>>();

/** Each file system is measured once, for all tables. */
function measured(
  type: string,
  options: readonly string[],
  drivers: readonly string[],
): Promise<readonly StorageMeasureBody[]> {
  const found = known.get(type) ?? measure(type, options, drivers);
  known.set(type, found);
  return found;
}

async function measure(
  type: string,
  options: readonly string[],
  drivers: readonly string[],
): Promise<readonly StorageMeasureBody[]> {
  const disk = makeLoopDisk(type, 6 * 1024 * megabyte, options);
  try {
    const own = await startOwnDaemon({ parent: disk.directory });
    try {
      const { code, stdout, stderr } = await own.daemon.onggi(["storage", "bench", "--json", ...drivers], {
        timeoutMs: 300_000,
      });
      if (code !== 0) throw new Error(stderr);
      return stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as StorageMeasureBody);
    } finally {
      await own.stop();
    }
  } finally {
    disk.remove();
  }
}
