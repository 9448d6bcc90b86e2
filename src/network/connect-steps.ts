import { CLONE_NEWNET, O_RDONLY } from "../program/kernel.ts";
import type { Op, Steps } from "../program/op.ts";
import { forgetFlowsOf, forgetFlowsTo } from "./conntrack.ts";
import { broadcast, type Cidr, formatAddress, macBytes, macOf } from "./ipv4.ts";
import { loopbackIndex } from "./loopback.ts";
import { type EncodedMessages, encodeMessages, type Message, netlinkNetfilter, netlinkRoute } from "./netlink.ts";
import { encodeTransaction } from "./nf-tables.ts";
import { addAddress, addDefaultRoute, newVeth, setBridgePort, setUp, setUpByName } from "./rtnetlink.ts";
import { type Publication, publish, publishCommand, unpublish, unpublishCommand } from "./ruleset.ts";

export interface Endpoint {
  readonly bridge: string;
  readonly subnet: Cidr;
  readonly gateway: number;
  readonly mtu: number;
  readonly address: number;
  /** Name of the host's end. */
  readonly hostLink: string;
  /** Index of eth0 in the container: known beforehand, so that nothing need be asked. */
  readonly linkIndex: number;
  /** Whether the kernel has IPv6, which is then turned off at both ends. */
  readonly hasIpv6: boolean;
  readonly publications: readonly Publication[];
  readonly leasePath: string;
  readonly lease: string;
}

const slots = {
  host: "net:host",
  firewall: "net:firewall",
  namespace: "net:namespace",
  inside: "net:inside",
  teardown: "net:teardown",
};

/**
 * Steps that connect a container with its bridge.
 *
 * The child makes its own cable: the host part opens a netlink socket of the host's namespace, which the child inherits, so that nobody
 * waits for anybody. Deleting a link takes 20 ms and is never done: the end of the namespace does it.
 */
export function connectSteps(endpoint: Endpoint, bridgeIndex: number): Steps {
  return { host: hostSteps(endpoint), child: childSteps(endpoint, bridgeIndex), teardown: teardownSteps(endpoint) };
}

function hostSteps({ bridge, publications, leasePath, lease }: Endpoint): readonly Op[] {
  const open: Op[] = [
    { op: "writeFile", path: leasePath, data: lease, mode: 0o600 },
    { op: "netlinkSocket", slot: slots.host, protocol: netlinkRoute },
  ];
  if (publications.length === 0) return open;
  const slot = slots.firewall;
  return [
    ...open,
    { op: "netlinkSocket", slot, protocol: netlinkNetfilter },
    {
      op: "netlink",
      slot,
      ...encodeTransaction(publish(bridge, publications)),
      shell: publications.map((publication) => publishCommand(bridge, publication)),
    },
    ...publications
      .filter(({ port }) => port.protocol === "udp")
      .map(({ port }) => forgetOp(slot, forgetFlowsTo(port), `conntrack -D -p udp --orig-port-dst ${port.hostPort}`)),
  ];
}

function childSteps(endpoint: Endpoint, bridgeIndex: number): readonly Op[] {
  const { subnet, gateway, address, linkIndex } = endpoint;
  const isPublished = endpoint.publications.length > 0;
  const inside: readonly Message[] = [
    setUp(loopbackIndex),
    setUp(linkIndex),
    addAddress(linkIndex, address, subnet.prefixLength, broadcast(subnet)),
    addDefaultRoute(linkIndex, gateway),
  ];
  return [
    { op: "unshare", flags: CLONE_NEWNET },
    { op: "open", slot: slots.namespace, path: "/proc/self/ns/net", flags: O_RDONLY },
    // Links made from now on have no IPv6, whose neighbour discovery costs every container on the bridge a packet.
    {
      op: "writeControl",
      path: "/proc/sys/net/ipv6/conf/default/disable_ipv6",
      data: "1",
      ignore: ["ENOENT", "EROFS"],
    },
    { op: "netlink", slot: slots.host, ...cable(endpoint, bridgeIndex) },
    { op: "closeSlot", slot: slots.host },
    ...(isPublished ? [{ op: "closeSlot", slot: slots.firewall } as const] : []),
    { op: "closeSlot", slot: slots.namespace },
    { op: "netlinkSocket", slot: slots.inside, protocol: netlinkRoute },
    {
      op: "netlink",
      slot: slots.inside,
      ...encodeMessages(inside),
      shell: [
        "ip link set lo up",
        "ip link set eth0 up",
        `ip addr add ${formatAddress(address)}/${subnet.prefixLength} brd ${formatAddress(broadcast(subnet))} dev eth0`,
        `ip route add default via ${formatAddress(gateway)} dev eth0`,
      ],
    },
    { op: "closeSlot", slot: slots.inside },
  ];
}

/** The pair with its host's end on the bridge: one message where that needs no more than the default settings. */
function cable(endpoint: Endpoint, bridgeIndex: number): EncodedMessages & { readonly shell: readonly string[] } {
  const { bridge, mtu, address, hostLink, linkIndex, publications, hasIpv6 } = endpoint;
  const mac = macOf(address);
  const hairpin = publications.length > 0;
  const isPlain = !hairpin && !hasIpv6;
  const pair = newVeth({
    master: bridgeIndex,
    hostName: hostLink,
    mtu,
    isUp: isPlain,
    peer: { name: "eth0", index: linkIndex, mac: macBytes(mac), netns: slots.namespace },
  });
  const rest = isPlain ? [] : [setBridgePort(hostLink, { hairpin, noIpv6: hasIpv6 }), setUpByName(hostLink)];
  const shell = [
    `ip link add ${hostLink} mtu ${mtu} type veth peer name eth0 index ${linkIndex} mtu ${mtu} address ${mac} netns $pid`,
    `ip link set ${hostLink} master ${bridge}${hasIpv6 ? " addrgenmode none" : ""}`,
    ...(hairpin ? [`ip link set ${hostLink} type bridge_slave hairpin on`] : []),
    `ip link set ${hostLink} up`,
  ];
  return { ...encodeMessages([pair, ...rest]), shell };
}

/**
 * Takes back what is not the container's own: published ports and the lease. Any process may perform it, if the monitor died.
 *
 * The socket is left to the end of the process: where an element was deleted a moment ago, closing one of nf_tables' sockets waits 15 ms
 * for the kernel to have freed it.
 */
function teardownSteps({ bridge, publications, address, leasePath }: Endpoint): readonly Op[] {
  const removeLease: Op = { op: "remove", path: leasePath, ignore: ["ENOENT"] };
  if (publications.length === 0) return [removeLease];
  const slot = slots.teardown;
  const hasUdp = publications.some(({ port }) => port.protocol === "udp");
  return [
    { op: "netlinkSocket", slot, protocol: netlinkNetfilter },
    // One transaction each: a transaction with an element that is gone already would remove none.
    ...publications.map(
      ({ port }): Op => ({
        op: "netlink",
        slot,
        ...encodeTransaction(unpublish(bridge, port)),
        shell: [unpublishCommand(bridge, port)],
        ignore: ["ENOENT"],
      }),
    ),
    ...(hasUdp ? [forgetOp(slot, forgetFlowsOf(address), `conntrack -D -r ${formatAddress(address)}`)] : []),
    removeLease,
  ];
}

function forgetOp(slot: string, message: Message, command: string): Op {
  const ignore = ["ENOENT", "EINVAL", "EOPNOTSUPP"] as const; // conntrack's netlink part, or this filter, isn't in every kernel
  return { op: "netlink", slot, ...encodeMessages([message]), shell: [command], ignore };
}
