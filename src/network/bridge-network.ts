import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { OnggiError } from "../base/error.ts";
import { Bridge, type BridgeOptions } from "./bridge.ts";
import { removeBridge, removeFirewall, setUpBridge } from "./bridge-setup.ts";
import { chooseSubnet } from "./free-subnet.ts";
import { readUsedRanges } from "./host-links.ts";
import { type Cidr, formatCidr, overlap, parseCidr } from "./ipv4.ts";
import { readLeases } from "./lease-file.ts";
import type { BridgeNetwork, Lease } from "./network.ts";
import { findRecord, type NetworkRecord, newRecord, writeRecord } from "./network-record.ts";

export interface BridgeNetworkOptions extends BridgeOptions {
  readonly name: string;
  /** The link, at most 15 characters. */
  readonly bridge: string;
  /** CIDR; otherwise the one of last time, or the first private one that the host has no route to. */
  readonly subnet?: string;
}

/**
 * Opens a bridge network, and makes of it on the host what isn't there.
 *
 * @throws OnggiError `conflict` for a link of that name that is no bridge, `in_use` for another subnet while containers are connected,
 *   `exhausted` when no subnet is free, `unsupported` when the kernel has no nf_tables
 */
export async function openBridgeNetwork(options: BridgeNetworkOptions): Promise<BridgeNetwork> {
  const { bridge, root, runRoot, perform } = options;
  if (!/^[A-Za-z0-9_.-]{1,15}$/.test(bridge))
    throw new OnggiError("invalid", `"${bridge}" can't be the name of a bridge`);
  mkdirSync(runRoot, { recursive: true, mode: 0o700 });
  const { leases, broken } = readLeases(runRoot);
  for (const name of broken) rmSync(join(runRoot, name), { force: true });

  const record = await settleRecord(options, leases);
  const subnet = parseCidr(record.subnet);
  const network = new Bridge(record, options);
  network.restore(leases);
  const publications = network.publications();
  const changes = await setUpBridge({
    bridge,
    subnet,
    gateway: subnet.base + 1,
    mtu: network.mtu,
    publications,
    perform,
  });
  network.note([...changes, ...overlapNotes(bridge, subnet)]);
  await writeRecord(root, record);
  return network;
}

/** The network's record as it shall be, its old bridge taken away when the subnet is another. */
async function settleRecord(options: BridgeNetworkOptions, leases: readonly Lease[]): Promise<NetworkRecord> {
  const { name, bridge, root, perform } = options;
  const known = findRecord(root, name);
  const subnet = checkedSubnet(
    options.subnet ?? known?.subnet ?? formatCidr(chooseSubnet(readUsedRanges(bridge).map(({ range }) => range))),
  );
  if (known === undefined) return newRecord(name, bridge, subnet);
  if (known.subnet === subnet && known.bridge === bridge) return known;
  if (leases.length > 0) {
    throw new OnggiError(
      "in_use",
      `network ${name} can't become ${subnet} on ${bridge}: ${leases.length} containers are connected`,
      {
        hint: `They are on ${known.subnet} of ${known.bridge}; stop them first.`,
      },
    );
  }
  await perform(removeFirewall(known.bridge));
  await removeBridge(known.bridge, perform);
  return { ...known, bridge, subnet };
}

function checkedSubnet(text: string): string {
  const subnet = parseCidr(text);
  if (subnet.prefixLength >= 8 && subnet.prefixLength <= 30) return formatCidr(subnet);
  throw new OnggiError("invalid", `subnet ${text} can't be used for a bridge`, {
    hint: "Its prefix must be /8 to /30.",
  });
}

function overlapNotes(bridge: string, subnet: Cidr): readonly string[] {
  return readUsedRanges(bridge)
    .filter(({ range }) => overlap(range, subnet))
    .map(
      ({ device, range }) =>
        `subnet ${formatCidr(subnet)} of ${bridge} overlaps ${formatCidr(range)} of ${device}: containers don't reach that`,
    );
}
