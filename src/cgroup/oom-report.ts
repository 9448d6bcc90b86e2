import { size } from "./limits.ts";

/** A kill by a memory limit, as the kernel's log tells it. */
export interface OomReport {
  /** The cgroup whose limit was reached, which may be one above the container's. */
  readonly memoryPath: string;
  /** Name and pid, as the host sees them, of the process that was killed. */
  readonly task: string;
  readonly pid: number;
  /** What it had in memory: anonymous, file and shared pages. */
  readonly residentBytes: number;
  readonly virtualBytes: number;
  /** Since boot. */
  readonly atUs: number;
}

/** One record of /dev/kmsg. */
export interface KernelRecord {
  readonly atUs: number;
  readonly text: string;
}

/** Parses `priority,sequence,microseconds,flags;text` and what follows; undefined for anything else. */
export function parseKernelRecord(raw: string): KernelRecord | undefined {
  const match = /^\d+,\d+,(\d+),[^;]*;([^\n]*)/.exec(raw);
  return match === null ? undefined : { atUs: Number(match[1]), text: match[2] ?? "" };
}

/**
 * Finds the kills by memory limits in the kernel's log, the oldest first.
 *
 * Two lines make one: `oom-kill:` names the cgroup, `Killed process` the sizes (mm/oom_kill.c). The first is left out by the
 * kernel when there are more than ten in five seconds, so a kill without it isn't reported here.
 */
export function parseOomReports(records: readonly KernelRecord[]): readonly OomReport[] {
  const reports: OomReport[] = [];
  const open = new Map<number, { memoryPath: string; task: string }>();
  for (const { atUs, text } of records) {
    const named = /^oom-kill:.*\boom_memcg=(.*),task_memcg=.*,task=(.*),pid=(\d+),uid=\d+/.exec(text);
    if (named !== null) {
      open.set(Number(named[3]), { memoryPath: named[1] ?? "", task: named[2] ?? "" });
      continue;
    }
    const killed = /^Memory cgroup out of memory: Killed process (\d+) /.exec(text);
    if (killed === null) continue;
    const pid = Number(killed[1]);
    const cgroup = open.get(pid);
    if (cgroup === undefined) continue;
    open.delete(pid);
    const kib = (name: string) => 1024 * Number(new RegExp(`\\b${name}:(\\d+)kB`).exec(text)?.[1] ?? 0);
    const residentBytes = kib("anon-rss") + kib("file-rss") + kib("shmem-rss");
    reports.push({ ...cgroup, pid, residentBytes, virtualBytes: kib("total-vm"), atUs });
  }
  return reports;
}

/**
 * The last kill in a container: its own limit, that of a group it made inside, or of one above it.
 *
 * @param memoryPath - of the container; within a container of its own, Onggi sees only the end of the kernel's path
 */
export function lastReportOf(reports: readonly OomReport[], memoryPath: string): OomReport | undefined {
  return reports.findLast(({ memoryPath: path }) => path.endsWith(memoryPath) || path.includes(`${memoryPath}/`));
}

/** What a user is told: `the memory limit of 200 MiB killed stress (pid 12) at 199.8 MiB`. */
export function oomSentence(limitBytes: number, report: OomReport | undefined, peakBytes = 0): string {
  const limit =
    Number.isFinite(limitBytes) && limitBytes > 0 ? `the memory limit of ${size(limitBytes)}` : "the memory limit";
  if (report !== undefined)
    return `${limit} killed ${report.task} (pid ${report.pid}) at ${size(report.residentBytes)}`;
  return `${limit} killed a process${peakBytes > 0 ? `; the highest use was ${size(peakBytes)}` : ""}`;
}
