import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hostsFile } from "../network/hosts.ts";
import { readHostResolvConf, resolvConf } from "../network/resolv-conf.ts";
import type { ContainerRecord } from "./container-record.ts";
import type { ContainerAddress } from "./model.ts";

/** Paths on the host of the files that are bound over a container's own in /etc. */
export interface ContainerFiles {
  readonly hostname: string;
  readonly hosts: string;
  readonly resolvConf: string;
}

export function containerFilesIn(directory: string): ContainerFiles {
  return {
    hostname: join(directory, "hostname"),
    hosts: join(directory, "hosts"),
    resolvConf: join(directory, "resolv.conf"),
  };
}

/** Their contents by path: anew at each start, since the address and the host's name servers may be others. */
export function containerFileContents(
  files: ContainerFiles,
  record: ContainerRecord,
  address: ContainerAddress | undefined,
): Readonly<Record<string, string>> {
  const { config, hostname } = record;
  const place = address === undefined ? {} : { address: address.address, gateway: address.gateway };
  const shared = config.network === "host" ? { hostText: readHostsFile() } : {};
  return {
    [files.hostname]: `${hostname}\n`,
    [files.hosts]: hostsFile({ hostname, ...pick(config, "domainname", "extraHosts"), ...place, ...shared }),
    [files.resolvConf]: resolvConf(
      readHostResolvConf(),
      pick(config, "dns", "dnsSearch", "dnsOptions"),
      config.network === "host" ? "host" : "own",
    ),
  };
}

export function writeContainerFiles(contents: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(contents)) writeFileSync(path, text, { mode: 0o644 });
}

function readHostsFile(): string {
  return existsSync("/etc/hosts") ? readFileSync("/etc/hosts", "utf8") : "";
}

function pick<T extends object, K extends keyof T>(from: T, ...keys: readonly K[]): Pick<T, K> {
  return Object.fromEntries(keys.filter((key) => from[key] !== undefined).map((key) => [key, from[key]])) as Pick<T, K>;
}
