import { addressBytes, type Cidr, cidr, formatAddress, mask } from "./ipv4.ts";
import type { Attribute, Message } from "./netlink.ts";
import type { PublishedPort } from "./network.ts";
import * as nft from "./nf-tables.ts";

/** A published port with the container's address it leads to. */
export interface Publication {
  readonly port: PublishedPort;
  readonly address: number;
  readonly containerId: string;
}

/** Published on every address of the host, and on one of them: the key of the second begins with it. */
const anyMap = { name: "published", id: 1 };
const oneMap = { name: "published_at", id: 2 };
const target: readonly nft.DataType[] = ["ipv4_addr", "inet_service"];

const loopback = cidr(0x7f000000, 8);
const conntrackEstablishedOrRelated = 0x6;
const conntrackDestinationNat = 0x20;
const protocolNumber = { tcp: 6, udp: 17 };

/** The name of a bridge's own table: two engines with bridges of different names don't meet. */
export function tableName(bridge: string): string {
  return bridge === "onggi0" ? "onggi" : `onggi-${bridge}`;
}

/**
 * One transaction that replaces a bridge's table by a new one, with no moment between.
 *
 * A published port is one element of a map that two rules look into, so the cost of a packet and of the next container doesn't grow
 * with their number. It's for packets to the host's own addresses, whoever sends them: others, the host itself, a container.
 */
export function replaceTable(bridge: string, subnet: Cidr, publications: readonly Publication[]): readonly Message[] {
  const table = tableName(bridge);
  const rule = (chain: string, ...expressions: readonly (Attribute | readonly Attribute[])[]) =>
    nft.addRule(table, chain, expressions.flat());
  return [
    nft.addTable(table), // so that there is one to delete
    nft.deleteTable(table),
    nft.addTable(table),
    nft.addMap(table, anyMap.name, anyMap.id, ["inet_proto", "inet_service"], target),
    nft.addMap(table, oneMap.name, oneMap.id, ["ipv4_addr", "inet_proto", "inet_service"], target),

    nft.addChain(table, "publish"),
    rule(
      "publish",
      nft.loadNetworkHeader(16, 4, 0),
      nft.loadProtocol(1),
      nft.loadDestinationPort(2),
      nft.lookUp(oneMap.name, oneMap.id),
      nft.destinationNat(),
    ),
    rule(
      "publish",
      nft.loadProtocol(0),
      nft.loadDestinationPort(1),
      nft.lookUp(anyMap.name, anyMap.id),
      nft.destinationNat(),
    ),

    // The bridge may route 127.0.0.0/8 (route_localnet), for ports published there. Containers must not reach it by that.
    nft.addBaseChain(table, "raw", { type: "filter", hook: "prerouting", priority: -300 }),
    rule("raw", through("in", bridge), destination(loopback), nft.decide("drop")),

    nft.addBaseChain(table, "prerouting", { type: "nat", hook: "prerouting", priority: -100 }),
    rule("prerouting", toThisHost, nft.decide({ jump: "publish" })),
    nft.addBaseChain(table, "output", { type: "nat", hook: "output", priority: -100 }),
    rule("output", toThisHost, nft.decide({ jump: "publish" })),

    nft.addBaseChain(table, "postrouting", { type: "nat", hook: "postrouting", priority: 100 }),
    rule("postrouting", source(subnet), through("out", bridge, true), nft.masquerade()),
    // A container that asks for a published port of one on the same bridge (itself, too) must get its answer by the host.
    rule("postrouting", source(subnet), through("out", bridge), wasPublished, nft.masquerade()),
    rule("postrouting", source(loopback), through("out", bridge), nft.masquerade()),

    // From elsewhere, a container is reached by published ports only.
    nft.addBaseChain(table, "forward", { type: "filter", hook: "forward", priority: 0 }),
    rule("forward", through("in", bridge), through("out", bridge), nft.decide("accept")),
    rule(
      "forward",
      through("out", bridge),
      nft.loadConnection("state", conntrackEstablishedOrRelated),
      notZero,
      nft.decide("accept"),
    ),
    rule("forward", through("out", bridge), wasPublished, nft.decide("accept")),
    rule("forward", through("out", bridge), nft.decide("drop")),

    ...publish(bridge, publications),
  ];
}

/** Adds the elements of published ports. */
export function publish(bridge: string, publications: readonly Publication[]): readonly Message[] {
  const table = tableName(bridge);
  const messages: Message[] = [];
  for (const map of [anyMap, oneMap]) {
    const elements = publications.filter(({ port }) => mapOf(port) === map).map(elementOf);
    // An attribute's length is 16 bits: a message holds several hundred elements.
    for (let start = 0; start < elements.length; start += 400) {
      messages.push(nft.addElements(table, map.name, elements.slice(start, start + 400)));
    }
  }
  return messages;
}

export function unpublish(bridge: string, port: PublishedPort): readonly Message[] {
  return [nft.deleteElement(tableName(bridge), mapOf(port).name, keyOf(port))];
}

/** Makes the maps' elements these and no others. */
export function republish(bridge: string, publications: readonly Publication[]): readonly Message[] {
  const table = tableName(bridge);
  const flushed = [anyMap, oneMap].map((map) => nft.flushMap(table, map.name));
  return [...flushed, ...publish(bridge, publications)];
}

/** `nft` commands that say the same as the message. */
export function publishCommand(bridge: string, { port, address }: Publication): string {
  return `nft add element ip ${tableName(bridge)} ${mapOf(port).name} '{ ${keyText(port)} : ${formatAddress(address)} . ${port.containerPort} }'`;
}

export function unpublishCommand(bridge: string, port: PublishedPort): string {
  return `nft delete element ip ${tableName(bridge)} ${mapOf(port).name} '{ ${keyText(port)} }'`;
}

const toThisHost = [nft.loadDestinationKind(), nft.compare(nft.localAddress)];
const notZero = nft.compare(new Uint8Array(4), true);
const wasPublished = [...nft.loadConnection("status", conntrackDestinationNat), notZero];

function through(side: "in" | "out", bridge: string, not = false): readonly Attribute[] {
  return [nft.loadInterface(side), nft.compare(nft.interfaceName(bridge), not)];
}

function source(range: Cidr): readonly Attribute[] {
  return within(range, 12);
}

function destination(range: Cidr): readonly Attribute[] {
  return within(range, 16);
}

function within({ base, prefixLength }: Cidr, offset: number): readonly Attribute[] {
  return [
    nft.loadNetworkHeader(offset, 4),
    nft.maskRegister(addressBytes(mask(prefixLength))),
    nft.compare(addressBytes(base)),
  ];
}

function mapOf({ hostAddress }: PublishedPort): typeof anyMap {
  return hostAddress === "" ? anyMap : oneMap;
}

function elementOf({ port, address, containerId }: Publication): nft.Element {
  const value = Uint8Array.of(...addressBytes(address), ...portBytes(port.containerPort));
  return { key: keyOf(port), value, comment: containerId.slice(0, 12) };
}

function keyOf({ hostAddress, protocol, hostPort }: PublishedPort): Uint8Array {
  const address = hostAddress === "" ? [] : hostAddress.split(".").map(Number);
  return Uint8Array.of(...address, protocolNumber[protocol], 0, 0, 0, ...portBytes(hostPort));
}

function keyText({ hostAddress, protocol, hostPort }: PublishedPort): string {
  return `${hostAddress === "" ? "" : `${hostAddress} . `}${protocol} . ${hostPort}`;
}

function portBytes(port: number): readonly number[] {
  return [port >> 8, port & 0xff, 0, 0];
}
