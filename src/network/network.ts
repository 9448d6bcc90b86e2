import type { Op, Steps } from "../program/op.ts";

/** One bridge network with its addresses and its table of published ports. Opened by `openBridgeNetwork`. */
export interface BridgeNetwork {
  readonly id: string;
  readonly name: string;
  /** The link, e.g. `onggi0`. */
  readonly bridge: string;
  /** CIDR. */
  readonly subnet: string;
  readonly gateway: string;
  /**
   * Leases an address and says how to connect a container with it. The steps need nothing more of the engine:
   * `host` opens the sockets and publishes the ports, `child` (run in the host's network namespace; its first step unshares the
   * container's own) makes the veth pair and configures it, `teardown` unpublishes and gives the lease back.
   *
   * @throws OnggiError `exhausted` when the subnet is full, `conflict` when a host port is taken (by whom, where known)
   */
  connect(containerId: string, ports: readonly PublishedPort[]): Promise<Connection>;
  /** Gives back what `connect` reserved when the program never ran. */
  release(containerId: string): void;
  /** What is connected according to the leases on disk; start-up compares. */
  leases(): readonly Lease[];
  /** Steps that make firewall and leases what `running` says: elements and leases of others are removed. */
  reconcile(running: ReadonlySet<string>): readonly Op[];
}

export interface Connection {
  readonly steps: Steps;
  readonly address: string;
  readonly prefixLength: number;
  readonly gateway: string;
  readonly mac: string;
  /** With the host ports that were chosen. */
  readonly ports: readonly PublishedPort[];
}

export interface PublishedPort {
  readonly containerPort: number;
  readonly protocol: "tcp" | "udp";
  /** "" is every address. */
  readonly hostAddress: string;
  /** 0: choose one. */
  readonly hostPort: number;
}

export interface Lease {
  readonly containerId: string;
  readonly address: string;
}
