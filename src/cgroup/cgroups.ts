import type { LinuxResources } from "../oci/runtime-spec.ts";
import type { Op, Slot, Steps } from "../program/op.ts";

/** cgroup v1, v2 or both (hybrid), behind one face. Containers lie in `<parent>/<id>` of each hierarchy in use. */
export interface Cgroups {
  readonly version: "1" | "2" | "hybrid";
  /**
   * Steps that make a container's cgroups with their limits, put the child in, and remove them after the end.
   * The `child` part comes first in the child, before the cgroup namespace is made.
   * @throws OnggiError `unsupported` for a limit that no controller here can hold, naming the controller
   * @throws OnggiError `invalid` for limits that contradict each other
   */
  steps(id: string, resources: LinuxResources): CgroupSteps;
  /** Steps that put another process (exec) into a container's cgroups. */
  joinSteps(id: string): { readonly host: readonly Op[]; readonly child: readonly Op[]; readonly intoCgroup?: Slot };
  /** @throws OnggiError `not_found` when it has no cgroup */
  stats(id: string): CgroupStats;
  /** Stops all its processes where they are; whoever then kills must thaw, or the killed never end. */
  freeze(id: string): Promise<void>;
  thaw(id: string): Promise<void>;
  /** Pids of all processes in it, as the host sees them; empty when it doesn't exist. */
  pids(id: string): readonly number[];
  /** Steps that kill whatever is left in it and remove it; for a container whose monitor is gone. */
  killSteps(id: string): readonly Op[];
  /** Ids that have a cgroup: start-up compares them with the containers it knows. */
  list(): readonly string[];
  /** Limits that this host can't enforce (no swap accounting …), for `info`. */
  warnings(): readonly string[];
  /** Removes the engine's own groups where no container is in them. */
  close(): void;
}

export interface CgroupSteps extends Steps {
  /** For the `clone` op on v2. */
  readonly intoCgroup?: Slot;
  /** For the monitor. */
  readonly oomWatch?: Op;
  /** Path of the memory cgroup as the kernel's messages name it (`oom_memcg=`). */
  readonly memoryPath: string;
}

export interface CgroupStats {
  readonly cpuTotalNs: number;
  readonly cpuUserNs: number;
  readonly cpuSystemNs: number;
  readonly periods: number;
  readonly throttledPeriods: number;
  readonly throttledNs: number;
  readonly memoryBytes: number;
  readonly memoryPeakBytes: number;
  /** The host's memory when there is no limit. */
  readonly memoryLimitBytes: number;
  readonly memoryStat: Readonly<Record<string, number>>;
  readonly pids: number;
  /** 0: none. */
  readonly pidsLimit: number;
  readonly blockReadBytes: number;
  readonly blockWriteBytes: number;
}
