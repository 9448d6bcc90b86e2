import { OnggiError } from "../base/error.ts";
import type { Op } from "../program/op.ts";
import { readBridgeIndex, readForwarding } from "./host-links.ts";
import { broadcast, type Cidr, formatAddress, formatCidr, macBytes, macOf } from "./ipv4.ts";
import { encodeMessages, type Message, netlinkNetfilter, netlinkRoute } from "./netlink.ts";
import { deleteTable, encodeTransaction } from "./nf-tables.ts";
import { addAddress, deleteLink, newBridge, setUp } from "./rtnetlink.ts";
import { type Publication, replaceTable, tableName } from "./ruleset.ts";

/** Performs ops in the host's namespaces: the executor's `Worker.run`. */
export type Perform = (ops: readonly Op[]) => Promise<readonly Uint8Array[]>;

export interface BridgeSetup {
  readonly bridge: string;
  readonly subnet: Cidr;
  readonly gateway: number;
  readonly mtu: number;
  readonly publications: readonly Publication[];
  readonly perform: Perform;
}

/**
 * Makes the host's side of a bridge network: link, address, forwarding, firewall table. What is there already stays.
 *
 * @returns what had to be changed on the host, in sentences
 */
export async function setUpBridge({
  bridge,
  subnet,
  gateway,
  mtu,
  publications,
  perform,
}: BridgeSetup): Promise<readonly string[]> {
  if (readBridgeIndex(bridge) === undefined) await perform(makeBridge(bridge, gateway, mtu));
  const index = readBridgeIndex(bridge);
  if (index === undefined)
    throw new OnggiError("internal", `bridge ${bridge} was made but is not to be seen in /sys/class/net`);
  await perform(configureBridge(bridge, index, subnet, gateway));
  const forwarded = readForwarding();
  if (!forwarded) await perform([{ op: "writeControl", path: "/proc/sys/net/ipv4/ip_forward", data: "1" }]);
  await setUpFirewall(bridge, subnet, publications, perform);
  return forwarded ? [] : ["IPv4 forwarding (net.ipv4.ip_forward) was off on this host and was turned on"];
}

/** Takes a bridge away that nothing is connected to. */
export async function removeBridge(bridge: string, perform: Perform): Promise<void> {
  if (readBridgeIndex(bridge) !== undefined) await perform(routeOps([deleteLink(bridge)], [`ip link del ${bridge}`]));
}

/** Removes a bridge's table, with all that is published. */
export function removeFirewall(bridge: string): readonly Op[] {
  const table = tableName(bridge);
  const slot = "net:setup";
  return [
    { op: "netlinkSocket", slot, protocol: netlinkNetfilter },
    {
      op: "netlink",
      slot,
      ...encodeTransaction([deleteTable(table)]),
      shell: [`nft delete table ip ${table}`],
      ignore: ["ENOENT"],
    },
    { op: "closeSlot", slot },
  ];
}

function makeBridge(bridge: string, gateway: number, mtu: number): readonly Op[] {
  const mac = macOf(gateway);
  const made = routeOps(
    [newBridge(bridge, mtu, macBytes(mac))],
    [`ip link add ${bridge} mtu ${mtu} address ${mac} type bridge`],
  );
  const noIpv6 = `/proc/sys/net/ipv6/conf/${bridge}/disable_ipv6`;
  return [...made, { op: "writeControl", path: noIpv6, data: "1", ignore: ["ENOENT"] }];
}

function configureBridge(bridge: string, index: number, subnet: Cidr, gateway: number): readonly Op[] {
  const messages = [addAddress(index, gateway, subnet.prefixLength, broadcast(subnet)), setUp(index)];
  const shell = [
    `ip addr replace ${formatAddress(gateway)}/${subnet.prefixLength} brd ${formatAddress(broadcast(subnet))} dev ${bridge}`,
    `ip link set ${bridge} up`,
  ];
  // Or a packet from 127.0.0.1 to a published port would not be let out to the bridge.
  const routeLocal = `/proc/sys/net/ipv4/conf/${bridge}/route_localnet`;
  return [...routeOps(messages, shell), { op: "writeControl", path: routeLocal, data: "1" }];
}

function routeOps(messages: readonly Message[], shell: readonly string[]): readonly Op[] {
  const slot = "net:setup";
  return [
    { op: "netlinkSocket", slot, protocol: netlinkRoute },
    { op: "netlink", slot, ...encodeMessages(messages), shell },
    { op: "closeSlot", slot },
  ];
}

async function setUpFirewall(
  bridge: string,
  subnet: Cidr,
  publications: readonly Publication[],
  perform: Perform,
): Promise<void> {
  const slot = "net:setup";
  const table = tableName(bridge);
  try {
    await perform([
      { op: "netlinkSocket", slot, protocol: netlinkNetfilter },
      {
        op: "netlink",
        slot,
        ...encodeTransaction(replaceTable(bridge, subnet, publications)),
        shell: [`nft add table ip ${table}`],
      },
      { op: "closeSlot", slot },
    ]);
  } catch (cause) {
    throw new OnggiError(
      "unsupported",
      `firewall table ${table} for bridge ${bridge} (${formatCidr(subnet)}) could not be made`,
      {
        hint: "The kernel must have nf_tables with nat, masquerade and fib for IPv4 (modules nf_tables, nft_chain_nat, nft_masq, nft_fib_ipv4).",
        cause,
      },
    );
  }
}
