import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { resolvConf } from "./resolv-conf.ts";

const host = `# a comment
nameserver 127.0.0.53
nameserver 192.0.2.1 # of the office
nameserver fe80::1%eth0
search example.org example.com
options ndots:2  timeout:1
`;

describe("resolvConf", () => {
  it("keeps of the host's what a container can reach", () => {
    assert.equal(
      resolvConf(host, {}, "own"),
      "nameserver 192.0.2.1\nsearch example.org example.com\noptions ndots:2 timeout:1\n",
    );
  });

  it("names public servers where the host's can't be reached, or there are none", () => {
    const standIn = "nameserver 8.8.8.8\nnameserver 8.8.4.4\n";

    assert.equal(resolvConf("nameserver 127.0.0.1\n", {}, "own"), standIn);
    assert.equal(resolvConf("", {}, "own"), standIn);
  });

  it("keeps all servers in the host's network, and adds none", () => {
    assert.match(
      resolvConf(host, {}, "host"),
      /^nameserver 127\.0\.0\.53\nnameserver 192\.0\.2\.1\nnameserver fe80::1%eth0\n/,
    );
    assert.equal(resolvConf("", {}, "host"), "");
  });

  it("takes what is asked for instead, each by itself", () => {
    assert.equal(
      resolvConf(host, { dns: ["192.0.2.9", "127.0.0.1"], dnsSearch: [], dnsOptions: ["rotate"] }, "own"),
      "nameserver 192.0.2.9\nnameserver 127.0.0.1\nsearch example.org example.com\noptions rotate\n",
    );
  });

  it("has no search domain when one of a dot is asked for", () => {
    assert.equal(
      resolvConf(host, { dnsSearch: ["."], dns: ["192.0.2.9"], dnsOptions: ["rotate"] }, "own"),
      "nameserver 192.0.2.9\noptions rotate\n",
    );
  });
});
