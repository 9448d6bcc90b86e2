import { basename } from "node:path";

/**
 * What a kernel's refusal of a control file's value means, as a sentence for the user; undefined where errno says enough.
 *
 * @param path - of the control file, `errno` a name such as `EINVAL`
 */
export function controlHint(path: string, errno: string): string | undefined {
  const file = basename(path);
  if (errno === "ENOENT") return missing.get(file);
  if (errno === "EINVAL") return refused.get(file);
  if (errno === "EBUSY" && file === "memory.limit_in_bytes")
    return "The cgroup uses more memory than the new limit already.";
  if (errno === "ENOSPC" && file === "tasks") return "The cpuset has no CPUs or no memory nodes.";
  if (errno === "ERANGE" && file.startsWith("cpuset.")) return "These CPUs or memory nodes don't exist.";
  if (errno === "EACCES" && file.startsWith("cpuset."))
    return "The group above doesn't have these CPUs or memory nodes.";
  return undefined;
}

const missing = new Map([
  ["memory.memsw.limit_in_bytes", "The kernel doesn't count swap per cgroup: boot it with swapaccount=1."],
  ["memory.swap.max", "The kernel doesn't count swap per cgroup (CONFIG_SWAP)."],
  ["cpu.cfs_quota_us", "The kernel has no CPU quotas (CONFIG_CFS_BANDWIDTH)."],
  [
    "cpu.max",
    "The kernel has no CPU quotas (CONFIG_CFS_BANDWIDTH), or the cpu controller isn't enabled for this group.",
  ],
]);

const refused = new Map([
  [
    "memory.memsw.limit_in_bytes",
    "Memory and swap together can't be less than memory alone, --memory-swap less than --memory.",
  ],
  ["memory.limit_in_bytes", "The limit can't be more than that of memory and swap together."],
  ["cpu.cfs_quota_us", "The quota is below 1000 µs, or the group above has a smaller one."],
  ["cpu.cfs_period_us", "The period must be between 1000 and 1000000 µs."],
  ["cpu.max", "The quota must be at least 1000 µs, the period between 1000 and 1000000 µs."],
  ["cpu.rt_runtime_us", "The group above has no real-time budget to give."],
  ["cpuset.cpus", "CPUs are given as a list such as 0-3,5."],
  ["cpuset.mems", "Memory nodes are given as a list such as 0,1."],
  ["devices.allow", "The group above doesn't allow that device."],
  ["tasks", "The group takes no process: a real-time one needs a budget (cpu.rt_runtime_us)."],
]);
