import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { HostFacts } from "../runtime/compile/host-facts.ts";
import { type CapabilityWishes, capabilitySet } from "./capability-set.ts";

const facts = { capabilities: 0x1ffffffffffn } as HostFacts;
const set = (wishes: CapabilityWishes) => capabilitySet(wishes, facts);

describe("capabilitySet", () => {
  it("starts from fourteen", () => {
    assert.equal(set({}).length, 14);
    assert.ok(!set({}).includes("CAP_SYS_ADMIN"));
  });

  it("adds and drops by names with or without CAP_, in any case", () => {
    assert.ok(set({ capAdd: ["net_admin"] }).includes("CAP_NET_ADMIN"));
    assert.ok(!set({ capDrop: ["CAP_chown"] }).includes("CAP_CHOWN"));
  });

  it("understands ALL in either list", () => {
    assert.deepEqual(set({ capDrop: ["ALL"] }), []);
    assert.deepEqual(set({ capDrop: ["all"], capAdd: ["KILL"] }), ["CAP_KILL"]);
    assert.equal(set({ capAdd: ["ALL"] }).length, 41);
    assert.equal(set({ capAdd: ["ALL"], capDrop: ["SYS_ADMIN"] }).includes("CAP_SYS_ADMIN"), false);
    assert.equal(set({ privileged: true, capDrop: ["ALL"] }).length, 41);
  });

  it("refuses names that nobody knows", () => {
    assert.throws(() => set({ capAdd: ["CAP_FLY"] }), { code: "invalid", message: 'unknown capability: "CAP_FLY"' });
  });
});
