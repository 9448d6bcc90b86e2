import { OnggiError } from "../base/error.ts";
import type { ContainerRecord } from "./container-record.ts";
import { treeName } from "./snapshot-trees.ts";

/** What is kept of a snapshot: its value in the journal of snapshots. */
export interface SnapshotRecord {
  readonly format: 1;
  readonly id: string;
  readonly name: string;
  readonly createdAtMs: number;
  /** Made with a rule what to keep. */
  readonly limited: boolean;
  /** The container's record at that time: all that a fork needs when the container is gone. */
  readonly container: ContainerRecord;
}

/** As Docker's rule for tags, so that it can stand behind an `@`. */
const namePattern = /^[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}$/;

/** @throws OnggiError `invalid` */
export function checkSnapshotName(name: string): void {
  if (namePattern.test(name)) return;
  throw new OnggiError("invalid", `Invalid snapshot name (${name}), only [a-zA-Z0-9_][a-zA-Z0-9_.-] are allowed`, {
    hint: "A name has 128 characters at most.",
  });
}

/** The name of one that was given none: its time, and a number where that is taken. */
export function nameOfTime(prefix: string, timeMs: number, isTaken: (name: string) => boolean): string {
  const time = new Date(timeMs).toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-");
  const name = `${prefix}${time}`;
  for (let number = 2; ; number++) {
    const candidate = number === 2 ? name : `${name}-${number - 1}`;
    if (!isTaken(candidate)) return candidate;
  }
}

/** The committed tree of a snapshot. */
export function treeOf({ id }: Pick<SnapshotRecord, "id">): string {
  return treeName("snapshot", id);
}

/** Which of a container's snapshots a rule removes; those without a rule are nobody's to remove. */
export function outlived<T extends Pick<SnapshotRecord, "createdAtMs" | "limited">>(
  snapshots: readonly T[],
  rule: { readonly keep?: number | undefined; readonly keepForMs?: number | undefined },
  nowMs: number,
): readonly T[] {
  const { keep = Number.POSITIVE_INFINITY, keepForMs = Number.POSITIVE_INFINITY } = rule;
  return snapshots
    .filter(({ limited }) => limited)
    .toSorted((a, b) => b.createdAtMs - a.createdAtMs)
    .filter(({ createdAtMs }, index) => index >= keep || nowMs - createdAtMs > keepForMs);
}

/** What a search looks at. */
export interface FindableSnapshot {
  readonly id: string;
  readonly name: string;
  readonly createdAtMs: number;
  readonly container: { readonly id: string; readonly name: string };
}

/**
 * Finds a snapshot by its id, by `CONTAINER@NAME`, by a beginning of its id that only one has, or, where a container is given, by its
 * name alone.
 *
 * @param containerId - finds a container that exists
 * @throws OnggiError `not_found`, `invalid` for the beginning of several ids
 */
export function findSnapshot<T extends FindableSnapshot>(
  all: readonly T[],
  key: string,
  containerId: (key: string) => string | undefined,
  within?: string,
): T {
  const exact = all.find(({ id }) => id === key);
  if (exact !== undefined) return exact;
  const own = all.find(({ name, container }) => name === key && container.id === within);
  if (own !== undefined) return own;
  const at = key.lastIndexOf("@");
  if (at > 0) {
    const found = findNamed(all, key.slice(0, at), key.slice(at + 1), containerId);
    if (found !== undefined) return found;
  }
  if (/^[0-9a-f]{1,64}$/.test(key)) {
    const matches = all.filter(({ id }) => id.startsWith(key));
    if (matches.length > 1)
      throw new OnggiError("invalid", `Multiple IDs found with provided prefix: ${key}`, {
        hint: "Give more of the id.",
      });
    if (matches[0] !== undefined) return matches[0];
  }
  throw new OnggiError("not_found", `No such snapshot: ${key}`, {
    hint: "A snapshot is named CONTAINER@NAME or by its id; onggi snapshot ls lists all there are.",
  });
}

/** A container that exists comes before those of the same name that are gone, of which the newest counts. */
function findNamed<T extends FindableSnapshot>(
  all: readonly T[],
  containerKey: string,
  name: string,
  containerId: (key: string) => string | undefined,
): T | undefined {
  const id = containerId(containerKey);
  const ofName = all.filter((one) => one.name === name).toSorted((a, b) => b.createdAtMs - a.createdAtMs);
  return (
    ofName.find(({ container }) => container.id === id) ??
    ofName.find(({ container }) => container.name === containerKey) ??
    ofName.find(({ container }) => containerKey.length >= 4 && container.id.startsWith(containerKey))
  );
}
