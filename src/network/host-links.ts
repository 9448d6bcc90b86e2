import { existsSync, readFileSync } from "node:fs";
import { OnggiError } from "../base/error.ts";
import { defaultDevice, parseRoutes, type Route } from "./free-subnet.ts";
import { cidr, parseAddress } from "./ipv4.ts";
import { readHostResolvConf } from "./resolv-conf.ts";

/** What the network of the host looks like, read from /proc and /sys. */

/** Index of a bridge, `undefined` when there is no such link. @throws OnggiError `conflict` when it is none */
export function readBridgeIndex(name: string): number | undefined {
  const index = readLinkIndexOf(name);
  if (index === undefined || existsSync(`/sys/class/net/${name}/bridge`)) return index;
  throw new OnggiError("conflict", `link ${name} of this host is not a bridge`, { hint: "Name another bridge." });
}

/** Index of any link. */
export function readLinkIndexOf(name: string): number | undefined {
  const index = readOrUndefined(`/sys/class/net/${name}/ifindex`);
  return index === undefined ? undefined : Number(index);
}

export function readRoutes(): readonly Route[] {
  return parseRoutes(readOrUndefined("/proc/net/route") ?? "");
}

/** Routes that a new subnet must keep clear of: all but the default one and the bridge's own, and the name servers' addresses. */
export function readUsedRanges(bridge: string): readonly Route[] {
  const routes = readRoutes().filter(({ device, range }) => range.prefixLength > 0 && device !== bridge);
  const servers = [...readHostResolvConf().matchAll(/^nameserver\s+(\S+)/gm)]
    .map(([, server]) => parseAddress(server ?? ""))
    .filter((address) => address !== undefined);
  return [...routes, ...servers.map((address) => ({ device: "the name server", range: cidr(address, 32) }))];
}

/** What fits through the link to the outside, though not more than Ethernet's usual. */
export function readMtu(): number {
  const device = defaultDevice(readRoutes());
  const mtu = device === undefined ? undefined : readOrUndefined(`/sys/class/net/${device}/mtu`);
  return Math.min(1500, Number(mtu ?? 1500));
}

/** The index that is surely free for eth0 in a new namespace: tunnel modules put links of their own there, from 2 on. */
export function readLinkIndex(): number {
  const tunnels = ["tunl0", "sit0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "ip6tnl0", "ip6gre0"];
  const onlyInitial = readOrUndefined("/proc/sys/net/core/fb_tunnels_only_for_init_net")?.trim() ?? "0";
  const isClear = onlyInitial !== "0" || !tunnels.some((name) => existsSync(`/sys/class/net/${name}`));
  return isClear ? 2 : 64;
}

export function readHasIpv6(): boolean {
  return existsSync("/proc/sys/net/ipv6");
}

/** Whether the host forwards packets between its links. */
export function readForwarding(): boolean {
  return readOrUndefined("/proc/sys/net/ipv4/ip_forward")?.trim() === "1";
}

function readOrUndefined(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
}
