import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { isErrno } from "../base/errno.ts";
import { messageOf, OnggiError } from "../base/error.ts";
import { Bookkeeper } from "./bookkeeper.ts";
import type { DriverCandidate, DriverTools, SnapshotMemory, Snapshotter } from "./snapshotter.ts";

export interface OpenSnapshotterOptions {
  /** Each driver has a folder of its name in it. */
  readonly root: string;
  /** The driver's name; without one the driver of the data that is there, else the first that is usable. */
  readonly driver?: string | undefined;
  /** The best first. */
  readonly candidates: readonly DriverCandidate[];
  readonly tools: DriverTools;
  /** Default: nobody remembers anything. */
  readonly memory?: SnapshotMemory;
}

/**
 * Opens the snapshots below a folder, of which the caller is the only user.
 *
 * @throws OnggiError `unsupported` when the driver can't work here, saying why
 * @throws OnggiError `conflict` when another driver's snapshots are there
 * @throws OnggiError `denied` when the folder can't be written
 */
export async function openSnapshotter({
  root,
  driver,
  candidates,
  tools,
  memory,
}: OpenSnapshotterOptions): Promise<Snapshotter> {
  makeRoot(root);
  const used = candidates.find(({ name }) => hasSnapshots(join(root, name)));
  if (used !== undefined && driver !== undefined && used.name !== driver) {
    throw new OnggiError(
      "conflict",
      `the snapshots in ${root} were made by the storage driver "${used.name}", not "${driver}"`,
      {
        hint: `Go on with --storage-driver ${used.name}, or choose another data root.`,
      },
    );
  }
  const chosen = await choose(root, driver ?? used?.name, candidates, tools);
  const directory = join(root, chosen.name);
  return Bookkeeper.open(directory, await chosen.open(directory, tools), memory);
}

export interface DriverReport {
  readonly name: string;
  readonly usable: boolean;
  /** Why not, or the empty string. */
  readonly reason: string;
}

/** Asks each driver whether it could work below a folder, for `info`. */
export async function surveyDrivers(
  root: string,
  candidates: readonly DriverCandidate[],
  tools: DriverTools,
): Promise<readonly DriverReport[]> {
  makeRoot(root);
  const reports: DriverReport[] = [];
  for (const { name, probe } of candidates) {
    const reason = await probe(root, tools);
    reports.push({ name, usable: reason === undefined, reason: reason ?? "" });
  }
  return reports;
}

async function choose(
  root: string,
  name: string | undefined,
  candidates: readonly DriverCandidate[],
  tools: DriverTools,
): Promise<DriverCandidate> {
  const asked = name === undefined ? candidates : candidates.filter((candidate) => candidate.name === name);
  if (name !== undefined && asked.length === 0) {
    throw new OnggiError("invalid", `there is no storage driver "${name}"`, {
      hint: `Choose one of ${candidates.map((candidate) => candidate.name).join(", ")}.`,
    });
  }
  const reasons: string[] = [];
  for (const candidate of asked) {
    const directory = join(root, candidate.name);
    const reason = await candidate.probe(root, tools);
    if (reason === undefined) {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      return candidate;
    }
    reasons.push(`${candidate.name}: ${reason}`);
  }
  throw new OnggiError("unsupported", `no storage driver can work in ${root}: ${reasons.join("; ")}`, {
    hint: "Choose another with --storage-driver, or another data root; onggi info lists all with the reason.",
  });
}

function hasSnapshots(directory: string): boolean {
  try {
    return readdirSync(join(directory, "state")).some((name) => name.endsWith(".json"));
  } catch (error) {
    if (isErrno(error, "ENOENT")) return false;
    throw error;
  }
}

function makeRoot(root: string): void {
  try {
    mkdirSync(root, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new OnggiError("denied", `the folder ${root} can't be made: ${messageOf(cause)}`, {
      hint: "Run as root, or choose another data root with --data-root.",
      cause,
    });
  }
}
