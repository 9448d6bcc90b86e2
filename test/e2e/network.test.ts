import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, it } from "node:test";

describe("a bridge network", () => {
  it("passes its cases on a host of which nothing but the network is its own", { timeout: 120_000 }, () => {
    // Firewalls, forwarding and routes of this machine don't matter there, and are left alone.
    const script = 'ip link set lo up && mount -t sysfs sysfs /sys && exec "$@"';
    const cases = [process.execPath, join(import.meta.dirname, "network-cases.ts")];
    const { NODE_TEST_CONTEXT: _, ...env } = process.env; // or the cases would report to this test's runner
    const run = spawnSync("unshare", ["--net", "--mount", "sh", "-c", script, "sh", ...cases], {
      encoding: "utf8",
      env,
    });

    assert.equal(run.status, 0, `${run.stdout}${run.stderr}`);
    assert.match(run.stdout, /pass [1-9]/);
  });
});
