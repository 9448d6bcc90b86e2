import { isIP } from "node:net";
import { OnggiError } from "../base/error.ts";

export interface HostsEntries {
  /** The container's own; without an address (network none) its name leads to 127.0.0.1. */
  readonly hostname: string;
  readonly domainname?: string;
  readonly address?: string;
  /** `name:address`, or `name=address`; the address `host-gateway` is the host's on the bridge. */
  readonly extraHosts?: readonly string[];
  readonly gateway?: string;
}

const fixed: readonly (readonly [address: string, names: string])[] = [
  ["127.0.0.1", "localhost"],
  ["::1", "localhost ip6-localhost ip6-loopback"],
  ["fe00::", "ip6-localnet"],
  ["ff00::", "ip6-mcastprefix"],
  ["ff02::1", "ip6-allnodes"],
  ["ff02::2", "ip6-allrouters"],
];

/**
 * A container's /etc/hosts.
 *
 * @throws OnggiError `invalid` for an extra host that is none
 */
export function hostsFile({ hostname, domainname, address, extraHosts = [], gateway }: HostsEntries): string {
  const names = domainname === undefined || domainname === "" ? hostname : `${hostname}.${domainname} ${hostname}`;
  const entries = [
    ...fixed,
    ...extraHosts.map((extra) => parseExtraHost(extra, gateway)),
    [address ?? "127.0.0.1", names] as const,
  ];
  return entries.map(([at, name]) => `${at}\t${name}\n`).join("");
}

function parseExtraHost(text: string, gateway: string | undefined): readonly [address: string, name: string] {
  const match = /^([^:=\s]+)[:=](.+)$/.exec(text);
  const name = match?.[1];
  const address = match?.[2] === "host-gateway" ? gateway : match?.[2]?.replace(/^\[(.*)\]$/, "$1");
  if (name === undefined || address === undefined || isIP(address) === 0) {
    const why =
      match?.[2] === "host-gateway" ? "there is no gateway without a bridge" : "invalid IP address in add-host";
    throw new OnggiError("invalid", `bad extra host "${text}": ${why}`, { hint: "Write it as NAME:ADDRESS." });
  }
  return [address, name];
}
