import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  decodeQuota,
  encodeLimit,
  encodeProject,
  isEnforced,
  Q_GETQUOTA,
  quotaCommand,
  stateRequest,
} from "./quota-format.ts";

describe("arguments of project quotas", () => {
  it("hold limits in the kernel's blocks, rounded up, and none where none is given", () => {
    const use = decodeQuota(encodeLimit({ bytes: 1025, inodes: 7 }));
    assert.deepEqual(use, { maxBytes: 2048, bytes: 0, maxInodes: 7, inodes: 0 });
    assert.deepEqual(decodeQuota(encodeLimit({})), { maxBytes: 0, bytes: 0, maxInodes: 0, inodes: 0 });
  });

  it("give a directory a project that it hands on", () => {
    const data = Buffer.from(encodeProject(0x4f000001));
    assert.deepEqual([data.length, data.readUInt32LE(0), data.readUInt32LE(12)], [28, 0x200, 0x4f000001]);
  });

  it("name their command for projects", () => {
    assert.equal(quotaCommand(Q_GETQUOTA), 0x80000702);
  });

  it("tell whether limits are enforced, not only counted", () => {
    const counted = Buffer.from(stateRequest());
    counted.writeUInt16LE(0x10, 2);
    assert.equal(isEnforced(counted), false);
    counted.writeUInt16LE(0x30, 2);
    assert.equal(isEnforced(counted), true);
  });
});
