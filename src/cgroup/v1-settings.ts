import { OnggiError } from "../base/error.ts";
import type { LinuxResources } from "../oci/runtime-spec.ts";
import type { Setting } from "./hierarchy.ts";
import { isLimit } from "./limits.ts";

/** What this kernel's v1 controllers have beyond the base. */
export interface V1Features {
  readonly swapAccounting: boolean;
  /** The file for the block I/O weight, where there is one. */
  readonly blockWeight: "blkio.weight" | "blkio.bfq.weight" | undefined;
  /** Values for a cpuset that doesn't choose: a cpuset without any lets no process in. */
  readonly cpus: string;
  readonly mems: string;
}

/** Limits as v1 spells them, in the order in which a new cgroup takes them. */
export function* v1Settings(
  { cpu, memory, pids, blockIO, unified }: LinuxResources,
  features: V1Features,
): Iterable<Setting> {
  if (unified !== undefined && Object.keys(unified).length > 0) {
    throw new OnggiError("unsupported", "settings of cgroup v2 can't be made: this host uses cgroup v1");
  }
  const set = (controller: Setting["controller"], file: string, value: number | string): Setting => ({
    controller,
    file,
    value: String(value),
  });

  if (isLimit(cpu?.shares)) yield set("cpu", "cpu.shares", Math.max(2, Math.min(262_144, cpu.shares)));
  // The period first: a quota is checked against the one that is set.
  if (isLimit(cpu?.period)) yield set("cpu", "cpu.cfs_period_us", cpu.period);
  if (isLimit(cpu?.quota)) yield set("cpu", "cpu.cfs_quota_us", cpu.quota);

  if (isLimit(memory?.limit)) yield set("memory", "memory.limit_in_bytes", memory.limit);
  // After the limit: the sum may not be below it.
  if (isLimit(memory?.swap) && features.swapAccounting) yield set("memory", "memory.memsw.limit_in_bytes", memory.swap);
  if (isLimit(memory?.reservation)) yield set("memory", "memory.soft_limit_in_bytes", memory.reservation);
  if (memory?.disableOOMKiller) yield set("memory", "memory.oom_control", 1);

  if (isLimit(pids?.limit)) yield set("pids", "pids.max", pids.limit);

  if (cpu?.cpus || cpu?.mems) {
    yield set("cpuset", "cpuset.cpus", cpu.cpus || features.cpus);
    yield set("cpuset", "cpuset.mems", cpu.mems || features.mems);
  }
  if (isLimit(blockIO?.weight)) {
    if (features.blockWeight === undefined) {
      throw new OnggiError(
        "unsupported",
        "block I/O can't be weighted: this kernel's blkio controller has no weights",
        {
          hint: "Run without --blkio-weight, or use a kernel with the BFQ scheduler.",
        },
      );
    }
    yield set("io", features.blockWeight, blockIO.weight);
  }
}
