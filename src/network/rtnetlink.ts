import type { Slot } from "../program/op.ts";
import { addressBytes } from "./ipv4.ts";
import { bytesOf, createFlag, exclusiveFlag, type Message, nested, replaceFlag, text, u32 } from "./netlink.ts";

const newLinkType = 16;
const deleteLinkType = 17;
const newAddressType = 20;
const newRouteType = 24;

const ifla = { address: 1, name: 3, mtu: 4, master: 10, linkInfo: 18, familySpec: 26, netnsFd: 28 };
const infoKind = 1;
const infoData = 2;
const infoSlaveKind = 4;
const infoSlaveData = 5;
const vethInfoPeer = 1;
const ifa = { address: 1, local: 2, broadcast: 4 };
const rta = { outInterface: 4, gateway: 5 };

const inet = 2;
const inet6 = 10;
const upFlag = 0x1;

export interface VethPair {
  /** Index of the bridge that the host's end is put on. */
  readonly master: number;
  readonly hostName: string;
  readonly mtu: number;
  /** Whether the host's end is up at once. */
  readonly isUp: boolean;
  readonly peer: { readonly name: string; readonly index: number; readonly mac: Uint8Array; readonly netns: Slot };
}

/**
 * Makes both ends of a veth pair where they belong, the host's end on its bridge.
 *
 * Made in place since moving a link to another namespace takes 27 ms. The peer can't be made up: the kernel says ENOTCONN.
 */
export function newVeth({ master, hostName, mtu, isUp, peer }: VethPair): Message {
  const peerAttributes = [
    text(ifla.name, peer.name),
    bytesOf(ifla.address, peer.mac),
    u32(ifla.mtu, mtu),
    { type: ifla.netnsFd, value: { slot: peer.netns } },
  ];
  const pair = nested(vethInfoPeer, peerAttributes, linkHeader(peer.index, 0));
  const attributes = [
    u32(ifla.mtu, mtu),
    u32(ifla.master, master),
    nested(ifla.linkInfo, [text(infoKind, "veth"), nested(infoData, [pair])]),
  ];
  return newLink(hostName, attributes, isUp ? upFlag : 0);
}

/**
 * Sets what can't be said when a bridge's port is made.
 *
 * @param settings.hairpin - lets the bridge send frames back to the port they came from: where bridges pass frames through the
 *   firewall (br_netfilter), a container that asks for its own published port needs it
 * @param settings.noIpv6 - gives it no IPv6 address, which nobody uses and which takes 0.4 ms; to be said while it's down
 */
export function setBridgePort(
  name: string,
  settings: { readonly hairpin: boolean; readonly noIpv6: boolean },
): Message {
  const attributes = [text(ifla.name, name)];
  if (settings.hairpin) {
    const portMode = bytesOf(4, [1]);
    attributes.push(nested(ifla.linkInfo, [text(infoSlaveKind, "bridge"), nested(infoSlaveData, [portMode])]));
  }
  if (settings.noIpv6) {
    const addressGenerationNone = bytesOf(8, [1]);
    attributes.push(nested(ifla.familySpec, [nested(inet6, [addressGenerationNone])]));
  }
  return { type: newLinkType, flags: 0, header: linkHeader(0, 0), attributes };
}

export function setUpByName(name: string): Message {
  return { type: newLinkType, flags: 0, header: linkHeader(0, upFlag), attributes: [text(ifla.name, name)] };
}

/** Makes a bridge, down. Its MAC is given, or it would change with every container that comes and goes. */
export function newBridge(name: string, mtu: number, mac: Uint8Array): Message {
  const attributes = [
    u32(ifla.mtu, mtu),
    bytesOf(ifla.address, mac),
    nested(ifla.linkInfo, [text(infoKind, "bridge")]),
  ];
  return newLink(name, attributes, 0);
}

export function deleteLink(name: string): Message {
  return { type: deleteLinkType, flags: 0, header: linkHeader(0, 0), attributes: [text(ifla.name, name)] };
}

export function setUp(index: number): Message {
  return { type: newLinkType, flags: 0, header: linkHeader(index, upFlag), attributes: [] };
}

/** Adds an address; one that is there already stays as it is. */
export function addAddress(index: number, address: number, prefixLength: number, broadcast?: number): Message {
  const header = new Uint8Array(8);
  header.set([inet, prefixLength]);
  new DataView(header.buffer).setUint32(4, index, true);
  const attributes = [bytesOf(ifa.local, addressBytes(address)), bytesOf(ifa.address, addressBytes(address))];
  if (broadcast !== undefined) attributes.push(bytesOf(ifa.broadcast, addressBytes(broadcast)));
  return { type: newAddressType, flags: createFlag | replaceFlag, header, attributes };
}

export function addDefaultRoute(index: number, gateway: number): Message {
  const mainTable = 254;
  const bootProtocol = 3;
  const unicast = 1;
  const header = Uint8Array.of(inet, 0, 0, 0, mainTable, bootProtocol, 0, unicast, 0, 0, 0, 0);
  const attributes = [bytesOf(rta.gateway, addressBytes(gateway)), u32(rta.outInterface, index)];
  return { type: newRouteType, flags: createFlag | exclusiveFlag, header, attributes };
}

function newLink(name: string, attributes: Message["attributes"], flags: number): Message {
  return {
    type: newLinkType,
    flags: createFlag | exclusiveFlag,
    header: linkHeader(0, flags),
    attributes: [text(ifla.name, name), ...attributes],
  };
}

/** struct ifinfomsg. */
function linkHeader(index: number, flags: number): Uint8Array {
  const header = new Uint8Array(16);
  const view = new DataView(header.buffer);
  view.setInt32(4, index, true);
  view.setUint32(8, flags, true);
  view.setUint32(12, flags, true);
  return header;
}
