import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAddress } from "./ipv4.ts";
import type { Lease, PublishedPort } from "./network.ts";

/** A lease is a file in the run directory, named for its address: written by the container's program, removed by its teardown. */
export function leasePath(directory: string, address: string): string {
  return join(directory, address);
}

export function encodeLease({ containerId, hostLink, ports }: Lease): string {
  return `${JSON.stringify({ containerId, hostLink, ports })}\n`;
}

/** The leases there are, and the names of files that are none (cut off by a crash, say). */
export function readLeases(directory: string): {
  readonly leases: readonly Lease[];
  readonly broken: readonly string[];
} {
  const leases: Lease[] = [];
  const broken: string[] = [];
  for (const name of readdirSync(directory)) {
    const lease = parseAddress(name) === undefined ? undefined : readLease(directory, name);
    if (lease === "gone") continue;
    if (lease === undefined) broken.push(name);
    else leases.push(lease);
  }
  return { leases, broken };
}

function readLease(directory: string, address: string): Lease | "gone" | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(join(directory, address), "utf8"));
    if (!isLeaseContent(value)) return undefined;
    return { containerId: value.containerId, hostLink: value.hostLink, ports: value.ports, address };
  } catch (error) {
    // A container may end, and its teardown remove the file, while they are read.
    return error instanceof Error && "code" in error && error.code === "ENOENT" ? "gone" : undefined;
  }
}

function isLeaseContent(value: unknown): value is Omit<Lease, "address"> {
  if (typeof value !== "object" || value === null) return false;
  const { containerId, hostLink, ports } = value as Record<string, unknown>;
  return (
    typeof containerId === "string" &&
    typeof hostLink === "string" &&
    Array.isArray(ports) &&
    ports.every(isPublishedPort)
  );
}

function isPublishedPort(value: unknown): value is PublishedPort {
  if (typeof value !== "object" || value === null) return false;
  const { containerPort, protocol, hostAddress, hostPort } = value as Record<string, unknown>;
  return (
    typeof containerPort === "number" &&
    typeof hostPort === "number" &&
    (hostAddress === "" || (typeof hostAddress === "string" && parseAddress(hostAddress) !== undefined)) &&
    (protocol === "tcp" || protocol === "udp")
  );
}
