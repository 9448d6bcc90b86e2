import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatPortMap, isPortIn, parseExposedPorts, parsePortBindings, summarizePorts } from "./ports.ts";

describe("parsePortBindings", () => {
  it("reads a port of the host, an address, and none for one to be chosen", () => {
    assert.deepEqual(
      parsePortBindings({
        "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "8080" }, { HostPort: "" }],
        "53/udp": [{}],
        "9/tcp": null,
      }),
      [
        { containerPort: 80, protocol: "tcp", hostAddress: "127.0.0.1", hostPort: 8080 },
        { containerPort: 80, protocol: "tcp", hostAddress: "", hostPort: 0 },
        { containerPort: 53, protocol: "udp", hostAddress: "", hostPort: 0 },
      ],
    );
  });

  it("reads ranges of the same length", () => {
    assert.deepEqual(
      parsePortBindings({ "80-81/tcp": [{ HostIp: "0.0.0.0", HostPort: "8080-8081" }] }).map(
        ({ containerPort, hostPort }) => [containerPort, hostPort],
      ),
      [
        [80, 8080],
        [81, 8081],
      ],
    );
  });

  it("refuses what is none, in Docker's words", () => {
    assert.throws(() => parsePortBindings({ "80/tcp": [{ HostPort: "65536" }] }), /invalid HostPort: "65536"/);
    assert.throws(() => parsePortBindings({ "80/tcp": [{ HostIp: "here" }] }), /invalid IP address: here/);
    assert.throws(() => parsePortBindings({ "80-82/tcp": [{ HostPort: "1-2" }] }), /invalid ranges specified/);
    assert.throws(() => parsePortBindings({ "80/ipx": [{}] }), /invalid proto: ipx/);
    assert.throws(() => parsePortBindings({ "0/tcp": [{}] }), /invalid port specification/);
    assert.throws(() => parsePortBindings({ "80/sctp": [{}] }), { code: "unsupported" });
  });
});

describe("parseExposedPorts", () => {
  it("spells ports out", () => {
    assert.deepEqual(parseExposedPorts(["80", "90-91/udp"]), ["80/tcp", "90/udp", "91/udp"]);
  });
});

describe("what is shown of ports", () => {
  const published = [{ containerPort: 80, protocol: "tcp", hostAddress: "", hostPort: 8080 }] as const;

  it("in inspect, null for one that is not published", () => {
    assert.deepEqual(formatPortMap(["80/tcp", "443/tcp"], published), {
      "80/tcp": [{ HostIp: "0.0.0.0", HostPort: "8080" }],
      "443/tcp": null,
    });
  });

  it("in a list, without a public port for one that is not published", () => {
    assert.deepEqual(summarizePorts(["80/tcp", "443/tcp"], published), [
      { PrivatePort: 443, Type: "tcp" },
      { IP: "0.0.0.0", PrivatePort: 80, PublicPort: 8080, Type: "tcp" },
    ]);
  });

  it("and found by a filter", () => {
    assert.ok(isPortIn("80", published));
    assert.ok(isPortIn("70-90/tcp", published));
    assert.ok(!isPortIn("80/udp", published));
  });
});
