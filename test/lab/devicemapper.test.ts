import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, it } from "node:test";
import { devicemapperCandidate } from "../../src/storage/devicemapper/driver.ts";
import { snapshotterContract } from "../contract/snapshotter.ts";
import { withMounts } from "../e2e/with-mounts.ts";
import { openStorageTools, type StorageTools } from "./storage-tools.ts";

let executor: StorageTools;
before(async () => {
  executor = await openStorageTools();
});
after(() => executor.close());

describe("storage on thin devices", () => {
  snapshotterContract("devicemapper", {
    candidate: devicemapperCandidate,
    tools: {
      perform: (ops) => executor.with({}).perform(ops),
      options: { "dm.basesize": "400M", "dm.loopdatasize": "2G", "dm.loopmetadatasize": "16M" },
    },
    withMounts,
  });

  it("leaves neither devices nor loop devices when it is closed", () => {
    const devices = execFileSync("dmsetup", ["ls"], { encoding: "utf8" });
    const loops = execFileSync("losetup", ["-n", "-O", "BACK-FILE"], { encoding: "utf8" });
    assert.doesNotMatch(`${devices}${loops}`, /onggi|devicemapper/);
  });
});
