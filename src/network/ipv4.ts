import { OnggiError } from "../base/error.ts";

/** A range of IPv4 addresses; addresses are numbers from 0 to 2^32-1. */
export interface Cidr {
  /** The first address, host bits zero. */
  readonly base: number;
  readonly prefixLength: number;
}

/** The address as a number, `undefined` when the text isn't one. */
export function parseAddress(text: string): number | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return undefined;
  const parts = match.slice(1).map(Number);
  if (parts.some((part) => part > 255)) return undefined;
  return parts.reduce((sum, part) => sum * 256 + part, 0);
}

export function formatAddress(address: number): string {
  return addressBytes(address).join(".");
}

/** In network order. */
export function addressBytes(address: number): Uint8Array {
  return Uint8Array.of(address >>> 24, address >>> 16, address >>> 8, address);
}

/** @throws OnggiError `invalid` */
export function parseCidr(text: string): Cidr {
  const [address, prefix, ...rest] = text.split("/");
  const base = parseAddress(address ?? "");
  const prefixLength = /^\d{1,2}$/.test(prefix ?? "") ? Number(prefix) : Number.NaN;
  if (base === undefined || rest.length > 0 || !(prefixLength <= 32)) {
    throw new OnggiError("invalid", `"${text}" is not an IPv4 subnet`, { hint: "Write it as 172.17.0.0/16." });
  }
  return cidr(base, prefixLength);
}

/** The range of a prefix length that holds the address. */
export function cidr(address: number, prefixLength: number): Cidr {
  return { base: (address & mask(prefixLength)) >>> 0, prefixLength };
}

export function formatCidr({ base, prefixLength }: Cidr): string {
  return `${formatAddress(base)}/${prefixLength}`;
}

export function mask(prefixLength: number): number {
  return prefixLength === 0 ? 0 : (0xffffffff << (32 - prefixLength)) >>> 0;
}

/** How many addresses it has, the first and the last included. */
export function size({ prefixLength }: Cidr): number {
  return 2 ** (32 - prefixLength);
}

export function broadcast(subnet: Cidr): number {
  return subnet.base + size(subnet) - 1;
}

export function overlap(a: Cidr, b: Cidr): boolean {
  const shorter = mask(Math.min(a.prefixLength, b.prefixLength));
  return (a.base & shorter) >>> 0 === (b.base & shorter) >>> 0;
}

/** The locally administered MAC that goes with an address, Docker's way: two containers never share one on a bridge. */
export function macOf(address: number): string {
  return [0x02, 0x42, ...addressBytes(address)].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}

export function macBytes(mac: string): Uint8Array {
  return Uint8Array.from(mac.split(":"), (part) => Number.parseInt(part, 16));
}
