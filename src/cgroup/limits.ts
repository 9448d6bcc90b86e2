import { OnggiError } from "../base/error.ts";
import type { LinuxResources } from "../oci/runtime-spec.ts";
import type { Controller } from "./layout.ts";
import { parseNumberList } from "./number-list.ts";

/** The host's CPUs and memory nodes, as the kernel lists them: `0-3,7`. */
export interface Online {
  readonly cpus: string;
  readonly mems: string;
}

/**
 * Refuses limits that the kernel would answer with a bare EINVAL, and those that nothing here could hold.
 *
 * @throws OnggiError `invalid`, `unsupported`
 */
export function checkLimits(resources: LinuxResources, controllers: ReadonlySet<Controller>, online: Online): void {
  checkMemory(resources.memory);
  checkCpu(resources.cpu);
  if (resources.cpu?.cpus) checkList("CPUs", resources.cpu.cpus, online.cpus);
  if (resources.cpu?.mems) checkList("memory nodes", resources.cpu.mems, online.mems);
  for (const [controller, asked] of asksFor(resources)) {
    if (controllers.has(controller)) continue;
    throw new OnggiError("unsupported", `${asked} can't be limited: this host has no ${controller} controller`, {
      hint: `Enable it (on the kernel's command line: cgroup_enable=${controller}), or run without that limit.`,
    });
  }
}

/** True for a number that limits: neither absent, 0 nor -1. */
export function isLimit(value: number | undefined): value is number {
  return value !== undefined && value > 0;
}

function* asksFor({ memory, cpu, pids, blockIO }: LinuxResources): Iterable<[Controller, string]> {
  if (isLimit(memory?.limit) || isLimit(memory?.reservation) || isLimit(memory?.swap)) yield ["memory", "memory"];
  if (isLimit(cpu?.quota) || isLimit(cpu?.shares)) yield ["cpu", "CPU time"];
  if (cpu?.cpus || cpu?.mems) yield ["cpuset", "the set of CPUs"];
  if (isLimit(pids?.limit)) yield ["pids", "the number of processes"];
  if (isLimit(blockIO?.weight)) yield ["io", "block I/O"];
}

function checkMemory(memory: LinuxResources["memory"]): void {
  if (memory === undefined) return;
  const { limit, swap, reservation } = memory;
  if (isLimit(swap) && !isLimit(limit)) {
    throw invalid("a limit of memory and swap needs one of memory", "Give --memory with --memory-swap.");
  }
  if (isLimit(swap) && isLimit(limit) && swap < limit) {
    throw invalid(
      `memory and swap together (${size(swap)}) can't be less than memory alone (${size(limit)})`,
      "--memory-swap is the sum of both: give at least the value of --memory, or -1 for swap without limit.",
    );
  }
  if (isLimit(reservation) && isLimit(limit) && reservation > limit) {
    throw invalid(
      `the memory reservation (${size(reservation)}) is over the limit (${size(limit)})`,
      "Reserve less than --memory.",
    );
  }
}

function checkCpu(cpu: LinuxResources["cpu"]): void {
  if (cpu === undefined) return;
  if (isLimit(cpu.quota) && cpu.quota < 1000) {
    throw invalid(
      `a CPU quota of ${cpu.quota} µs is less than the kernel's least, 1000 µs`,
      "Give at least --cpus 0.01.",
    );
  }
  if (isLimit(cpu.period) && (cpu.period < 1000 || cpu.period > 1_000_000)) {
    throw invalid(`a CPU period of ${cpu.period} µs isn't between 1000 and 1000000 µs`, "The usual one is 100000.");
  }
}

function checkList(what: string, asked: string, available: string): void {
  const numbers = parseNumberList(asked);
  if (numbers === undefined) throw invalid(`"${asked}" isn't a list of ${what}`, "A list is written as 0-3,7.");
  const there = parseNumberList(available);
  if (there === undefined || numbers.isSubsetOf(there)) return;
  throw invalid(
    `requested ${what} are not available - requested ${asked}, available: ${available}`,
    "Choose among the available ones.",
  );
}

function invalid(message: string, hint: string): OnggiError {
  return new OnggiError("invalid", message, { hint });
}

/** Bytes as people read them: `200 MiB`, `1.5 GiB`. */
export function size(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${Number(value.toFixed(1))} ${units[unit]}`;
}
