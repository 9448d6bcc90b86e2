import type { StatsBody } from "../api/wire.ts";
import type { ListFormat } from "./format.ts";
import { binarySize, decimalSize, shortId } from "./humanize.ts";

/** What is known of one container's use: nothing until its first sample came. */
export interface StatsRow {
  /** As the user called it. */
  readonly key: string;
  readonly id: string;
  readonly name: string;
  readonly sample: StatsBody | undefined;
}

/** CPU use in percent of one core, as Docker computes it: its share of the host's time, times the cores. */
export function cpuPercent({ cpu_stats: now, precpu_stats: before }: StatsBody): number {
  const used = now.cpu_usage.total_usage - before.cpu_usage.total_usage;
  const host = (now.system_cpu_usage ?? 0) - (before.system_cpu_usage ?? 0);
  return used > 0 && host > 0 ? (used / host) * (now.online_cpus ?? 1) * 100 : 0;
}

/** Memory in use without the page cache that could be given back at once. */
export function memoryUse({ memory_stats: { usage = 0, stats = {} } }: StatsBody): number {
  const cache = stats.total_inactive_file ?? stats.inactive_file ?? 0;
  return cache < usage ? usage - cache : usage;
}

/** The columns of `stats`. */
export function statsList({ trunc }: { trunc: boolean }): ListFormat<StatsRow> {
  const known = (missing: string, text: (sample: StatsBody) => string) => (row: StatsRow) =>
    row.sample === undefined ? missing : text(row.sample);
  return {
    table: "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}",
    columns: {
      BlockIO: { header: "BLOCK I/O", value: known("-- / --", blockText) },
      CPUPerc: { header: "CPU %", value: known("--", (sample) => `${cpuPercent(sample).toFixed(2)}%`) },
      Container: { header: "CONTAINER", value: ({ key }) => key },
      ID: { header: "CONTAINER ID", value: ({ id }) => (trunc ? shortId(id) : id) },
      MemPerc: { header: "MEM %", value: known("--", (sample) => `${memoryPercent(sample).toFixed(2)}%`) },
      MemUsage: {
        header: "MEM USAGE / LIMIT",
        value: known(
          "-- / --",
          (sample) => `${binarySize(memoryUse(sample))} / ${binarySize(sample.memory_stats.limit ?? 0)}`,
        ),
      },
      DiskUsage: { header: "DISK USAGE / LIMIT", value: known("-- / --", diskText) },
      Inodes: { header: "INODES / LIMIT", value: known("-- / --", inodeText) },
      Name: { header: "NAME", value: ({ name }) => name || "--" },
      NetIO: { header: "NET I/O", value: known("-- / --", networkText) },
      PIDs: { header: "PIDS", value: known("--", (sample) => String(sample.pids_stats.current ?? 0)) },
    },
  };
}

function memoryPercent(sample: StatsBody): number {
  const limit = sample.memory_stats.limit ?? 0;
  return limit > 0 ? (memoryUse(sample) / limit) * 100 : 0;
}

/** Of its own file system. */
function diskText({ onggi }: StatsBody): string {
  const { Bytes = 0, LimitBytes } = onggi?.storage ?? {};
  return `${decimalSize(Bytes)} / ${LimitBytes === undefined ? "--" : decimalSize(LimitBytes)}`;
}

function inodeText({ onggi }: StatsBody): string {
  const { Inodes = 0, LimitInodes } = onggi?.storage ?? {};
  return `${Inodes} / ${LimitInodes ?? "--"}`;
}

function networkText({ networks = {} }: StatsBody): string {
  const sum = (key: "rx_bytes" | "tx_bytes") => Object.values(networks).reduce((total, one) => total + one[key], 0);
  return `${decimalSize(sum("rx_bytes"))} / ${decimalSize(sum("tx_bytes"))}`;
}

function blockText({ blkio_stats }: StatsBody): string {
  const sum = (op: string) =>
    (blkio_stats.io_service_bytes_recursive ?? [])
      .filter((entry) => entry.op.toLowerCase() === op)
      .reduce((total, { value }) => total + value, 0);
  return `${decimalSize(sum("read"))} / ${decimalSize(sum("write"))}`;
}
