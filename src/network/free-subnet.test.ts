import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isOnggiError } from "../base/error.ts";
import { chooseSubnet, defaultDevice, parseRoutes } from "./free-subnet.ts";
import { formatCidr, parseCidr } from "./ipv4.ts";

const table = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	0	00000000	0	0	0
eth0	000200C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
docker0	000011AC	00000000	0001	0	0	0	0000FFFF	0	0	0
`;

describe("parseRoutes", () => {
  it("reads the kernel's table", () => {
    const routes = parseRoutes(table);

    assert.deepEqual(
      routes.map(({ device, range }) => `${formatCidr(range)} ${device}`),
      ["0.0.0.0/0 eth0", "192.0.2.0/24 eth0", "172.17.0.0/16 docker0"],
    );
    assert.equal(defaultDevice(routes), "eth0");
  });
});

describe("chooseSubnet", () => {
  const choose = (...used: readonly string[]) => formatCidr(chooseSubnet(used.map(parseCidr)));

  it("takes the first that no route uses, wholly or in part", () => {
    assert.equal(choose(), "172.17.0.0/16");
    assert.equal(choose("172.17.5.0/24", "172.18.0.0/15"), "172.20.0.0/16");
    assert.equal(choose("172.16.0.0/12"), "10.0.0.0/16");
    assert.equal(choose("172.16.0.0/12", "10.0.0.0/8"), "192.168.0.0/20");
  });

  it("says when there is none", () => {
    assert.throws(
      () => choose("172.16.0.0/12", "10.0.0.0/8", "192.168.0.0/16"),
      (error) => isOnggiError(error, "exhausted"),
    );
  });
});
