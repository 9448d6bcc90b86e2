import { readFileSync } from "node:fs";

export interface DnsOptions {
  /** Replace what the host has, each where it isn't empty; a search domain of `.` means none. */
  readonly dns?: readonly string[];
  readonly dnsSearch?: readonly string[];
  readonly dnsOptions?: readonly string[];
}

/** Docker's choice, too, where the host names no server that a container could reach. */
const publicServers = ["8.8.8.8", "8.8.4.4"];
const hostPath = "/etc/resolv.conf";
/** Where systemd-resolved keeps the servers behind its own at 127.0.0.53. */
const resolvedPath = "/run/systemd/resolve/resolv.conf";

/** The host's resolv.conf: of systemd-resolved the one with the real servers. Empty when there is none. */
export function readHostResolvConf(): string {
  const text = readOrEmpty(hostPath);
  const servers = valuesOf(text, "nameserver");
  const isStub = servers.length === 1 && servers[0] === "127.0.0.53";
  return (isStub && readOrEmpty(resolvedPath)) || text;
}

/**
 * A container's resolv.conf.
 *
 * In a network of its own, servers at the host's loopback addresses and, without IPv6 there, at IPv6 addresses can't be reached and are
 * left out; when none is left, the public ones of Google stand in. In the host's network all stay.
 */
export function resolvConf(hostText: string, options: DnsOptions, network: "own" | "host"): string {
  const hostServers = valuesOf(hostText, "nameserver").filter((server) => network === "host" || isReachable(server));
  const found = orElse(options.dns, hostServers);
  const servers = found.length === 0 && network === "own" ? publicServers : found;
  const search = orElse(options.dnsSearch, words(valuesOf(hostText, "search", "domain").at(-1))).filter(
    (domain) => domain !== ".",
  );
  const flags = orElse(options.dnsOptions, valuesOf(hostText, "options").flatMap(words));
  const lines = servers.map((server) => `nameserver ${server}`);
  if (search.length > 0) lines.push(`search ${search.join(" ")}`);
  if (flags.length > 0) lines.push(`options ${flags.join(" ")}`);
  return lines.map((line) => `${line}\n`).join("");
}

function isReachable(server: string): boolean {
  return !server.startsWith("127.") && !server.includes(":");
}

function orElse(wanted: readonly string[] | undefined, otherwise: readonly string[]): readonly string[] {
  return wanted === undefined || wanted.length === 0 ? otherwise : wanted;
}

/** What follows one of the keywords, a value a line. */
function valuesOf(text: string, ...keywords: readonly string[]): readonly string[] {
  return text
    .split("\n")
    .map((line) => /^(\S+)\s+(.*\S)\s*$/.exec(line.trimStart()))
    .flatMap((match) => (match !== null && keywords.includes(match[1] ?? "") ? [match[2] ?? ""] : []))
    .map((value) => value.replace(/\s+[#;].*$/, ""));
}

function words(value: string | undefined): readonly string[] {
  return value?.split(/\s+/).filter((word) => word !== "") ?? [];
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
