import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { macBytes } from "./ipv4.ts";
import { type Attribute, bytesOf, encodeMessages, nested, text, u32, u32be } from "./netlink.ts";
import { encodeTransaction } from "./nf-tables.ts";
import { addAddress, addDefaultRoute, newVeth, setUp } from "./rtnetlink.ts";
import { publish, unpublish } from "./ruleset.ts";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

/** Expected bytes, written out by the kernel's headers, in parts. */
const message = (...parts: readonly string[]) => parts.join("").replaceAll(" ", "");

describe("encodeMessages", () => {
  it("asks for one acknowledgement and numbers the messages", () => {
    const { messages } = encodeMessages([setUp(1), setUp(2)]);

    assert.equal(
      hex(messages),
      message(
        "20000000 1000 0100 01000000 00000000",
        "0000 0000 01000000 01000000 01000000",
        "20000000 1000 0500 02000000 00000000",
        "0000 0000 02000000 01000000 01000000",
      ),
    );
  });

  it("pads attributes to four bytes, their length excepted", () => {
    const { messages } = encodeMessages([
      { type: 1, flags: 0, header: new Uint8Array(), attributes: [text(3, "eth0")] },
    ]);

    assert.equal(hex(messages), message("1c000000 0100 0500 01000000 00000000", "0900 0300 65746830 00000000"));
  });

  it("tells where a slot's number belongs, at any depth", () => {
    const slot = (type: number): Attribute => ({ type, value: { slot: `slot${type}` } });
    const attributes = [u32(1, 5), nested(2, [bytesOf(3, [1]), nested(4, [slot(5)], new Uint8Array(16))]), slot(6)];
    const { messages, patches } = encodeMessages([{ type: 1, flags: 0, header: new Uint8Array(8), attributes }]);

    assert.deepEqual(patches, [
      { offset: 24 + 8 + 4 + 8 + 4 + 16 + 4, slot: "slot5" },
      { offset: 24 + 8 + 4 + 8 + 4 + 16 + 8 + 4, slot: "slot6" },
    ]);
    assert.equal(messages.length, 24 + 8 + 4 + 8 + 4 + 16 + 8 + 8);
  });

  it("writes what a reader of attributes reads back", () => {
    const { tree } = fc.letrec<{ tree: Attribute[]; leaf: Attribute; branch: Attribute }>((tie) => ({
      leaf: fc
        .tuple(fc.integer({ min: 1, max: 100 }), fc.uint8Array({ maxLength: 20 }))
        .map(([type, bytes]) => bytesOf(type, bytes)),
      branch: fc.tuple(fc.integer({ min: 1, max: 100 }), tie("tree")).map(([type, value]) => nested(type, value)),
      tree: fc.array(fc.oneof({ maxDepth: 3 }, tie("leaf"), tie("branch")), { maxLength: 4 }),
    }));
    fc.assert(
      fc.property(tree, (attributes) => {
        const { messages } = encodeMessages([{ type: 1, flags: 0, header: new Uint8Array(4), attributes }]);
        assert.deepEqual(readAttributes(messages.subarray(20)), attributes);
      }),
    );
  });
});

