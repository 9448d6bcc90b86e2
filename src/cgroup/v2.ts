import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { OnggiError } from "../base/error.ts";
import type { LinuxResources } from "../oci/runtime-spec.ts";
import type { Op } from "../program/op.ts";
import type { CgroupStats } from "./cgroups.ts";
import {
  childGroups,
  groupsBelow,
  readControl,
  readNumber,
  readPids,
  readTable,
  removeIfUnused,
  writeControl,
} from "./control-file.ts";
import type { Hierarchy, HierarchySteps, JoinSteps } from "./hierarchy.ts";
import type { Controller } from "./layout.ts";
import { v2Settings } from "./v2-settings.ts";

const freezeLimitMs = 10_000;
const slot = "cgroup";
/** open(2): no access but to name the directory, which is all that clone3 asks for. */
const O_PATH = 0o10000000;

/** The one hierarchy of v2: `<parent>/<id>`, which the process is cloned into. */
export class HierarchyV2 implements Hierarchy {
  readonly controllers: ReadonlySet<Controller>;
  readonly freezes = true;
  readonly #directory: string;
  readonly #kernelPath: string;
  readonly #swapAccounting: boolean;

  /** @param directory - of the parent group, made by `makeParentV2`; `kernelPath`: what the kernel calls it */
  constructor(directory: string, kernelPath: string, controllers: ReadonlySet<Controller>) {
    this.#directory = directory;
    this.#kernelPath = kernelPath;
    this.controllers = controllers;
    this.#swapAccounting = controllers.has("memory") && existsSync(join(directory, "memory.swap.max"));
  }

