import { isIP } from "node:net";
import { OnggiError } from "../base/error.ts";
import type { PortMapping } from "../engine/model.ts";
import type { PortBinding, PortMap, PortSummary } from "./wire.ts";

const everyAddress = "0.0.0.0";

interface Port {
  readonly number: number;
  readonly protocol: "tcp" | "udp";
}

/**
 * Reads `{"80/tcp": [{HostIp, HostPort}]}`; the key may be a range, `8000-8010/tcp`, and so may HostPort.
 *
 * @throws OnggiError `invalid` in Docker's words; `unsupported` for sctp
 */
export function parsePortBindings(map: PortMap): PortMapping[] {
  return Object.entries(map).flatMap(([key, bindings]) => {
    const ports = parsePorts(key);
    return (bindings ?? []).flatMap((binding) => mappings(ports, binding, key));
  });
}

/** `80/tcp` for each of `80`, `80/tcp`, `8000-8001/udp`. */
export function parseExposedPorts(keys: Iterable<string>): string[] {
  return [...keys].flatMap((key) => parsePorts(key).map(formatPort));
}

/** What `inspect` shows: exposed ports without a binding as `null`. */
export function formatPortMap(exposed: readonly string[], published: readonly PortMapping[]): PortMap {
  const map: Record<string, PortBinding[] | null> = {};
  for (const port of exposed) map[port] = null;
  for (const mapping of published) {
    const key = `${mapping.containerPort}/${mapping.protocol}`;
    const bindings = map[key] ?? [];
    bindings.push({ HostIp: mapping.hostAddress || everyAddress, HostPort: String(mapping.hostPort) });
    map[key] = bindings;
  }
  return map;
}

/** What was asked for, as `HostConfig.PortBindings`. */
export function formatPortBindings(ports: readonly PortMapping[]): PortMap {
  const map: Record<string, PortBinding[]> = {};
  for (const { containerPort, protocol, hostAddress, hostPort } of ports) {
    const key = `${containerPort}/${protocol}`;
    const bindings = map[key] ?? [];
    bindings.push({ HostIp: hostAddress, HostPort: hostPort === 0 ? "" : String(hostPort) });
    map[key] = bindings;
  }
  return map;
}

/** What `ps` shows. */
export function summarizePorts(exposed: readonly string[], published: readonly PortMapping[]): PortSummary[] {
  const isPublished = (port: Port) =>
    published.some(({ containerPort, protocol }) => containerPort === port.number && protocol === port.protocol);
  return [
    ...exposed
      .map((key) => toPort(key))
      .filter((port) => !isPublished(port))
      .map(({ number, protocol }) => ({ PrivatePort: number, Type: protocol })),
    ...published.map(({ containerPort, protocol, hostAddress, hostPort }) => ({
      IP: hostAddress || everyAddress,
      PrivatePort: containerPort,
      PublicPort: hostPort,
      Type: protocol,
    })),
  ];
}

/** Whether a filter's `80`, `80/udp` or `80-90/tcp` takes in one of the ports. */
export function isPortIn(
  filter: string,
  ports: readonly { readonly containerPort: number; readonly protocol: string }[],
): boolean {
  const wanted = parsePorts(filter);
  return ports.some(({ containerPort, protocol }) =>
    wanted.some((port) => port.number === containerPort && port.protocol === protocol),
  );
}

/** `80/tcp` of the image or of the request, which the engine keeps as it is. */
export function toPort(key: string): Port {
  const [number, protocol] = key.split("/");
  return { number: Number(number), protocol: protocol === "udp" ? "udp" : "tcp" };
}

function mappings(ports: readonly Port[], { HostIp = "", HostPort = "" }: PortBinding, key: string): PortMapping[] {
  const hostAddress = HostIp === everyAddress ? "" : HostIp;
  if (hostAddress !== "" && isIP(hostAddress) === 0) throw new OnggiError("invalid", `invalid IP address: ${HostIp}`);
  const [first, last] = HostPort === "" ? [0, 0] : parseRange(HostPort, `invalid HostPort: "${HostPort}"`);
  const count = last - first + 1;
  // One port of the container and a range of the host's: any of them will do, the first is as good as another.
  if (first !== 0 && ports.length > 1 && count !== ports.length) {
    throw new OnggiError("invalid", `invalid ranges specified for container and host Ports: ${key} and ${HostPort}`);
  }
  return ports.map(({ number, protocol }, index) => ({
    containerPort: number,
    protocol,
    hostAddress,
    hostPort: first === 0 ? 0 : first + index,
  }));
}

function parsePorts(key: string): Port[] {
  const [range = "", protocol = "tcp", ...more] = key.split("/");
  if (protocol === "sctp")
    throw new OnggiError("unsupported", `port ${key}: sctp is not supported`, { hint: "Publish tcp or udp." });
  if (more.length > 0 || (protocol !== "tcp" && protocol !== "udp"))
    throw new OnggiError("invalid", `invalid proto: ${protocol}`);
  const [first, last] = parseRange(range, `invalid port specification: "${key}"`);
  if (first === 0) throw new OnggiError("invalid", `invalid port specification: "${key}"`);
  return Array.from({ length: last - first + 1 }, (_, index) => ({ number: first + index, protocol }));
}

function parseRange(text: string, complaint: string): readonly [number, number] {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (match === null || first > last || last > 65535) throw new OnggiError("invalid", complaint);
  return [first, last];
}

function formatPort({ number, protocol }: Port): string {
  return `${number}/${protocol}`;
}
