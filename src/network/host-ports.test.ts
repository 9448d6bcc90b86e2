import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isOnggiError } from "../base/error.ts";
import { HostPorts, type PortProbe } from "./host-ports.ts";
import type { PublishedPort } from "./network.ts";

const free: PortProbe = async (_protocol, _address, port) => port;

function port(fields: Partial<PublishedPort> = {}): PublishedPort {
  return { containerPort: 80, protocol: "tcp", hostAddress: "", hostPort: 8080, ...fields };
}

const refused = (code: "conflict" | "invalid" | "unsupported" | "exhausted", text: RegExp) => (error: unknown) => {
  assert.ok(isOnggiError(error, code));
  assert.match(error.message, text);
  return true;
};

describe("HostPorts", () => {
  it("refuses a port that another container has on the same address, in Docker's words", async () => {
    const ports = new HostPorts(free);
    await ports.claim("a", [port()]);

    await assert.rejects(
      ports.claim("b", [port()]),
      refused(
        "conflict",
        /^driver failed programming external connectivity on endpoint b: Bind for 0\.0\.0\.0:8080 failed: port is already allocated$/,
      ),
    );
  });

  it("takes every address to include each one", async () => {
    for (const [one, two] of [
      ["", "192.0.2.1"],
      ["192.0.2.1", ""],
      ["0.0.0.0", ""],
    ] as const) {
      const ports = new HostPorts(free);
      await ports.claim("a", [port({ hostAddress: one })]);
      await assert.rejects(ports.claim("b", [port({ hostAddress: two })]), refused("conflict", /already allocated/));
    }
  });

  it("keeps addresses and protocols apart", async () => {
    const ports = new HostPorts(free);
    await ports.claim("a", [port({ hostAddress: "192.0.2.1" })]);
    await ports.claim("b", [port({ hostAddress: "192.0.2.2" })]);
    const claimed = await ports.claim("c", [port({ protocol: "udp", hostAddress: "0.0.0.0" })]);

    assert.deepEqual(claimed, [port({ protocol: "udp" })]);
  });

  it("takes all or none", async () => {
    const ports = new HostPorts(free);
    await ports.claim("a", [port({ hostPort: 2 })]);
    await assert.rejects(ports.claim("b", [port({ hostPort: 1 }), port({ hostPort: 2 })]));

    assert.equal((await ports.claim("c", [port({ hostPort: 1 })])).length, 1);
  });

  it("lets only one of two that ask at once have it", async () => {
    const ports = new HostPorts(free);
    const outcomes = await Promise.allSettled([ports.claim("a", [port()]), ports.claim("b", [port()])]);

    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ["fulfilled", "rejected"],
    );
  });

  it("gives back what was released, and knows what was restored", async () => {
    const ports = new HostPorts(free);
    ports.restore("a", [port()]);
    await assert.rejects(ports.claim("b", [port()]));
    ports.release([port()]);

    assert.deepEqual(await ports.claim("b", [port()]), [port()]);
  });

  it("chooses a port that neither host nor container has", async () => {
    const offers = [40_000, 40_000, 40_001];
    const ports = new HostPorts(async (_protocol, _address, wanted) =>
      wanted === 0 ? (offers.shift() ?? "EADDRINUSE") : wanted,
    );
    const claimed = await ports.claim("a", [port({ hostPort: 0 }), port({ hostPort: 0 })]);

    assert.deepEqual(
      claimed.map(({ hostPort }) => hostPort),
      [40_000, 40_001],
    );
  });

  it("gives up when every port that the host offers is taken", async () => {
    const ports = new HostPorts(async () => 40_000);
    await assert.rejects(
      ports.claim("a", [port({ hostPort: 0 }), port({ hostPort: 0 })]),
      refused("exhausted", /no free host port/),
    );
  });

  it("says why the host refuses", async () => {
    const ports = new HostPorts(async () => "EADDRNOTAVAIL");
    await assert.rejects(
      ports.claim("a", [port({ hostAddress: "192.0.2.1" })]),
      refused("conflict", /192\.0\.2\.1:8080 failed: cannot assign requested address$/),
    );
    await assert.rejects(new HostPorts(async () => "EACCES").claim("a", [port()]), refused("conflict", /EACCES$/));
  });

  it("refuses addresses and ports that are none", async () => {
    const ports = new HostPorts(free);
    await assert.rejects(ports.claim("a", [port({ hostAddress: "::1" })]), refused("unsupported", /IPv6/));
    await assert.rejects(ports.claim("a", [port({ hostAddress: "here" })]), refused("invalid", /"here"/));
    await assert.rejects(ports.claim("a", [port({ hostPort: 65536 })]), refused("invalid", /65536 is not a host port/));
    await assert.rejects(
      ports.claim("a", [port({ containerPort: 0 })]),
      refused("invalid", /0 is not a container port/),
    );
  });
});
