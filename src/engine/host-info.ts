import { readFileSync } from "node:fs";
import { hostname, release } from "node:os";
import type { BridgeNetwork } from "../network/network.ts";
import type { HostFacts } from "../runtime/compile/host-facts.ts";
import type { ContainerInfo, HostInfo } from "./model.ts";
import { version } from "./version.ts";

export interface HostInfoParts {
  readonly facts: HostFacts;
  readonly root: string;
  readonly driver: string;
  readonly drivers: HostInfo["storageDrivers"];
  readonly containers: readonly ContainerInfo[];
  readonly images: number;
  readonly network: BridgeNetwork;
  readonly warnings: readonly string[];
}

/** What `info` shows. */
export function hostInfo({
  facts,
  root,
  driver,
  drivers,
  containers,
  images,
  network,
  warnings,
}: HostInfoParts): HostInfo {
  const count = (statuses: readonly string[]) =>
    containers.filter(({ state }) => statuses.includes(state.status)).length;
  const running = count(["running", "restarting"]);
  const paused = count(["paused"]);
  return {
    version,
    root,
    hostname: hostname(),
    kernel: release(),
    operatingSystem: operatingSystem(),
    architecture: facts.architecture,
    cpus: facts.cpus,
    memoryBytes: facts.memoryBytes,
    cgroupVersion: facts.cgroup.version,
    storageDriver: driver,
    storageDrivers: drivers,
    containers: { running, paused, stopped: containers.length - running - paused },
    images,
    bridge: { name: network.bridge, subnet: network.subnet },
    warnings,
  };
}

/** os-release(5). */
function operatingSystem(): string {
  try {
    return /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "Linux";
  } catch {
    return "Linux";
  }
}
