import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isOnggiError } from "../base/error.ts";
import { checkSnapshotName, type FindableSnapshot, findSnapshot, nameOfTime, outlived } from "./snapshot-record.ts";

const webId = "a".repeat(64);
const goneId = "b".repeat(64);

function snapshot(id: string, name: string, changes: Partial<FindableSnapshot> = {}): FindableSnapshot {
  return { id: id.padEnd(64, "0"), name, createdAtMs: 1, container: { id: webId, name: "web" }, ...changes };
}

const containerId = (key: string) => (key === "web" || webId.startsWith(key) ? webId : undefined);
const isMissing = (error: unknown) => isOnggiError(error, "not_found") && /No such snapshot: /.test(error.message);

describe("findSnapshot", () => {
  const gone = { container: { id: goneId, name: "old" } };
  const all = [
    snapshot("12ab", "first"),
    snapshot("12cd", "second"),
    snapshot("34ef", "first", gone),
    snapshot("56ab", "first", { container: { id: "c".repeat(64), name: "old" }, createdAtMs: 2 }),
  ];
  const find = (key: string, within?: string) => findSnapshot(all, key, containerId, within).id.slice(0, 4);

  it("finds by id, by its beginning, and by container and name", () => {
    assert.equal(find("12ab".padEnd(64, "0")), "12ab");
    assert.equal(find("12c"), "12cd");
    assert.equal(find("web@first"), "12ab");
    assert.equal(find(`${webId.slice(0, 12)}@second`), "12cd");
  });

  it("finds those of containers that are gone, of the newest one of a name", () => {
    assert.equal(find("old@first"), "56ab");
    assert.equal(find(`${goneId.slice(0, 12)}@first`), "34ef");
  });

  it("takes a bare name only where a container is given", () => {
    assert.equal(find("second", webId), "12cd");
    assert.throws(() => find("second"), isMissing);
    assert.throws(() => find("second", goneId), isMissing);
  });

  it("refuses what names several or none", () => {
    assert.throws(
      () => find("12"),
      (error) => isOnggiError(error, "invalid") && /Multiple IDs/.test(error.message),
    );
    for (const key of ["web@third", "nobody@first", "@first", "web@", "ff", ""])
      assert.throws(() => find(key), isMissing);
  });
});

describe("outlived", () => {
  const made = (createdAtMs: number, limited = true) => ({ createdAtMs, limited });
  const times = (list: readonly { readonly createdAtMs: number }[]) => list.map(({ createdAtMs }) => createdAtMs);
  const all = [made(10), made(30), made(20), made(5, false), made(40)];

  it("keeps the newest of those with a rule, and all without", () => {
    assert.deepEqual(times(outlived(all, { keep: 2 }, 100)), [20, 10]);
    assert.deepEqual(times(outlived(all, { keep: 4 }, 100)), []);
  });

  it("removes what is older than it shall be", () => {
    assert.deepEqual(times(outlived(all, { keepForMs: 75 }, 100)), [20, 10]);
    assert.deepEqual(times(outlived(all, { keep: 1, keepForMs: 1000 }, 100)), [30, 20, 10]);
  });

  it("removes nothing without a rule", () => {
    assert.deepEqual(outlived(all, {}, 1e9), []);
  });
});

describe("names of snapshots", () => {
  it("are the time, with a number where that is taken", () => {
    const timeMs = Date.UTC(2026, 0, 2, 13, 23, 37);
    const taken = new Set(["20260102-132337", "20260102-132337-2"]);
    assert.equal(
      nameOfTime("", timeMs, () => false),
      "20260102-132337",
    );
    assert.equal(
      nameOfTime("", timeMs, (name) => taken.has(name)),
      "20260102-132337-3",
    );
    assert.equal(
      nameOfTime("before-", timeMs, () => false),
      "before-20260102-132337",
    );
  });

  it("hold nothing that a reference couldn't", () => {
    for (const name of ["a", "v1.2_x-y", "0"]) checkSnapshotName(name);
    for (const name of ["", "-a", "a@b", "a/b", "a b", "x".repeat(129)])
      assert.throws(
        () => checkSnapshotName(name),
        (error) => isOnggiError(error, "invalid"),
      );
  });
});
