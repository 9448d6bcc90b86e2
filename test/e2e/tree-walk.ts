import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  type BigIntStats,
  closeSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
} from "node:fs";

export interface WalkChoice {
  /** Whether it matters which names are one file. Overlay shows as different what a layer hides a part of. */
  readonly links: boolean;
}

/** Larger files are read at their beginning, around `probes` and at their end. */
const wholeBytes = 64n * 1024n * 1024n;
const pieceBytes = 64 * 1024;
const probes = [0.25, 0.5, 0.75];

/** All that can be seen of a tree, a line each, in the order of names: two trees are the same when their lines are. */
export function walkTree(root: string, { links }: WalkChoice = { links: true }): readonly string[] {
  const lines: string[] = [];
  const inodes = new Map<bigint, string>();
  const visit = (path: Buffer, shown: string): void => {
    const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    // Overlay lists a whiteout that hides nothing.
    if (stats === undefined) return;
    const first = inodes.get(stats.ino) ?? shown;
    if (!stats.isDirectory()) inodes.set(stats.ino, first);
    lines.push([JSON.stringify(shown), ...about(path, stats), ...(links ? [first, linksOf(stats)] : [])].join(" "));
    if (!stats.isDirectory()) return;
    const names = readdirSync(path, { encoding: "buffer" });
    for (const name of names.toSorted(Buffer.compare)) {
      visit(Buffer.concat([path, Buffer.from("/"), name]), `${shown}/${name.toString("latin1")}`);
    }
  };
  visit(Buffer.from(root), "");
  return [...lines, ...attributesOf(root)];
}

function about(path: Buffer, stats: BigIntStats): readonly string[] {
  const { mode, uid, gid, mtimeNs, rdev, size } = stats;
  const base = [mode.toString(8), `${uid}:${gid}`, `${mtimeNs}`];
  if (stats.isSymbolicLink()) return [...base, JSON.stringify(readlinkSync(path, "latin1"))];
  if (stats.isFile()) return [...base, `${size}`, digestOf(path, size)];
  return stats.isCharacterDevice() || stats.isBlockDevice() ? [...base, `${rdev}`] : base;
}

function linksOf(stats: BigIntStats): string {
  return stats.isDirectory() ? "" : `${stats.nlink}`;
}

function digestOf(path: Buffer, size: bigint): string {
  const hash = createHash("sha256");
  if (size <= wholeBytes) return hash.update(readFileSync(path)).digest("hex");
  const file = openSync(path, "r");
  try {
    const piece = Buffer.alloc(pieceBytes);
    const last = Number(size) - pieceBytes;
    for (const at of [0, ...probes.map((part) => Math.floor(last * part)), last]) {
      hash.update(piece.subarray(0, readSync(file, piece, 0, pieceBytes, at)));
    }
  } finally {
    closeSync(file);
  }
  return hash.digest("hex");
}

function attributesOf(root: string): readonly string[] {
  const { stdout: out } = spawnSync("getfattr", ["-R", "-h", "-d", "-m", "-", "-e", "hex", "."], {
    cwd: root,
    encoding: "latin1",
    maxBuffer: 1 << 28,
  });
  const files = out.split("\n\n").filter((file) => file !== "");
  return files.map((file) => file.split("\n").toSorted().join(" ")).toSorted();
}
