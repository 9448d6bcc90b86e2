import { OnggiError } from "../base/error.ts";
import type { LinuxResources } from "../oci/runtime-spec.ts";
import type { Setting } from "./hierarchy.ts";
import type { Controller } from "./layout.ts";
import { isLimit } from "./limits.ts";

export interface V2Features {
  readonly swapAccounting: boolean;
}

/** Limits as v2 spells them. */
export function* v2Settings(
  { cpu, memory, pids, blockIO, unified }: LinuxResources,
  features: V2Features,
): Iterable<Setting> {
  const set = (controller: Controller, file: string, value: number | string): Setting => ({
    controller,
    file,
    value: String(value),
  });

  if (isLimit(cpu?.shares)) yield set("cpu", "cpu.weight", cpuWeight(cpu.shares));
  if (isLimit(cpu?.quota) || isLimit(cpu?.period)) {
    yield set("cpu", "cpu.max", `${isLimit(cpu?.quota) ? cpu.quota : "max"} ${cpu?.period || 100_000}`);
  }
  if (cpu?.cpus) yield set("cpuset", "cpuset.cpus", cpu.cpus);
  if (cpu?.mems) yield set("cpuset", "cpuset.mems", cpu.mems);

  if (isLimit(memory?.limit)) yield set("memory", "memory.max", memory.limit);
  if (isLimit(memory?.limit) && isLimit(memory.swap) && features.swapAccounting) {
    yield set("memory", "memory.swap.max", memory.swap - memory.limit);
  }
  if (isLimit(memory?.reservation)) yield set("memory", "memory.low", memory.reservation);

  if (isLimit(pids?.limit)) yield set("pids", "pids.max", pids.limit);
  if (isLimit(blockIO?.weight)) yield set("io", "io.weight", `default ${ioWeight(blockIO.weight)}`);

  for (const [file, value] of Object.entries(unified ?? {})) yield set(controllerOf(file), file, value);
}

/**
 * v1's shares (2 to 262144, usual 1024) as v2's weight (1 to 10000, usual 100): the curve through these three pairs that crun
 * and runc took up in 2025, since the straight line of before made 39 of 1024, so that containers lost against the host's services.
 *
 * @see https://github.com/opencontainers/cgroups, ConvertCPUSharesToCgroupV2Value
 */
export function cpuWeight(shares: number): number {
  if (shares <= 2) return 1;
  if (shares >= 262_144) return 10_000;
  const log = Math.log2(shares);
  return Math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34));
}

/** v1's block I/O weight (10 to 1000) as v2's (1 to 10000). */
export function ioWeight(weight: number): number {
  return Math.floor(1 + ((weight - 10) * 9999) / 990);
}

function controllerOf(file: string): Controller {
  const name = /^(cpuset|cpu|memory|pids|io)\.[a-z._]+$/.exec(file)?.[1];
  if (name === undefined) {
    throw new OnggiError("invalid", `"${file}" isn't a setting of cgroup v2`, {
      hint: "They are named as memory.high is.",
    });
  }
  return name as Controller;
}
