import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isOnggiError } from "../base/error.ts";
import { hostsFile } from "./hosts.ts";

describe("hostsFile", () => {
  it("has localhost and the container's own name", () => {
    const file = hostsFile({ hostname: "web", address: "172.17.0.2" });

    assert.match(file, /^127\.0\.0\.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n/);
    assert.match(file, /\n172\.17\.0\.2\tweb\n$/);
  });

  it("gives the full name first where there is a domain", () => {
    assert.match(
      hostsFile({ hostname: "web", domainname: "example.org", address: "172.17.0.2" }),
      /\n172\.17\.0\.2\tweb\.example\.org web\n$/,
    );
  });

  it("leads its name to itself where there is no network", () => {
    assert.match(hostsFile({ hostname: "web" }), /\n127\.0\.0\.1\tweb\n$/);
  });

  it("adds extra hosts, in either spelling and of IPv6, too", () => {
    const extraHosts = ["db:192.0.2.1", "host.docker.internal=host-gateway", "six:2001:db8::1", "seven:[2001:db8::2]"];
    const file = hostsFile({ hostname: "web", address: "172.17.0.2", gateway: "172.17.0.1", extraHosts });

    assert.match(
      file,
      /\n192\.0\.2\.1\tdb\n172\.17\.0\.1\thost\.docker\.internal\n2001:db8::1\tsix\n2001:db8::2\tseven\n/,
    );
  });

  it("refuses an extra host without an address", () => {
    for (const extra of ["db", "db:", "db:nowhere", ":192.0.2.1", "db:host-gateway", "a b:192.0.2.1"]) {
      assert.throws(
        () => hostsFile({ hostname: "web", extraHosts: [extra] }),
        (error) => isOnggiError(error, "invalid"),
        extra,
      );
    }
  });
});
