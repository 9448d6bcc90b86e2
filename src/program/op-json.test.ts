import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Op } from "./op.ts";
import { opsFromJson, opsToJson } from "./op-json.ts";

describe("opsToJson", () => {
  it("comes back the same through text", () => {
    const ops: readonly Op[] = [
      { op: "remove", path: "/sys/fs/cgroup/onggi/a", ignore: ["ENOENT"] },
      {
        op: "netlink",
        slot: "nft",
        messages: Buffer.from([0, 255, 7]),
        patches: [{ offset: 4, slot: "ns" }],
        shell: ["nft delete"],
      },
      { op: "capset", effective: 2n ** 40n, permitted: 0n, inheritable: 0n },
    ];

    assert.deepEqual(opsFromJson(JSON.parse(JSON.stringify(opsToJson(ops)))), ops);
  });
});
