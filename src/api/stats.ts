import { setTimeout as sleep } from "node:timers/promises";
import { isOnggiError } from "../base/error.ts";
import type { ContainersFace } from "../engine/engine.ts";
import type { ContainerStats, InterfaceStats } from "../engine/model.ts";
import { type Route, route } from "./route.ts";
import { containerStorageBody } from "./storage.ts";
import { formatTime } from "./time.ts";
import type { CpuStatsBody, InterfaceStatsBody, StatsBody } from "./wire.ts";

const periodMs = 1000;

export const statsRoutes: readonly Route[] = [
  route("GET /containers/:id/stats", async (engine, { params, query, signal }) => {
    const { id } = engine.containers.get(params.id);
    if (query.flag("stream", true)) {
      return { contentType: "application/json", headerFirst: true, stream: statsLines(engine.containers, id, signal) };
    }
    const first = await sample(engine.containers, id);
    if (first === undefined || query.flag("one-shot"))
      return { json: statsBody(first, undefined, nameOf(engine.containers, id), id) };
    // Two samples, so that use per time can be told.
    await sleep(periodMs, undefined, { signal });
    return {
      json: statsBody((await sample(engine.containers, id)) ?? first, first, nameOf(engine.containers, id), id),
    };
  }),
];

/** A line a second until the client goes, or the container is removed; of one that doesn't run there is nothing but its name. */
async function* statsLines(containers: ContainersFace, id: string, signal: AbortSignal): AsyncGenerator<string> {
  let before: ContainerStats | undefined;
  while (!signal.aborted) {
    const name = nameOf(containers, id);
    if (name === undefined) return;
    const now = await sample(containers, id);
    yield `${JSON.stringify(statsBody(now, before, name, id))}\n`;
    before = now;
    await sleep(periodMs, undefined, { signal }).catch(() => {});
  }
}

function nameOf(containers: ContainersFace, id: string): string | undefined {
  try {
    return containers.get(id).name;
  } catch (error) {
    if (isOnggiError(error, "not_found")) return undefined;
    throw error;
  }
}

/** Undefined while it doesn't run. */
async function sample(containers: ContainersFace, id: string): Promise<ContainerStats | undefined> {
  try {
    return await containers.stats(id);
  } catch (error) {
    if (isOnggiError(error, "conflict") || isOnggiError(error, "not_found")) return undefined;
    throw error;
  }
}

function statsBody(
  now: ContainerStats | undefined,
  before: ContainerStats | undefined,
  name = "",
  id: string,
): StatsBody {
  return {
    id,
    name: `/${name}`,
    read: formatTime(now?.readAtMs ?? 0),
    preread: formatTime(before?.readAtMs ?? 0),
    num_procs: 0,
    pids_stats: now === undefined ? {} : { current: now.pids, ...(now.pidsLimit > 0 ? { limit: now.pidsLimit } : {}) },
    cpu_stats: cpuBody(now),
    precpu_stats: cpuBody(before),
    memory_stats:
      now === undefined
        ? {}
        : {
            usage: now.memoryBytes,
            max_usage: now.memoryPeakBytes,
            limit: now.memoryLimitBytes,
            stats: now.memoryStat,
          },
    blkio_stats: {
      io_service_bytes_recursive:
        now === undefined
          ? null
          : [
              { major: 0, minor: 0, op: "read", value: now.blockReadBytes },
              { major: 0, minor: 0, op: "write", value: now.blockWriteBytes },
            ],
    },
    storage_stats: {},
    ...(now?.storage === undefined ? {} : { onggi: { storage: containerStorageBody(now.storage) } }),
    ...(now === undefined
      ? {}
      : {
          networks: Object.fromEntries(Object.entries(now.networks).map(([key, value]) => [key, interfaceBody(value)])),
        }),
  };
}

function cpuBody(stats: ContainerStats | undefined): CpuStatsBody {
  return {
    cpu_usage: {
      total_usage: stats?.cpuTotalNs ?? 0,
      usage_in_kernelmode: stats?.cpuSystemNs ?? 0,
      usage_in_usermode: stats?.cpuUserNs ?? 0,
    },
    ...(stats === undefined ? {} : { system_cpu_usage: stats.hostCpuNs, online_cpus: stats.onlineCpus }),
    throttling_data: {
      periods: stats?.periods ?? 0,
      throttled_periods: stats?.throttledPeriods ?? 0,
      throttled_time: stats?.throttledNs ?? 0,
    },
  };
}

function interfaceBody(stats: InterfaceStats): InterfaceStatsBody {
  return {
    rx_bytes: stats.rxBytes,
    rx_packets: stats.rxPackets,
    rx_errors: stats.rxErrors,
    rx_dropped: stats.rxDropped,
    tx_bytes: stats.txBytes,
    tx_packets: stats.txPackets,
    tx_errors: stats.txErrors,
    tx_dropped: stats.txDropped,
  };
}
