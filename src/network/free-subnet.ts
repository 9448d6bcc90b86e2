import { OnggiError } from "../base/error.ts";
import { type Cidr, cidr, overlap, parseCidr } from "./ipv4.ts";

/** In the order in which they are tried: Docker's first, as the tutorials have it. */
const candidates: readonly Cidr[] = [
  ...Array.from({ length: 15 }, (_, i) => parseCidr(`172.${17 + i}.0.0/16`)),
  ...Array.from({ length: 256 }, (_, i) => parseCidr(`10.${i}.0.0/16`)),
  ...Array.from({ length: 16 }, (_, i) => parseCidr(`192.168.${i * 16}.0/20`)),
];

/** @throws OnggiError `exhausted` when the host has routes to all of them */
export function chooseSubnet(used: readonly Cidr[]): Cidr {
  const free = candidates.find((candidate) => !used.some((range) => overlap(candidate, range)));
  if (free !== undefined) return free;
  throw new OnggiError("exhausted", "no private subnet is free of this host's routes", {
    hint: "Name one with --subnet.",
  });
}

export interface Route {
  readonly device: string;
  readonly range: Cidr;
}

/** The routes of /proc/net/route, which has numbers as they lie in memory. */
export function parseRoutes(table: string): readonly Route[] {
  return table
    .split("\n")
    .slice(1)
    .map((line) => line.split("\t"))
    .filter((fields) => fields.length > 7)
    .map(([device = "", destination = "", , , , , , netmask = ""]) => ({
      device,
      range: cidr(fromHex(destination), bits(fromHex(netmask))),
    }));
}

/** Where packets to anywhere go. */
export function defaultDevice(routes: readonly Route[]): string | undefined {
  return routes.find(({ range }) => range.prefixLength === 0)?.device;
}

function fromHex(text: string): number {
  const [a = 0, b = 0, c = 0, d = 0] = text.match(/../g)?.map((byte) => Number.parseInt(byte, 16)) ?? [];
  return ((d << 24) | (c << 16) | (b << 8) | a) >>> 0;
}

function bits(netmask: number): number {
  return netmask.toString(2).replaceAll("0", "").length;
}
