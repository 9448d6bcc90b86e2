import { addressBytes } from "./ipv4.ts";
import { bytesOf, type Message, nested } from "./netlink.ts";
import type { PublishedPort } from "./network.ts";

const ctnetlinkDelete = (1 << 8) | 2;
const cta = { tupleOriginal: 1, tupleReply: 2, filter: 25 };
const tuple = { ip: 1, protocol: 2 };
const filterSource = 0x1;
const filterProtocol = 0x8;
const filterDestinationPort = 0x20;
const udp = 17;

/**
 * Forgets UDP flows that were let through to a host port before it was published, which would go on to pass the container by.
 *
 * By a filter that kernels before 6.8 refuse with EOPNOTSUPP: there such a flow ends when it was silent for 30 to 120 seconds.
 */
export function forgetFlowsTo({ hostPort }: PublishedPort): Message {
  const protocol = nested(tuple.protocol, [bytesOf(1, [udp]), bytesOf(3, [hostPort >> 8, hostPort & 0xff])]);
  return forget(1, filterProtocol | filterDestinationPort, nested(cta.tupleOriginal, [protocol]));
}

/** Forgets all flows that a container answered, so that a datagram to a port that is published anew finds the new container. */
export function forgetFlowsOf(address: number): Message {
  const ip = nested(tuple.ip, [bytesOf(1, addressBytes(address))]);
  return forget(2, filterSource, nested(cta.tupleReply, [ip]));
}

function forget(filterAttribute: number, flags: number, match: ReturnType<typeof nested>): Message {
  const inet = 2;
  const nativeOrder = new Uint8Array(4);
  new DataView(nativeOrder.buffer).setUint32(0, flags, true);
  return {
    type: ctnetlinkDelete,
    flags: 0,
    header: Uint8Array.of(inet, 0, 0, 0),
    attributes: [match, nested(cta.filter, [bytesOf(filterAttribute, nativeOrder)])],
  };
}