describe("an rtnetlink message", () => {
  it("makes a veth pair in place", () => {
    const peer = { name: "eth0", index: 2, mac: macBytes("02:42:ac:11:00:02"), netns: "ns" };
    const { messages, patches } = encodeMessages([
      newVeth({ master: 7, hostName: "og1", mtu: 1500, isUp: true, peer }),
    ]);

    assert.equal(
      hex(messages),
      message(
        "88000000 1000 0506 01000000 00000000", // RTM_NEWLINK, request ack excl create
        "0000 0000 00000000 01000000 01000000", // ifinfomsg: up
        "0800 0300 6f673100", // IFLA_IFNAME og1
        "0800 0400 dc050000", // IFLA_MTU 1500
        "0800 0a00 07000000", // IFLA_MASTER 7
        "5000 1280", // IFLA_LINKINFO
        "0900 0100 76657468 00000000", //   IFLA_INFO_KIND veth
        "4000 0280", //   IFLA_INFO_DATA
        "3c00 0180", //     VETH_INFO_PEER
        "0000 0000 02000000 00000000 00000000", //   ifinfomsg: index 2
        "0900 0300 65746830 00000000", //       IFLA_IFNAME eth0
        "0a00 0100 0242ac11 00020000", //       IFLA_ADDRESS
        "0800 0400 dc050000", //       IFLA_MTU
        "0800 1c00 00000000", //       IFLA_NET_NS_FD, patched
      ),
    );
    assert.deepEqual(patches, [{ offset: messages.length - 4, slot: "ns" }]);
  });

  it("adds an address and a default route", () => {
    const { messages } = encodeMessages([addAddress(2, 0xac110002, 16, 0xac11ffff), addDefaultRoute(2, 0xac110001)]);

    assert.equal(
      hex(messages),
      message(
        "30000000 1400 0105 01000000 00000000", // RTM_NEWADDR, request replace create
        "02 10 00 00 02000000", // ifaddrmsg: inet /16 index 2
        "0800 0200 ac110002",
        "0800 0100 ac110002",
        "0800 0400 ac11ffff",
        "2c000000 1800 0506 02000000 00000000", // RTM_NEWROUTE, request ack excl create
        "02 00 00 00 fe 03 00 01 00000000", // rtmsg: inet main boot universe unicast
        "0800 0500 ac110001",
        "0800 0400 02000000",
      ),
    );
  });
});

describe("an nf_tables transaction", () => {
  const port = { containerPort: 8080, protocol: "tcp", hostAddress: "", hostPort: 80 } as const;

  it("publishes a port as one element", () => {
    const { messages } = encodeTransaction(
      publish("onggi0", [{ port, address: 0xac110002, containerId: "0123456789abcdef" }]),
    );

    assert.equal(
      hex(messages),
      message(
        "14000000 1000 0100 01000000 00000000",
        "00 00 000a", // NFNL_MSG_BATCH_BEGIN for nf_tables
        "6c000000 0c0a 0504 02000000 00000000",
        "02 00 0000", // NFT_MSG_NEWSETELEM, request ack create
        "0a00 0100 6f6e676769 00 0000", // table onggi
        "0e00 0200 7075626c6973686564 00 0000", // set published
        "3c00 0380 3800 0180", // elements, one
        "1000 0180 0c00 0100 06000000 00500000", // key: tcp . 80
        "1000 0280 0c00 0100 ac110002 1f900000", // data: 172.17.0.2 . 8080
        "1300 0600 000d 303132333435363738396162 00 00", // comment
        "14000000 1100 0100 03000000 00000000",
        "00 00 000a", // NFNL_MSG_BATCH_END
      ),
    );
  });

  it("asks for the acknowledgement of its last real message", () => {
    const { messages } = encodeTransaction(unpublish("onggi0", port));
    const view = new DataView(messages.buffer);
    const flags: number[] = [];
    for (let offset = 0; offset < messages.length; offset += view.getUint32(offset, true))
      flags.push(view.getUint16(offset + 6, true) & 4);

    assert.deepEqual(flags, [0, 4, 0]);
  });

  it("splits many ports into messages that the kernel's 16-bit lengths can hold", () => {
    const many = Array.from({ length: 5000 }, (_, i) => ({
      port: { ...port, hostPort: i + 1 },
      address: 1,
      containerId: "a".repeat(64),
    }));
    const { messages } = encodeTransaction(publish("onggi0", many));
    const view = new DataView(messages.buffer);
    let count = 0;
    for (let offset = 0; offset < messages.length; offset += view.getUint32(offset, true)) {
      assert.ok(view.getUint32(offset, true) < 0x10000);
      count++;
    }
    assert.equal(count, 2 + Math.ceil(5000 / 400));
  });

  it("writes negative numbers as two's complement", () => {
    assert.deepEqual(u32be(1, -100).value, Uint8Array.of(0xff, 0xff, 0xff, 0x9c));
  });
});

function readAttributes(bytes: Uint8Array): Attribute[] {
  const attributes: Attribute[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let offset = 0; offset < bytes.length; ) {
    const length = view.getUint16(offset, true);
    const type = view.getUint16(offset + 2, true);
    const body = bytes.slice(offset + 4, offset + length);
    attributes.push(type & 0x8000 ? { type: type & 0x7fff, value: readAttributes(body) } : { type, value: body });
    offset += (length + 3) & ~3;
  }
  return attributes;
}
