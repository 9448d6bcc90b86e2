import { readFileSync } from "node:fs";

/** USER_HZ: what /proc/stat counts in, the same on every architecture that Onggi runs on (proc(5)). */
const ticksPerSecond = 100;

/** Time all cores of the host have spent, idle or not, in nanoseconds: what Docker's percentages are relative to. */
export function hostCpuNs(stat = readFileSync("/proc/stat", "utf8")): number {
  const [line = ""] = stat.split("\n", 1);
  // user nice system idle iowait irq softirq steal; guest times are in user already.
  const ticks = line
    .trim()
    .split(/\s+/)
    .slice(1, 9)
    .reduce((sum, field) => sum + Number(field), 0);
  return (ticks * 1_000_000_000) / ticksPerSecond;
}
