import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { isOnggiError } from "../base/error.ts";
import { broadcast, cidr, formatAddress, formatCidr, macOf, overlap, parseAddress, parseCidr, size } from "./ipv4.ts";

const address = fc.nat({ max: 0xffffffff });

describe("parseAddress", () => {
  it("reads back what formatAddress wrote", () => {
    fc.assert(fc.property(address, (number) => assert.equal(parseAddress(formatAddress(number)), number)));
  });

  it("refuses what is none", () => {
    for (const text of ["", "1.2.3", "1.2.3.256", "1.2.3.4.5", "::1", "1.2.3.4/8"]) {
      assert.equal(parseAddress(text), undefined, text);
    }
  });
});

describe("parseCidr", () => {
  it("sets the host bits to zero", () => {
    assert.equal(formatCidr(parseCidr("172.17.3.9/16")), "172.17.0.0/16");
    assert.equal(formatCidr(parseCidr("255.255.255.255/1")), "128.0.0.0/1");
  });

  it("refuses what is none", () => {
    for (const text of ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/x", "10.0.0/8", "10.0.0.0/8/8"]) {
      assert.throws(
        () => parseCidr(text),
        (error) => isOnggiError(error, "invalid"),
        text,
      );
    }
  });
});

describe("overlap", () => {
  it("holds exactly when one holds the other's first address", () => {
    const range = fc.tuple(address, fc.integer({ min: 0, max: 32 })).map(([base, prefix]) => cidr(base, prefix));
    const holds = (a: ReturnType<typeof cidr>, number: number) => number >= a.base && number < a.base + size(a);
    fc.assert(fc.property(range, range, (a, b) => assert.equal(overlap(a, b), holds(a, b.base) || holds(b, a.base))));
  });
});

describe("an address", () => {
  it("has its MAC and its subnet's broadcast", () => {
    assert.equal(macOf(0xac110002), "02:42:ac:11:00:02");
    assert.equal(formatAddress(broadcast(parseCidr("172.17.0.0/16"))), "172.17.255.255");
  });
});
