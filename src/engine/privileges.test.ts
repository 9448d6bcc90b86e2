import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkPrivileges } from "./privileges.ts";

describe("checkPrivileges", () => {
  it("lets root pass", () => {
    assert.doesNotThrow(() => checkPrivileges("Uid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\n"));
  });

  it("names what a confined root lacks", () => {
    assert.throws(
      () => checkPrivileges("Uid:\t0\t0\t0\t0\nCapEff:\t00000000a80425fb\n"),
      /lacks CAP_NET_ADMIN, CAP_SYS_ADMIN/,
    );
  });

  it("sends a user to root", () => {
    assert.throws(() => checkPrivileges("Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0\n"), { hint: "Run it as root." });
  });
});
