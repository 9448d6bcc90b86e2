import { randomBytes } from "node:crypto";
import { OnggiError } from "../base/error.ts";
import type { Op } from "../program/op.ts";
import { AddressPool } from "./address-pool.ts";
import { type Perform, removeBridge, removeFirewall } from "./bridge-setup.ts";
import { connectSteps, type Endpoint } from "./connect-steps.ts";
import { forwardWarnings } from "./forward-policy.ts";
import { readHasIpv6, readLinkIndex, readLinkIndexOf, readMtu } from "./host-links.ts";
import { HostPorts } from "./host-ports.ts";
import { type Cidr, formatAddress, macOf, parseAddress, parseCidr } from "./ipv4.ts";
import { encodeLease, leasePath } from "./lease-file.ts";
import { netlinkNetfilter } from "./netlink.ts";
import type { BridgeNetwork, Connection, Lease, PublishedPort } from "./network.ts";
import type { NetworkRecord } from "./network-record.ts";
import { encodeTransaction } from "./nf-tables.ts";
import { type Publication, publishCommand, republish } from "./ruleset.ts";

export interface BridgeOptions {
  /** The durable folder for `<id>.json`. */
  readonly root: string;
  /** The folder for the leases of this network: gone after a reboot, as the links are. */
  readonly runRoot: string;
  readonly perform: Perform;
}

/** `BR_MAX_PORTS` of the kernel, less the bridge itself. */
const maxPorts = 1023;
/** Where the kernel, unless told otherwise, begins to choose ports. */
const firstEphemeralPort = 32_768;

/** A bridge network whose host side is there: gives out addresses and ports, and says the steps. */
export class Bridge implements BridgeNetwork {
  readonly id: string;
  readonly name: string;
  readonly bridge: string;
  readonly subnet: string;
  readonly gateway: string;
  readonly createdAtMs: number;
  readonly mtu = readMtu();
  readonly #options: BridgeOptions;
  readonly #notes: string[] = [];
  readonly #linkIndex = readLinkIndex();
  readonly #hasIpv6 = readHasIpv6();
  readonly #range: Cidr;
  readonly #pool: AddressPool;
  readonly #hostPorts = new HostPorts();
  readonly #leases = new Map<string, Lease>();
  /** Addresses that wait for their containers to be connected again, by their ids. */
  readonly #held = new Map<string, string>();
  /** Whose ports are being claimed. */
  readonly #connecting = new Set<string>();

  constructor({ id, name, bridge, subnet, createdAtMs }: NetworkRecord, options: BridgeOptions) {
    this.id = id;
    this.name = name;
    this.bridge = bridge;
    this.subnet = subnet;
    this.createdAtMs = createdAtMs;
    this.#options = options;
    this.#range = parseCidr(subnet);
    const gateway = this.#range.base + 1;
    this.gateway = formatAddress(gateway);
    this.#pool = new AddressPool(this.#range, [gateway]);
  }

  async connect(containerId: string, ports: readonly PublishedPort[]): Promise<Connection> {
    if (this.#leases.has(containerId) || this.#connecting.has(containerId)) {
      throw new OnggiError(
        "conflict",
        `container ${containerId.slice(0, 12)} is connected to network ${this.name} already`,
      );
    }
    const bridgeIndex = this.#bridgeIndex();
    this.#connecting.add(containerId);
    try {
      const claimed = ports.length === 0 ? [] : await this.#hostPorts.claim(containerId, ports);
      const lease = this.#leaseOrGiveBack(containerId, claimed);
      return this.#connection(lease, bridgeIndex);
    } finally {
      this.#connecting.delete(containerId);
    }
  }

  preview(containerId: string, ports: readonly PublishedPort[]): Connection {
    const chosen = ports.map((port, index) =>
      port.hostPort === 0 ? { ...port, hostPort: firstEphemeralPort + index } : port,
    );
    const known = this.#leases.get(containerId);
    const address = known === undefined ? this.#freeAddress() : numberOf(known.address);
    if (known === undefined) this.#pool.free(address);
    const lease = {
      containerId,
      address: formatAddress(address),
      hostLink: newLinkName(containerId),
      ports: known?.ports ?? chosen,
    };
    return this.#connection(lease, this.#bridgeIndex());
  }

