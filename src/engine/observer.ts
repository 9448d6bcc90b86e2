import { uptime } from "node:os";
import type { Cgroups } from "../cgroup/cgroups.ts";
import { KernelLog } from "../cgroup/kernel-log.ts";
import { oomSentence } from "../cgroup/oom-report.ts";
import { readInterfaceStats } from "../network/interface-stats.ts";
import type { BridgeNetwork } from "../network/network.ts";
import type { ExitRecord } from "../program/op.ts";
import type { Container } from "./container.ts";
import { hostCpuNs } from "./host-cpu.ts";
import type { ContainerStats } from "./model.ts";

const nothingUsed = {
  cpuTotalNs: 0,
  cpuUserNs: 0,
  cpuSystemNs: 0,
  periods: 0,
  throttledPeriods: 0,
  throttledNs: 0,
  memoryBytes: 0,
  memoryPeakBytes: 0,
  memoryLimitBytes: 0,
  memoryStat: {},
  pids: 0,
  pidsLimit: 0,
  blockReadBytes: 0,
  blockWriteBytes: 0,
};

/** Reads what containers use, and what the kernel says of their end. */
export class Observer {
  readonly #cgroups: Cgroups;
  readonly #network: BridgeNetwork;
  readonly #cpus: number;
  readonly #kernelLog = new KernelLog();

  constructor(parts: { readonly cgroups: Cgroups; readonly network: BridgeNetwork; readonly cpus: number }) {
    this.#cgroups = parts.cgroups;
    this.#network = parts.network;
    this.#cpus = parts.cpus;
  }

  /** Of a container that doesn't run all is zero. */
  stats(container: Container): ContainerStats {
    const used = container.isRunning ? this.#cgroups.stats(container.id) : nothingUsed;
    const link = container.isRunning
      ? this.#network.leases().find(({ containerId }) => containerId === container.id)?.hostLink
      : undefined;
    const traffic = link === undefined ? undefined : readInterfaceStats(link);
    return {
      readAtMs: Date.now(),
      hostCpuNs: hostCpuNs(),
      onlineCpus: this.#cpus,
      networks: traffic === undefined ? {} : { eth0: traffic },
      ...used,
    };
  }

  pids(container: Container): readonly number[] {
    return this.#cgroups.pids(container.id);
  }

  /** A sentence for a kill by the memory limit: which limit, which process, at what use. */
  explainOom(container: Container, exit: ExitRecord, startedAtMs: number): string {
    const { memoryPath } = this.#cgroups.steps(container.id, {});
    const sinceUs = (uptime() * 1000 - (Date.now() - startedAtMs)) * 1000;
    const report = this.#kernelLog.lastOom(memoryPath, Math.max(0, sinceUs));
    return oomSentence(container.record.config.resources?.memoryBytes ?? 0, report, exit.memoryPeakBytes);
  }

  close(): void {
    this.#kernelLog.close();
  }
}
