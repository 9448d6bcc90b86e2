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
  /** The host's own file: who is in its network goes by its names. Takes the place of all but the extra hosts. */
  readonly hostText?: string;
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
export function hostsFile({ hostname, domainname, address, extraHosts = [], gateway, hostText }: HostsEntries): string {
  const extra = extraHosts.map((text) => parseExtraHost(text, gateway));
  if (hostText !== undefined) return `${hostText.replace(/\n?$/, "\n")}${lines(extra)}`;
  const names = domainname === undefined || domainname === "" ? hostname : `${hostname}.${domainname} ${hostname}`;
  return lines([...fixed, ...extra, [address ?? "127.0.0.1", names]]);
}

function lines(entries: readonly (readonly [address: string, names: string])[]): string {
  return entries.map(([address, names]) => `${address}\t${names}\n`).join("");
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
