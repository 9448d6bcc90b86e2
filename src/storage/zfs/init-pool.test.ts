import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { isOnggiError } from "../../base/error.ts";
import { initPool, type NewPool } from "./init-pool.ts";
import { recordedPool, recordPool } from "./pool.ts";

describe("initPool", () => {
  let root: string;
  const refused = async (wrong: Partial<NewPool>) => {
    const pool = { name: "onggi", file: join(root, "pool"), bytes: 1024 ** 3, ...wrong };
    await assert.rejects(initPool(join(root, "zfs"), pool), (error) => isOnggiError(error, "invalid"));
    assert.equal(existsSync(pool.file), false);
  };

  before(() => {
    root = mkdtempSync(join(tmpdir(), "onggi-pool-"));
  });

  after(() => rmSync(root, { recursive: true }));

  it("refuses names that ZFS has for itself or can't have", async () => {
    for (const name of ["", "mirror", "raidz1", "spare", "c0t0", "9lives", "a b", "a/b", "-f"]) await refused({ name });
  });

  it("refuses a path that depends on where the daemon was started, and a size that ZFS does", async () => {
    await refused({ file: "pool" });
    for (const bytes of [0, 1024 ** 2, 1.5 * 1024 ** 3 + 0.5]) await refused({ bytes });
  });
});

describe("recordedPool", () => {
  let directory: string;

  before(() => {
    directory = mkdtempSync(join(tmpdir(), "onggi-pool-"));
  });

  after(() => rmSync(directory, { recursive: true }));

  it("is what was recorded, and nothing before or when that was torn", async () => {
    assert.equal(recordedPool(directory), undefined);
    await recordPool(directory, { pool: "tank", file: "/srv/tank" });
    assert.deepEqual(recordedPool(directory), { pool: "tank", file: "/srv/tank" });
    writeFileSync(join(directory, "pool.json"), '{"pool": "ta');
    assert.equal(recordedPool(directory), undefined);
  });
});
