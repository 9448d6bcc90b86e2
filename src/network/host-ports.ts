import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { OnggiError } from "../base/error.ts";
import { parseAddress } from "./ipv4.ts";
import type { PublishedPort } from "./network.ts";
import { findPortHolder } from "./port-holder.ts";

/** Binds a port for a moment: the port (chosen by the kernel for 0), or the errno's name. */
export type PortProbe = (protocol: "tcp" | "udp", address: string, port: number) => Promise<number | string>;

type Protocol = PublishedPort["protocol"];

/**
 * The host ports that containers publish.
 *
 * A port is refused when a container has it or a process of the host listens on it. No socket is held on it afterwards: a process of
 * the host (another engine's proxy, say) that binds it later succeeds, but connections from elsewhere still reach the container.
 * Holding one would cost a descriptor a port in a process that may be restarted at any time.
 */
export class HostPorts {
  readonly #owners = new Map<string, Map<string, string>>();
  readonly #probe: PortProbe;

  constructor(probe: PortProbe = bindOnce) {
    this.#probe = probe;
  }

  /**
   * Takes ports for a container, all or none.
   *
   * @returns them with the host ports that were chosen for 0, and `""` for 0.0.0.0
   * @throws OnggiError `conflict`, `exhausted`, `invalid`, `unsupported`
   */
  async claim(containerId: string, wanted: readonly PublishedPort[]): Promise<readonly PublishedPort[]> {
    const claimed: PublishedPort[] = [];
    try {
      for (const port of wanted.map(normalize)) {
        claimed.push(
          port.hostPort === 0 ? await this.#claimAny(containerId, port) : await this.#claimOne(containerId, port),
        );
      }
      return claimed;
    } catch (error) {
      this.release(claimed);
      throw error;
    }
  }

  /** Takes ports that a container found running has. */
  restore(containerId: string, ports: readonly PublishedPort[]): void {
    for (const port of ports) this.#take(containerId, port);
  }

  release(ports: readonly PublishedPort[]): void {
    for (const { protocol, hostPort, hostAddress } of ports) {
      const owners = this.#owners.get(keyOf(protocol, hostPort));
      owners?.delete(hostAddress);
      if (owners?.size === 0) this.#owners.delete(keyOf(protocol, hostPort));
    }
  }

  async #claimOne(containerId: string, port: PublishedPort): Promise<PublishedPort> {
    const owner = this.#ownerOf(port);
    if (owner !== undefined) {
      const hint = `Container ${owner.slice(0, 12)} publishes it; stop that or choose another host port.`;
      throw refusal(containerId, port, "port is already allocated", hint);
    }
    this.#take(containerId, port); // before the first await, so that nobody else does
    const outcome = await this.#probe(port.protocol, port.hostAddress || anyAddress, port.hostPort);
    if (typeof outcome === "number") return port;
    this.release([port]);
    throw await refusedByHost(containerId, port, outcome);
  }

  async #claimAny(containerId: string, port: PublishedPort): Promise<PublishedPort> {
    for (let tries = 0; tries < 200; tries++) {
      const outcome = await this.#probe(port.protocol, port.hostAddress || anyAddress, 0);
      if (typeof outcome === "string") throw await refusedByHost(containerId, port, outcome);
      const chosen = { ...port, hostPort: outcome };
      if (this.#ownerOf(chosen) !== undefined) continue;
      this.#take(containerId, chosen);
      return chosen;
    }
    throw new OnggiError(
      "exhausted",
      `no free host port was found for container port ${port.containerPort}/${port.protocol}`,
      {
        hint: "Name a host port, or widen net.ipv4.ip_local_port_range.",
      },
    );
  }

  /** Who has the port on an address that the wanted one includes or is included in. */
  #ownerOf({ protocol, hostPort, hostAddress }: PublishedPort): string | undefined {
    const owners = this.#owners.get(keyOf(protocol, hostPort));
    if (owners === undefined) return undefined;
    return hostAddress === "" ? owners.values().next().value : (owners.get(hostAddress) ?? owners.get(""));
  }

  #take(containerId: string, { protocol, hostPort, hostAddress }: PublishedPort): void {
    const key = keyOf(protocol, hostPort);
    const owners = this.#owners.get(key) ?? new Map<string, string>();
    this.#owners.set(key, owners.set(hostAddress, containerId));
  }
}

const anyAddress = "0.0.0.0";

function keyOf(protocol: Protocol, hostPort: number): string {
  return `${protocol}/${hostPort}`;
}

function normalize(port: PublishedPort): PublishedPort {
  if (port.hostAddress.includes(":")) {
    throw new OnggiError(
      "unsupported",
      `port ${port.containerPort} can't be published on IPv6 address ${port.hostAddress}`,
      {
        hint: "Publish it on an IPv4 address, or on none for all of them.",
      },
    );
  }
  if (port.hostAddress !== "" && parseAddress(port.hostAddress) === undefined) {
    throw new OnggiError("invalid", `"${port.hostAddress}" is not an address to publish port ${port.containerPort} on`);
  }
  for (const [what, number, lowest] of [
    ["host", port.hostPort, 0],
    ["container", port.containerPort, 1],
  ] as const) {
    if (!Number.isInteger(number) || number < lowest || number > 65535) {
      throw new OnggiError("invalid", `${number} is not a ${what} port`, {
        hint: "Ports are numbers from 1 to 65535.",
      });
    }
  }
  return port.hostAddress === anyAddress ? { ...port, hostAddress: "" } : port;
}

async function refusedByHost(containerId: string, port: PublishedPort, errno: string): Promise<OnggiError> {
  if (errno === "EADDRNOTAVAIL") {
    const hint = `Publish on an address of this host (ip address), or on none for all of them.`;
    return refusal(containerId, port, "cannot assign requested address", hint);
  }
  if (errno !== "EADDRINUSE") return refusal(containerId, port, errno);
  const holder = await findPortHolder(port.protocol, port.hostPort);
  const hint = `${holder ?? "A process of the host"} listens on it; end that or choose another host port.`;
  return refusal(containerId, port, "port is already allocated", hint);
}

/** In the words that Docker's clients know. */
function refusal(containerId: string, port: PublishedPort, why: string, hint?: string): OnggiError {
  const endpoint = `endpoint ${containerId.slice(0, 12)}`;
  const where = `${port.hostAddress || anyAddress}:${port.hostPort}`;
  return new OnggiError(
    "conflict",
    `driver failed programming external connectivity on ${endpoint}: Bind for ${where} failed: ${why}`,
    { hint },
  );
}

const bindOnce: PortProbe = (protocol, address, port) =>
  new Promise((resolve) => {
    const onError = (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message);
    if (protocol === "tcp") {
      const server = createServer();
      server.once("error", onError);
      server.listen({ host: address, port, exclusive: true }, () => {
        const bound = server.address();
        server.close(() => resolve(typeof bound === "object" && bound !== null ? bound.port : port));
      });
      return;
    }
    const socket = createSocket("udp4");
    socket.once("error", (error) => socket.close(() => onError(error)));
    socket.bind({ address, port, exclusive: true }, () => {
      const bound = socket.address().port;
      socket.close(() => resolve(bound));
    });
  });
