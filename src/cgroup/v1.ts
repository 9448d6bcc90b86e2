import { existsSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { OnggiError } from "../base/error.ts";
import type { LinuxResources } from "../oci/runtime-spec.ts";
import { O_WRONLY } from "../program/kernel.ts";
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
import { type DeviceRule, deviceChoice, deviceWrites } from "./devices.ts";
import { freezeV1, thawV1 } from "./freezer-v1.ts";
import type { Hierarchy, HierarchySteps, JoinSteps } from "./hierarchy.ts";
import type { CgroupLayout, Controller } from "./layout.ts";
import { type V1Features, v1Settings } from "./v1-settings.ts";

/** In each of these a container always has a group: their counters are what `stats` shows. */
const always: readonly Controller[] = ["cpu", "cpuacct", "memory", "pids"];
/** Groups of the devices hierarchy that containers share. */
const shared = { usual: "default", all: "all" } as const;

/**
 * The v1 hierarchies: `<controller>/<parent>/<id>`.
 *
 * A process joins by writing `0` to `tasks` itself while it has one thread: 64 µs, where `cgroup.procs` waits for the kernel's
 * global lock for 11 to 16 ms. Devices rules are the same for nearly all containers, so one group made beforehand serves
 * these; a freezer group is made only when something is paused.
 */
export class HierarchyV1 implements Hierarchy {
  readonly controllers: ReadonlySet<Controller>;
  readonly freezes: boolean;
  readonly #parent: string;
  readonly #layout: CgroupLayout["v1"];
  /** The parent group of each hierarchy. Paths are put together by hand on the hot path: `join` is slow. */
  readonly #parents: ReadonlyMap<Controller, string>;
  readonly #usualDevices: readonly DeviceRule[];
  readonly #features: V1Features;

  constructor(layout: CgroupLayout["v1"], parent: string, usualDevices: readonly DeviceRule[]) {
    this.#layout = layout;
    this.#parent = parent;
    this.#parents = new Map([...layout].map(([controller, { directory }]) => [controller, join(directory, parent)]));
    this.#usualDevices = usualDevices;
    this.controllers = new Set(layout.keys());
    this.freezes = layout.has("freezer");
    this.#makeParents();
    this.#features = this.#readFeatures();
  }

  steps(id: string, resources: LinuxResources): HierarchySteps {
    if (!existsSync(this.#at("memory") ?? this.#directories(always)[0] ?? "/")) this.#makeParents();
    const settings = [...v1Settings(resources, this.#features)];
    const controllers = [...always, ...settings.map((setting) => setting.controller)];
    const groups = this.#directories(controllers).map((directory) => `${directory}/${id}`);
    const devices = this.#deviceSteps(id, resources.devices);
    const memory = this.#at("memory", id);
    return {
      host: [
        ...groups.map((path): Op => ({ op: "mkdir", path, mode: 0o755 })),
        ...settings.map(
          ({ controller, file, value }): Op => ({
            op: "writeControl",
            path: this.#file(controller, id, file),
            data: value,
          }),
        ),
        ...devices.make,
        ...this.#openTasks([...groups, ...devices.join]),
      ],
      child: this.#join([...groups, ...devices.join]),
      teardown: [
        ...groups.slice(0, 1).map((path): Op => ({ op: "killCgroup", path, ignore: ["ENOENT"] })),
        ...this.#removals(id, [...groups, ...devices.own]),
      ],
      ...(memory === undefined ? {} : { oomWatch: oomWatch(memory), memoryPath: this.#kernelPath("memory", id) }),
    };
  }

  joinSteps(id: string): JoinSteps {
    const groups = this.#existing(id).filter((group) => group !== this.#at("freezer", id));
    const own = this.#at("devices", id);
    const usual = this.#at("devices", shared.usual);
    // Which of the shared groups PID 1 is in can be read there; all other hierarchies have a group of the container's own.
    if (own !== undefined && usual !== undefined && !groups.includes(own))
      groups.push(this.#sharedDevicesOf(id) ?? usual);
    return { host: this.#openTasks(groups), child: this.#join(groups) };
  }

  stats(id: string): Partial<CgroupStats> {
    return { ...this.#cpuStats(id), ...this.#memoryStats(id), ...this.#pidsStats(id), ...this.#ioStats(id) };
  }

  async freeze(id: string, pids: () => readonly number[]): Promise<void> {
    const group = this.#at("freezer", id);
    if (group === undefined)
      throw new OnggiError("unsupported", "pausing needs the freezer controller, which this host lacks");
    mkdirSync(dirname(group), { recursive: true });
    await freezeV1(group, pids);
  }

  async thaw(id: string): Promise<void> {
    const group = this.#at("freezer", id);
    if (group !== undefined) await thawV1(group);
  }

  pids(id: string): readonly number[] {
    const group = this.#directories(always)[0];
    return group === undefined ? [] : readPids(join(group, id));
  }

  killSteps(id: string): readonly Op[] {
    const groups = this.#existing(id).flatMap(groupsBelow);
    const frozen = this.#at("freezer", id);
    return [
      // A frozen process ends only after it thawed.
      ...(frozen === undefined
        ? []
        : [{ op: "writeControl", path: join(frozen, "freezer.state"), data: "THAWED", ignore: ["ENOENT"] } as const]),
      ...groups.map((path): Op => ({ op: "killCgroup", path, ignore: ["ENOENT"] })),
      ...groups.map((path): Op => ({ op: "remove", path, ignore: ["ENOENT"] })),
    ];
  }

  list(): readonly string[] {
    const names = this.#directories([...this.controllers]).flatMap(childGroups);
    return [...new Set(names)].filter((name) => name !== shared.usual && name !== shared.all);
  }

  warnings(): readonly string[] {
    const missing: string[] = [];
    if (this.#at("memory") !== undefined && !this.#features.swapAccounting) {
      missing.push("No swap limit support: --memory-swap has no effect (kernel command line: swapaccount=1)");
    }
    if (this.#at("io") !== undefined && this.#features.blockWeight === undefined)
      missing.push("No blkio weight support");
    const cpu = this.#at("cpu");
    if (cpu !== undefined && !existsSync(join(cpu, "cpu.cfs_quota_us"))) missing.push("No cpu cfs quota support");
    return missing;
  }

  close(): void {
    const devices = this.#at("devices");
    if (devices !== undefined) for (const name of Object.values(shared)) removeIfUnused(join(devices, name));
    for (const directory of this.#directories([...this.controllers])) removeIfUnused(directory);
  }

  #at(controller: Controller, id?: string): string | undefined {
    const parent = this.#parents.get(controller);
    return parent === undefined || id === undefined ? parent : `${parent}/${id}`;
  }

  #file(controller: Controller, id: string, file: string): string {
    return `${this.#at(controller, id)}/${file}`;
  }

  #kernelPath(controller: Controller, id: string): string {
    return join(this.#layout.get(controller)?.root ?? "/", this.#parent, id);
  }

  /** Controllers mounted together share a directory. */
  #directories(controllers: readonly Controller[]): readonly string[] {
    return [...new Set(controllers.flatMap((controller) => this.#at(controller) ?? []))];
  }

  #existing(id: string): string[] {
    return this.#directories([...this.controllers])
      .map((directory) => `${directory}/${id}`)
      .filter((group) => existsSync(group));
  }

  #openTasks(groups: readonly string[]): readonly Op[] {
    return groups.map((group, index) => ({
      op: "open",
      slot: `cgroup${index}`,
      path: `${group}/tasks`,
      flags: O_WRONLY,
    }));
  }

  #join(groups: readonly string[]): readonly Op[] {
    return groups.map((_, index) => ({ op: "writeSlot", slot: `cgroup${index}`, data: "0" }));
  }

  #removals(id: string, groups: readonly string[]): readonly Op[] {
    const frozen = this.#at("freezer", id);
    const all = frozen === undefined || groups.includes(frozen) ? groups : [...groups, frozen];
    return all.map((path) => ({ op: "remove", path, ignore: ["ENOENT"] }));
  }

  #deviceSteps(
    id: string,
    rules: readonly DeviceRule[] | undefined,
  ): Record<"make", readonly Op[]> & Record<"join" | "own", readonly string[]> {
    const none = { make: [], join: [], own: [] };
    const parent = this.#at("devices");
    const choice = deviceChoice(rules, this.#usualDevices);
    if (parent === undefined || choice === "inherit") return none;
    if (choice !== "own") return { ...none, join: [join(parent, shared[choice])] };
    const path = join(parent, id);
    const writes = deviceWrites(rules ?? []).map(
      ({ file, value }): Op => ({ op: "writeControl", path: join(path, file), data: value }),
    );
    return { make: [{ op: "mkdir", path, mode: 0o755 }, ...writes], join: [path], own: [path] };
  }

  #sharedDevicesOf(id: string): string | undefined {
    const parent = this.#at("devices");
    const group = this.#directories(always)[0];
    const pid = group === undefined ? undefined : readControl(join(group, id, "cgroup.procs"))?.split("\n")[0];
    if (parent === undefined || pid === undefined) return undefined;
    const path = /^\d+:(?:[^:]*,)?devices(?:,[^:]*)?:(.*)$/m.exec(readControl(`/proc/${pid}/cgroup`) ?? "")?.[1];
    const name = Object.values(shared).find((each) => path?.endsWith(join(this.#parent, each)));
    return name === undefined ? undefined : join(parent, name);
  }

  #makeParents(): void {
    for (const directory of this.#directories([...this.controllers]))
      mkdirSync(directory, { recursive: true, mode: 0o755 });
    this.#fillCpuset();
    const devices = this.#at("devices");
    if (devices === undefined) return;
    mkdirSync(join(devices, shared.all), { recursive: true });
    const usual = join(devices, shared.usual);
    // Written whole each time nobody is in it: a list that changed with a new version takes effect.
    mkdirSync(usual, { recursive: true });
    if (readControl(join(usual, "tasks")) !== "") return;
    for (const { file, value } of deviceWrites(this.#usualDevices)) writeControl(join(usual, file), value);
  }

  /** A new cpuset has neither CPUs nor memory nodes; each level above the container's must have them first. */
  #fillCpuset(): void {
    const top = this.#layout.get("cpuset")?.directory;
    if (top === undefined) return;
    let directory = top;
    for (const name of this.#parent.split("/").filter((part) => part !== "")) {
      const above = directory;
      directory = join(directory, name);
      for (const file of ["cpuset.cpus", "cpuset.mems"]) {
        if (readControl(join(directory, file)) === "")
          writeControl(join(directory, file), readControl(join(above, file)) ?? "");
      }
    }
  }

  #readFeatures(): V1Features {
    const has = (controller: Controller, file: string) => existsSync(join(this.#at(controller) ?? "/nowhere", file));
    const cpuset = this.#at("cpuset") ?? "/nowhere";
    return {
      swapAccounting: has("memory", "memory.memsw.limit_in_bytes"),
      blockWeight: has("io", "blkio.weight")
        ? "blkio.weight"
        : has("io", "blkio.bfq.weight")
          ? "blkio.bfq.weight"
          : undefined,
      cpus: readControl(join(cpuset, "cpuset.cpus")) ?? "",
      mems: readControl(join(cpuset, "cpuset.mems")) ?? "",
    };
  }

  #cpuStats(id: string): Partial<CgroupStats> {
    const account = this.#at("cpuacct", id);
    const cpu = this.#at("cpu", id);
    const total = account === undefined ? undefined : readNumber(join(account, "cpuacct.usage"));
    if (account === undefined || total === undefined) return {};
    const {
      nr_periods = 0,
      nr_throttled = 0,
      throttled_time = 0,
    } = cpu === undefined ? {} : readTable(join(cpu, "cpu.stat"));
    return {
      cpuTotalNs: total,
      cpuUserNs: readNumber(join(account, "cpuacct.usage_user")) ?? 0,
      cpuSystemNs: readNumber(join(account, "cpuacct.usage_sys")) ?? 0,
      periods: nr_periods,
      throttledPeriods: nr_throttled,
      throttledNs: throttled_time,
    };
  }

  #memoryStats(id: string): Partial<CgroupStats> {
    const memory = this.#at("memory", id);
    const bytes = memory === undefined ? undefined : readNumber(join(memory, "memory.usage_in_bytes"));
    if (memory === undefined || bytes === undefined) return {};
    return {
      memoryBytes: bytes,
      memoryPeakBytes: readNumber(join(memory, "memory.max_usage_in_bytes")) ?? bytes,
      memoryLimitBytes: readNumber(join(memory, "memory.limit_in_bytes")) ?? Number.POSITIVE_INFINITY,
      memoryStat: readTable(join(memory, "memory.stat")),
    };
  }

  #pidsStats(id: string): Partial<CgroupStats> {
    const directory = this.#at("pids", id);
    const pids = directory === undefined ? undefined : readNumber(join(directory, "pids.current"));
    if (directory === undefined || pids === undefined) return {};
    const limit = readNumber(join(directory, "pids.max")) ?? 0;
    return { pids, pidsLimit: Number.isFinite(limit) ? limit : 0 };
  }

  /** Counted only where a block I/O limit made a group. */
  #ioStats(id: string): Partial<CgroupStats> {
    const directory = this.#at("io", id);
    const text = directory === undefined ? undefined : readControl(join(directory, "blkio.throttle.io_service_bytes"));
    if (text === undefined) return {};
    const sum = (kind: string) =>
      [...text.matchAll(new RegExp(` ${kind} (\\d+)$`, "gm"))].reduce((all, match) => all + Number(match[1]), 0);
    return { blockReadBytes: sum("Read"), blockWriteBytes: sum("Write") };
  }
}

function oomWatch(memory: string): Op {
  return {
    op: "oomWatch",
    version: 1,
    path: join(memory, "memory.oom_control"),
    peakPath: join(memory, "memory.max_usage_in_bytes"),
    usagePath: join(memory, "memory.usage_in_bytes"),
  };
}
