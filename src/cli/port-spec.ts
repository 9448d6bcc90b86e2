import type { PortBinding } from "../api/wire.ts";
import { OnggiError } from "../base/error.ts";
import { net } from "./builtin.ts";

/** What `-p` asks for: exposed `80/tcp` and where each is bound on the host. */
export interface PublishedPorts {
  readonly exposed: readonly string[];
  readonly bindings: Readonly<Record<string, readonly PortBinding[]>>;
}

/** Reads the values of `-p`: `80`, `8080:80`, `127.0.0.1:8080:80/udp`, `[::1]::80`, `8000-8010:8000-8010`. */
export function parsePublished(texts: readonly string[]): PublishedPorts {
  const bindings: Record<string, PortBinding[]> = {};
  for (const text of texts) {
    for (const [port, binding] of parseOne(text)) bindings[port] = [...(bindings[port] ?? []), binding];
  }
  return { exposed: Object.keys(bindings), bindings };
}

/** `80`, `53/udp`, `8000-8010`: the ports of one `--expose`. */
export function parseExposed(text: string): readonly string[] {
  const [range = "", protocol = "tcp"] = text.split("/");
  const { first, last } = parseRange(range, "containerPort", text);
  return ports(first, last).map((port) => `${port}/${checkProtocol(protocol, text)}`);
}

function parseOne(text: string): (readonly [string, PortBinding])[] {
  const [addresses = "", protocol = "tcp", ...more] = text.split("/");
  if (more.length > 0) throw new OnggiError("invalid", `invalid port mapping: ${text}`);
  const { ip, host, container } = splitMapping(addresses);
  if (ip !== "" && net.isIP(ip) === 0) throw new OnggiError("invalid", `invalid IP address: ${ip}`);
  if (container === "") throw new OnggiError("invalid", `no port specified: ${text}<empty>`);
  const inside = parseRange(container, "containerPort", container);
  const outside = host === "" ? undefined : parseRange(host, "hostPort", host);
  const count = inside.last - inside.first;
  // One container port may be given a range of the host's, from which a free one is chosen.
  if (outside !== undefined && outside.last - outside.first !== count && count !== 0) {
    throw new OnggiError("invalid", `invalid ranges specified for container and host Ports: ${container} and ${host}`);
  }
  return ports(inside.first, inside.last).map((port, index) => {
    const hostPort =
      outside === undefined ? "" : count === 0 && outside.last > outside.first ? host : String(outside.first + index);
    return [`${port}/${checkProtocol(protocol, text)}`, { HostIp: ip, HostPort: hostPort }];
  });
}

/** The parts between colons, from behind; the address may be in brackets. */
function splitMapping(text: string): { ip: string; host: string; container: string } {
  const parts = /^(?:(?:\[([^\]]*)\]|(.*?)):)??(?:([^:]*):)?([^:]*)$/.exec(text);
  if (parts === null) return { ip: text, host: "", container: "0" };
  const [, bracketed, plain, host = "", container = ""] = parts;
  return { ip: bracketed ?? plain ?? "", host, container };
}

function parseRange(text: string, what: string, whole: string): { first: number; last: number } {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (match === null || first > 65535 || last > 65535 || last < first) {
    throw new OnggiError("invalid", `invalid ${what}: ${whole}`);
  }
  return { first, last };
}

function ports(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

function checkProtocol(protocol: string, text: string): string {
  const name = protocol.toLowerCase();
  if (name === "tcp" || name === "udp") return name;
  throw new OnggiError("invalid", `invalid proto: ${protocol} in ${text}`, { hint: "Onggi publishes tcp and udp." });
}
