import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { isOnggiError } from "../base/error.ts";
import { aufsCandidate } from "./aufs/driver.ts";
import { openSnapshotter, surveyDrivers } from "./open.ts";
import type { DriverCandidate } from "./snapshotter.ts";
import { noTools } from "./testing/no-tools.ts";
import { vfsCandidate } from "./vfs/driver.ts";

const useless: DriverCandidate = {
  name: "useless",
  probe: async () => "the moon is wrong",
  open: async () => assert.fail("a driver that can't work was opened"),
};
const other: DriverCandidate = { ...vfsCandidate, name: "other" };

describe("openSnapshotter", () => {
  let root: string;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "onggi-open-"));
  });

  afterEach(() => {
    rmSync(root, { recursive: true });
  });

  it("takes the first driver that is usable", async () => {
    const snapshots = await openSnapshotter({ tools: noTools, root, candidates: [useless, vfsCandidate, other] });
    assert.equal(snapshots.driver, "vfs");
    await snapshots.close();
  });

  it("says why the driver that was named can't work, and which there are", async () => {
    const fails = (driver: string, code: "unsupported" | "invalid", text: RegExp) =>
      assert.rejects(
        openSnapshotter({ tools: noTools, root, driver, candidates: [useless, vfsCandidate] }),
        (error) => {
          return isOnggiError(error, code) && text.test(`${error.message} ${error.hint}`);
        },
      );
    await fails("useless", "unsupported", /the moon is wrong/);
    await fails("zfs", "invalid", /"zfs".*useless, vfs/);
  });

  it("goes on with the driver whose snapshots are there, and with no other", async () => {
    const first = await openSnapshotter({ tools: noTools, root, driver: "vfs", candidates: [other, vfsCandidate] });
    await first.prepare("key");
    await first.close();
    const second = await openSnapshotter({ tools: noTools, root, candidates: [other, vfsCandidate] });
    assert.ok(second.driver === "vfs" && second.has("key"));
    await assert.rejects(
      openSnapshotter({ tools: noTools, root, driver: "other", candidates: [other, vfsCandidate] }),
      (error) => {
        return isOnggiError(error, "conflict") && /"vfs", not "other"/.test(error.message);
      },
    );
    await second.remove("key");
    await second.close();
    const third = await openSnapshotter({ tools: noTools, root, driver: "other", candidates: [other, vfsCandidate] });
    await third.close();
  });
});

describe("surveyDrivers", () => {
  it("lists all with the reason why not", async () => {
    const root = mkdtempSync(join(tmpdir(), "onggi-survey-"));
    try {
      const [first, second, third] = await surveyDrivers(root, [useless, vfsCandidate, aufsCandidate], noTools);
      assert.deepEqual(first, { name: "useless", usable: false, reason: "the moon is wrong" });
      assert.deepEqual(second, { name: "vfs", usable: true, reason: "" });
      assert.match(third?.reason ?? "", /overlay/);
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});
