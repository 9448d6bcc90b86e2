import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { writeJsonAtomic } from "../base/atomic-file.ts";
import { OnggiError } from "../base/error.ts";

/** What is kept of a network for good, in `networks/<id>.json`. */
export interface NetworkRecord {
  readonly id: string;
  readonly name: string;
  readonly bridge: string;
  /** CIDR. */
  readonly subnet: string;
  readonly createdAtMs: number;
}

/** @throws OnggiError `corrupt` when one of the files isn't a record */
export function findRecord(directory: string, name: string): NetworkRecord | undefined {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return readdirSync(directory)
    .filter((file) => /^[0-9a-f]{64}[.]json$/.test(file))
    .map((file) => readRecord(join(directory, file)))
    .find((record) => record.name === name);
}

export async function writeRecord(directory: string, record: NetworkRecord): Promise<void> {
  // Nothing to write at most starts, which must not fail on a full disk.
  if (isDeepStrictEqual(findRecord(directory, record.name), record)) return;
  await writeJsonAtomic(join(directory, `${record.id}.json`), record);
}

export function newRecord(name: string, bridge: string, subnet: string): NetworkRecord {
  return { id: randomBytes(32).toString("hex"), name, bridge, subnet, createdAtMs: Date.now() };
}

function readRecord(path: string): NetworkRecord {
  try {
    const value: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (isRecord(value)) return value;
  } catch (cause) {
    throw corrupt(path, cause);
  }
  throw corrupt(path);
}

function corrupt(path: string, cause?: unknown): OnggiError {
  return new OnggiError("corrupt", `${path} does not describe a network`, {
    hint: "Remove the file; the network is made anew.",
    cause,
  });
}

function isRecord(value: unknown): value is NetworkRecord {
  if (typeof value !== "object" || value === null) return false;
  const { id, name, bridge, subnet, createdAtMs } = value as Record<string, unknown>;
  return [id, name, bridge, subnet].every((field) => typeof field === "string") && typeof createdAtMs === "number";
}
