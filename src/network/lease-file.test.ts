import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { encodeLease, leasePath, readLeases } from "./lease-file.ts";
import type { Lease } from "./network.ts";

describe("readLeases", () => {
  it("reads what encodeLease wrote and tells what is no lease", (t) => {
    const directory = mkdtempSync(join(tmpdir(), "onggi-leases-"));
    t.after(() => rmSync(directory, { recursive: true }));
    const lease: Lease = {
      containerId: "abc",
      address: "172.17.0.2",
      hostLink: "ogabc",
      ports: [{ containerPort: 80, protocol: "tcp", hostAddress: "127.0.0.1", hostPort: 8080 }],
    };
    writeFileSync(leasePath(directory, lease.address), encodeLease(lease));
    writeFileSync(join(directory, "172.17.0.3"), encodeLease({ ...lease, ports: [] }).slice(0, 20));
    writeFileSync(join(directory, "172.17.0.4"), "");
    writeFileSync(join(directory, "notes"), encodeLease(lease));
    writeFileSync(join(directory, "172.17.0.5"), encodeLease(lease).replace("127.0.0.1", "nowhere"));

    const { leases, broken } = readLeases(directory);

    assert.deepEqual(leases, [lease]);
    assert.deepEqual([...broken].sort(), ["172.17.0.3", "172.17.0.4", "172.17.0.5", "notes"]);
  });
});