  steps(id: string, resources: LinuxResources): HierarchySteps {
    const group = join(this.#directory, id);
    const settings = [...v2Settings(resources, { swapAccounting: this.#swapAccounting })];
    return {
      host: [
        { op: "mkdir", path: group, mode: 0o755 },
        ...settings
          .filter(({ controller }) => this.controllers.has(controller))
          .map(({ file, value }): Op => ({ op: "writeControl", path: join(group, file), data: value })),
        openGroup(group),
      ],
      child: [],
      teardown: this.#killAndRemove([group]),
      intoCgroup: slot,
      ...(this.controllers.has("memory") ? { oomWatch: oomWatch(group), memoryPath: join(this.#kernelPath, id) } : {}),
    };
  }

  joinSteps(id: string): JoinSteps {
    return { host: [openGroup(join(this.#directory, id))], child: [], intoCgroup: slot };
  }

  stats(id: string): Partial<CgroupStats> {
    const group = join(this.#directory, id);
    if (!existsSync(group)) return {};
    return {
      ...this.#cpuStats(group),
      ...this.#memoryStats(group),
      ...this.#pidsStats(group),
      ...this.#ioStats(group),
    };
  }

  async freeze(id: string): Promise<void> {
    await this.#setFrozen(id, true);
  }

  async thaw(id: string): Promise<void> {
    if (existsSync(join(this.#directory, id))) await this.#setFrozen(id, false);
  }

  pids(id: string): readonly number[] {
    return readPids(join(this.#directory, id));
  }

  killSteps(id: string): readonly Op[] {
    const group = join(this.#directory, id);
    return existsSync(group) ? this.#killAndRemove(groupsBelow(group)) : [];
  }

  list(): readonly string[] {
    return childGroups(this.#directory);
  }

  warnings(): readonly string[] {
    const missing = [
      "No device rules: this version limits devices on cgroup v1 only; there, what isn't in /dev can still be made with mknod",
    ];
    for (const controller of ["memory", "cpu", "pids", "io", "cpuset"] as const) {
      if (!this.controllers.has(controller))
        missing.push(`No ${controller} limit support: the cgroup controller "${controller}" isn't there`);
    }
    if (this.controllers.has("memory") && !this.#swapAccounting)
      missing.push("No swap limit support: --memory-swap has no effect");
    return missing;
  }

  close(): void {
    removeIfUnused(this.#directory);
  }

  /** `killCgroup` uses cgroup.kill, which takes all groups below with it, where the kernel has it (5.14). */
  #killAndRemove(groups: readonly string[]): readonly Op[] {
    return [
      ...groups.toReversed().map((path): Op => ({ op: "killCgroup", path, ignore: ["ENOENT"] })),
      ...groups.map((path): Op => ({ op: "remove", path, ignore: ["ENOENT"] })),
    ];
  }

  async #setFrozen(id: string, frozen: boolean): Promise<void> {
    const group = join(this.#directory, id);
    if (!existsSync(group)) throw new OnggiError("not_found", `container ${id} has no cgroup`);
    const wanted = frozen ? 1 : 0;
    writeControl(join(group, "cgroup.freeze"), String(wanted));
    const end = Date.now() + freezeLimitMs;
    while (readTable(join(group, "cgroup.events")).frozen !== wanted) {
      if (Date.now() > end) {
        writeControl(join(group, "cgroup.freeze"), "0");
        throw new OnggiError(
          "unavailable",
          `container ${id} could not be ${frozen ? "frozen" : "thawed"} within 10 s`,
          {
            hint: "A process in it waits for a device or a network file system. Try again later.",
          },
        );
      }
      await setTimeout(2);
    }
  }

  #cpuStats(group: string): Partial<CgroupStats> {
    const stat = readTable(join(group, "cpu.stat"));
    return {
      cpuTotalNs: (stat.usage_usec ?? 0) * 1000,
      cpuUserNs: (stat.user_usec ?? 0) * 1000,
      cpuSystemNs: (stat.system_usec ?? 0) * 1000,
      periods: stat.nr_periods ?? 0,
      throttledPeriods: stat.nr_throttled ?? 0,
      throttledNs: (stat.throttled_usec ?? 0) * 1000,
    };
  }

  #memoryStats(group: string): Partial<CgroupStats> {
    const bytes = readNumber(join(group, "memory.current"));
    if (bytes === undefined) return {};
    return {
      memoryBytes: bytes,
      memoryPeakBytes: readNumber(join(group, "memory.peak")) ?? bytes,
      memoryLimitBytes: readNumber(join(group, "memory.max")) ?? Number.POSITIVE_INFINITY,
      memoryStat: readTable(join(group, "memory.stat")),
    };
  }

  #pidsStats(group: string): Partial<CgroupStats> {
    const pids = readNumber(join(group, "pids.current"));
    const limit = readNumber(join(group, "pids.max")) ?? 0;
    return pids === undefined ? {} : { pids, pidsLimit: Number.isFinite(limit) ? limit : 0 };
  }

  #ioStats(group: string): Partial<CgroupStats> {
    const text = readControl(join(group, "io.stat"));
    if (text === undefined) return {};
    const sum = (key: string) =>
      [...text.matchAll(new RegExp(`\\b${key}=(\\d+)`, "g"))].reduce((all, match) => all + Number(match[1]), 0);
    return { blockReadBytes: sum("rbytes"), blockWriteBytes: sum("wbytes") };
  }
}

/**
 * Makes the parent group with the wanted controllers enabled on the way down to it.
 *
 * @param base - the group under which the parent lies: the hierarchy's top, or this process's own where that is all it may use
 * @returns the controllers that containers in it can have
 */
export function makeParentV2(
  top: string,
  base: string,
  parent: string,
  wanted: readonly Controller[],
): ReadonlySet<Controller> {
  let directory = join(top, base);
  enable(directory, wanted);
  for (const name of parent.split("/").filter((part) => part !== "")) {
    directory = join(directory, name);
    mkdirSync(directory, { recursive: true, mode: 0o755 });
    enable(directory, wanted);
  }
  const enabled = (readControl(join(directory, "cgroup.subtree_control")) ?? "").split(" ");
  return new Set(wanted.filter((controller) => enabled.includes(controller)));
}

/** One by one: where one can't be, the others still are. */
function enable(directory: string, controllers: readonly Controller[]): void {
  const file = join(directory, "cgroup.subtree_control");
  const enabled = (readControl(file) ?? "").split(" ");
  for (const controller of controllers) {
    if (enabled.includes(controller)) continue;
    try {
      writeControl(file, `+${controller}`);
    } catch {
      // It is missing among the parent's `controllers` then, and `warnings` says so.
    }
  }
}

function openGroup(group: string): Op {
  return { op: "open", slot, path: group, flags: O_PATH };
}

function oomWatch(group: string): Op {
  return {
    op: "oomWatch",
    version: 2,
    path: join(group, "memory.events"),
    peakPath: join(group, "memory.peak"),
    usagePath: join(group, "memory.current"),
  };
}