  release(containerId: string): void {
    const lease = this.#leases.get(containerId);
    if (lease === undefined) return;
    this.#leases.delete(containerId);
    if (!this.#held.has(containerId)) this.#pool.free(numberOf(lease.address));
    this.#hostPorts.release(lease.ports);
  }

  hold(containerId: string): () => void {
    const address = this.#leases.get(containerId)?.address;
    if (address === undefined) return () => {};
    this.#held.set(containerId, address);
    return () => {
      if (!this.#held.delete(containerId) || this.#leases.has(containerId)) return;
      this.#pool.free(numberOf(address));
    };
  }

  leases(): readonly Lease[] {
    return [...this.#leases.values()];
  }

  reconcile(running: ReadonlySet<string>): readonly Op[] {
    const stale = this.leases().filter(({ containerId }) => !running.has(containerId));
    for (const { containerId } of stale) this.release(containerId);
    const publications = this.publications();
    const slot = "net:reconcile";
    return [
      { op: "netlinkSocket", slot, protocol: netlinkNetfilter },
      {
        op: "netlink",
        slot,
        ...encodeTransaction(republish(this.bridge, publications)),
        shell: publications.map((publication) => publishCommand(this.bridge, publication)),
      },
      { op: "closeSlot", slot },
      ...stale.map(
        ({ address }): Op => ({ op: "remove", path: leasePath(this.#options.runRoot, address), ignore: ["ENOENT"] }),
      ),
    ];
  }

  async close(): Promise<void> {
    if (this.#leases.size > 0) return;
    await this.#options.perform(removeFirewall(this.bridge));
    await removeBridge(this.bridge, this.#options.perform);
  }

  async warnings(): Promise<readonly string[]> {
    return [...this.#notes, ...(await forwardWarnings(this.bridge))];
  }

  /** Adds to the warnings. */
  note(sentences: readonly string[]): void {
    this.#notes.push(...sentences);
  }

  /** Takes over what was connected before this engine was started. */
  restore(leases: readonly Lease[]): void {
    for (const lease of leases) {
      this.#pool.reserve(numberOf(lease.address));
      this.#hostPorts.restore(lease.containerId, lease.ports);
      this.#leases.set(lease.containerId, lease);
    }
  }

  publications(): readonly Publication[] {
    return this.leases().flatMap(publicationsOf);
  }

  #leaseOrGiveBack(containerId: string, ports: readonly PublishedPort[]): Lease {
    try {
      return this.#lease(containerId, ports);
    } catch (error) {
      this.#hostPorts.release(ports);
      throw error;
    }
  }

  #lease(containerId: string, ports: readonly PublishedPort[]): Lease {
    const address = this.#held.get(containerId) ?? formatAddress(this.#freeAddress());
    const lease = { containerId, address, hostLink: newLinkName(containerId), ports };
    this.#leases.set(containerId, lease);
    return lease;
  }

  #freeAddress(): number {
    const isFull = this.#pool.count >= maxPorts;
    const address = isFull ? undefined : this.#pool.take();
    if (address !== undefined) return address;
    const why = isFull
      ? `bridge ${this.bridge} has all its ${maxPorts} ports in use`
      : `subnet ${this.subnet} has no free address`;
    throw new OnggiError("exhausted", `network ${this.name} is full: ${why}`, {
      hint: "Stop containers, or run some without network.",
    });
  }

  #connection(lease: Lease, bridgeIndex: number): Connection {
    const steps = connectSteps(this.#endpoint(lease), bridgeIndex);
    const { prefixLength } = this.#range;
    return { ...lease, steps, prefixLength, gateway: this.gateway, mac: macOf(numberOf(lease.address)) };
  }

  #endpoint(lease: Lease): Endpoint {
    return {
      bridge: this.bridge,
      subnet: this.#range,
      gateway: this.#range.base + 1,
      mtu: this.mtu,
      address: numberOf(lease.address),
      hostLink: lease.hostLink,
      linkIndex: this.#linkIndex,
      hasIpv6: this.#hasIpv6,
      publications: publicationsOf(lease),
      leasePath: leasePath(this.#options.runRoot, lease.address),
      lease: encodeLease(lease),
    };
  }

  #bridgeIndex(): number {
    const index = readLinkIndexOf(this.bridge);
    if (index !== undefined) return index;
    throw new OnggiError("unavailable", `bridge ${this.bridge} is not there any more`, {
      hint: "Somebody removed it; restart Onggi's daemon to have it made again.",
    });
  }
}

function publicationsOf({ containerId, address, ports }: Lease): readonly Publication[] {
  return ports.map((port) => ({ port, containerId, address: numberOf(address) }));
}

/** One that was never used: the link of a container's last run goes a moment after its end. */
function newLinkName(containerId: string): string {
  return `og${containerId.slice(0, 7)}${randomBytes(3).toString("hex")}`;
}

function numberOf(address: string): number {
  const number = parseAddress(address);
  if (number === undefined) throw new OnggiError("internal", `lease with the address "${address}"`);
  return number;
}
