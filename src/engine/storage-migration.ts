import { existsSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { syncDirectory, writeJsonAtomic } from "../base/atomic-file.ts";
import { isErrno } from "../base/errno.ts";
import { openSnapshotter } from "../storage/open.ts";
import type { DriverCandidate, DriverTools, Snapshotter } from "../storage/snapshotter.ts";

/** A move to another storage driver that is under way, as `snapshots/migration.json`. */
export interface Migration {
  readonly format: 1;
  readonly from: string;
  readonly to: string;
  /** `copying`: what is in the new driver's folder may be half made. `switching`: it is complete, and the old one goes. */
  readonly phase: "copying" | "switching";
}

interface DriverParts {
  readonly candidates: readonly DriverCandidate[];
  readonly tools: DriverTools;
}

/** Where the new driver's records of layers lie until the switch. */
export function migratedRecords(root: string): string {
  return join(root, "layers.migrated");
}

/** Writes the mark of a migration, or removes it; on the disk when this resolves. */
export async function saveMigration(root: string, migration: Migration | undefined): Promise<void> {
  if (migration !== undefined) return writeJsonAtomic(markOf(root), migration);
  rmSync(markOf(root), { force: true });
  await syncDirectory(join(root, "snapshots"));
}

/** Rolls back or finishes what was cut off; to be called before snapshots are opened. @returns a sentence where something was done */
export async function resumeMigration(root: string, parts: DriverParts): Promise<readonly string[]> {
  const migration = readMigration(root);
  if (migration === undefined) return [];
  const { from, to, phase } = migration;
  if (phase === "switching") {
    await switchOver(root, migration, parts);
    return [`finished the move of storage from ${from} to ${to} that was cut off`];
  }
  await takeBack(root, migration, parts);
  return [`took back the move of storage from ${from} to ${to} that was cut off; nothing was lost`];
}

/** Removes what was copied so far. */
export async function takeBack(root: string, { to }: Migration, parts: DriverParts): Promise<void> {
  await dropSnapshots(join(root, "snapshots"), to, { ...parts, isOpen: true });
  rmSync(migratedRecords(root), { recursive: true, force: true });
  await saveMigration(root, undefined);
}

/** Every step may be done again. */
export async function switchOver(root: string, { from }: Migration, parts: DriverParts): Promise<void> {
  const records = join(root, "layers");
  if (existsSync(migratedRecords(root))) {
    rmSync(records, { recursive: true, force: true });
    renameSync(migratedRecords(root), records);
    await syncDirectory(root);
  }
  await dropSnapshots(join(root, "snapshots"), from, { ...parts, isOpen: true });
  await saveMigration(root, undefined);
}

/** Removes all snapshots of a driver, and its folder. */
export async function dropSnapshots(
  snapshotsRoot: string,
  driver: string,
  { candidates, tools, isOpen }: DriverParts & { readonly isOpen: boolean },
): Promise<void> {
  const directory = join(snapshotsRoot, driver);
  if (isOpen && existsSync(directory)) {
    const own = candidates.filter(({ name }) => name === driver);
    const snapshotter = await openSnapshotter({ root: snapshotsRoot, driver, candidates: own, tools });
    await removeAll(snapshotter);
    await snapshotter.close();
  }
  rmSync(directory, { recursive: true, force: true });
}

/** Those that stand on others first. */
async function removeAll(snapshotter: Snapshotter): Promise<void> {
  for (let left = [...snapshotter.list()]; left.length > 0; left = [...snapshotter.list()]) {
    const parents = new Set(left.map(({ parent }) => parent));
    for (const { id } of left) if (!parents.has(id)) await snapshotter.remove(id);
  }
}

function readMigration(root: string): Migration | undefined {
  try {
    return JSON.parse(readFileSync(markOf(root), "utf8")) as Migration;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

function markOf(root: string): string {
  return join(root, "snapshots", "migration.json");
}
