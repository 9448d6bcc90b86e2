import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { AddressPool } from "./address-pool.ts";
import { broadcast, formatAddress, parseCidr } from "./ipv4.ts";

const subnet = parseCidr("10.1.2.0/28");
const gateway = subnet.base + 1;
const usable = 13;

describe("AddressPool", () => {
  it("never gives out an address twice, nor one of the reserved", () => {
    const command = fc.oneof(
      fc.constant("take" as const),
      fc.integer({ min: -2, max: 18 }).map((offset) => ({ free: subnet.base + offset })),
      fc.integer({ min: -2, max: 18 }).map((offset) => ({ reserve: subnet.base + offset })),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 100 }), (commands) => {
        const pool = new AddressPool(subnet, [gateway]);
        const taken = new Set<number>();
        const isUsable = (address: number) => address > gateway && address < broadcast(subnet);
        for (const what of commands) {
          if (what === "take") {
            const address = pool.take();
            assert.equal(address === undefined, taken.size === usable);
            if (address === undefined) continue;
            assert.ok(isUsable(address) && !taken.has(address));
            taken.add(address);
          } else if ("free" in what) {
            if (taken.delete(what.free)) pool.free(what.free);
          } else {
            assert.equal(pool.reserve(what.reserve), isUsable(what.reserve) && !taken.has(what.reserve));
            if (isUsable(what.reserve)) taken.add(what.reserve);
          }
          assert.equal(pool.count, taken.size);
        }
      }),
    );
  });

  it("gives an address that came back only after all others", () => {
    const pool = new AddressPool(subnet, [gateway]);
    const first = pool.take();
    assert.ok(first !== undefined);
    pool.free(first);
    const next = Array.from({ length: usable }, () => pool.take());

    assert.equal(next.indexOf(first), usable - 1);
  });

  it("begins behind the gateway", () => {
    assert.equal(formatAddress(new AddressPool(subnet, [gateway]).take() ?? 0), "10.1.2.2");
  });

  it("holds the largest subnet that a bridge may have", () => {
    const large = parseCidr("10.0.0.0/8");
    const pool = new AddressPool(large, [large.base + 1]);

    assert.ok(pool.reserve(large.base + 2 ** 24 - 2));
    assert.equal(formatAddress(pool.take() ?? 0), "10.0.0.2");
  });
});
