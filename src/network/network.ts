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
  /** When it was first made; with its id kept in its file across restarts. */
  readonly createdAtMs: number;
  /** What had to be changed on the host, and what there stands in the way; for `info`. Reads the host's firewall: not for the hot path. */
  warnings(): Promise<readonly string[]>;
  /**
   * Leases an address and says how to connect a container with it. The steps need nothing more of the engine:
   * `host` opens the sockets and publishes the ports, `child` (run in the host's network namespace; its first step unshares the
   * container's own) makes the veth pair and configures it, `teardown` unpublishes and gives the lease back.
   *
   * @throws OnggiError `exhausted` when the subnet is full, `conflict` when a host port is taken (by whom, where known)
   */
  connect(containerId: string, ports: readonly PublishedPort[]): Promise<Connection>;
  /** What `connect` would say, for `explain`: nothing is checked or kept, and ports that would be chosen are examples. */
  preview(containerId: string, ports: readonly PublishedPort[]): Connection;
  /**
   * Frees address and ports in memory: after the container's end, once its teardown is done, and when its program never ran.
   * Of an unknown container it does nothing.
   */
  release(containerId: string): void;
  /** Keeps the address that a container has for its next connection, until the returned function is called. */
  hold(containerId: string): () => void;
  /** What is connected: at start-up, according to the leases on disk. */
  leases(): readonly Lease[];
  /** Forgets all containers but those that run; the steps make firewall and leases on disk say the same. */
  reconcile(running: ReadonlySet<string>): readonly Op[];
  /** Takes bridge and firewall table away, unless a container is connected: then they are needed, and the next engine finds them. */
  close(): Promise<void>;
}

export interface Connection {
  readonly steps: Steps;
  readonly address: string;
  readonly prefixLength: number;
  readonly gateway: string;
  readonly mac: string;
  /** Name of the cable's end on the host, where its traffic is counted (`readInterfaceStats`). Another for each start. */
  readonly hostLink: string;
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
  readonly hostLink: string;
  readonly ports: readonly PublishedPort[];
}
