import { accessSync, constants, mkdirSync } from "node:fs";
import { totalmem } from "node:os";
import { join } from "node:path";
import { messageOf, OnggiError } from "../base/error.ts";
import type { LinuxResources } from "../oci/runtime-spec.ts";
import type { CgroupStats, CgroupSteps, Cgroups } from "./cgroups.ts";
import { childGroups, readControl, readPids, writeControl } from "./control-file.ts";
import { type DeviceRule, defaultDeviceRules } from "./devices.ts";
import type { Hierarchy } from "./hierarchy.ts";
import { type CgroupLayout, type Controller, readLayout } from "./layout.ts";
import { checkLimits, type Online } from "./limits.ts";
import { HierarchyV1 } from "./v1.ts";
import { HierarchyV2, makeParentV2 } from "./v2.ts";

export interface OpenCgroupsOptions {
  /** The group that all containers lie in; nothing outside it is touched. Each engine has its own. Default: `/onggi`. */
  readonly parent?: string;
  /** The rules that nearly all containers have: these share one group. Default: {@link defaultDeviceRules}. */
  readonly usualDevices?: readonly DeviceRule[];
  /** For tests. */
  readonly layout?: CgroupLayout;
}

/**
 * Opens this host's cgroups, v1, v2 or both, and makes the parent group.
 *
 * @throws OnggiError `unsupported` when no hierarchy is mounted, `denied` when the group can't be made
 */
export function openCgroups({
  parent = "/onggi",
  usualDevices = defaultDeviceRules,
  layout = readLayout(),
}: OpenCgroupsOptions = {}): Cgroups {
  if (layout.v1.size === 0 && layout.v2 === undefined) {
    throw new OnggiError("unsupported", "no cgroup file system is mounted", {
      hint: "mount -t cgroup2 cgroup2 /sys/fs/cgroup",
    });
  }
  try {
    return combine(layout.version, hierarchiesOf(layout, parent, usualDevices));
  } catch (cause) {
    if (cause instanceof OnggiError) throw cause;
    throw new OnggiError("denied", `the cgroup ${parent} can't be made: ${messageOf(cause)}`, {
      hint: "Run as root on the host, or in a container with cgroups that it may write (--privileged).",
      cause,
    });
  }
}

function hierarchiesOf(
  layout: CgroupLayout,
  parent: string,
  usualDevices: readonly DeviceRule[],
): readonly Hierarchy[] {
  const hierarchies: Hierarchy[] = [];
  if (layout.v1.size > 0) hierarchies.push(new HierarchyV1(layout.v1, parent, usualDevices));
  // On a hybrid host v2 usually is there for systemd alone; a controller is in one hierarchy only.
  const wanted = layout.v2?.controllers.filter((controller) => !layout.v1.has(controller)) ?? [];
  if (layout.v2 !== undefined && (layout.version === "2" || wanted.length > 0)) {
    const base = baseOf(layout.v2);
    const controllers = makeParentV2(layout.v2.directory, base, parent, wanted);
    hierarchies.push(
      new HierarchyV2(join(layout.v2.directory, base, parent), join(layout.v2.root, base, parent), controllers),
    );
  }
  return hierarchies;
}

/**
 * The top where it may be written: then the group stands beside systemd's slices. Else this process's own group, which systemd
 * (`Delegate=yes`) or a container engine gave away: its processes move to a group below, since v2 has no controllers for the
 * children of a group that has processes itself.
 */
function baseOf(v2: NonNullable<CgroupLayout["v2"]>): string {
  const base = isWritable(v2.directory) ? "/" : v2.own.replace(/\/onggi\.engine$/, "") || "/";
  const directory = join(v2.directory, base);
  const isRealTop = base === "/" && v2.root === "/" && v2.own !== "/";
  if (isRealTop || childGroups(directory).includes("onggi.engine")) return base;
  const processes = base === v2.own ? readPids(directory) : [];
  if (!processes.includes(process.pid) || isTopOfKernel(directory)) return base;
  const below = join(directory, "onggi.engine");
  mkdirSync(below, { recursive: true });
  for (const pid of processes) writeControl(join(below, "cgroup.procs"), String(pid));
  return base;
}

/** The kernel's own top has no `cgroup.type`, and is the one group that may have both processes and controllers. */
function isTopOfKernel(directory: string): boolean {
  try {
    accessSync(join(directory, "cgroup.type"));
    return false;
  } catch {
    return true;
  }
}

function isWritable(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function combine(version: Cgroups["version"], hierarchies: readonly Hierarchy[]): Cgroups {
  const controllers = new Set<Controller>(hierarchies.flatMap((hierarchy) => [...hierarchy.controllers]));
  const freezer = hierarchies.find((hierarchy) => hierarchy.freezes);
  const pids = (id: string) => [...new Set(hierarchies.flatMap((hierarchy) => hierarchy.pids(id)))];
  return {
    version,

    steps(id: string, resources: LinuxResources): CgroupSteps {
      checkLimits(resources, controllers, online);
      const all = hierarchies.map((hierarchy) => hierarchy.steps(id, resources));
      const oomWatch = all.find((steps) => steps.oomWatch)?.oomWatch;
      const intoCgroup = all.find((steps) => steps.intoCgroup)?.intoCgroup;
      return {
        host: all.flatMap((steps) => steps.host),
        child: all.flatMap((steps) => steps.child),
        teardown: all.flatMap((steps) => steps.teardown),
        memoryPath: all.find((steps) => steps.memoryPath)?.memoryPath ?? "",
        ...(oomWatch === undefined ? {} : { oomWatch }),
        ...(intoCgroup === undefined ? {} : { intoCgroup }),
      };
    },

    joinSteps(id) {
      const all = hierarchies.map((hierarchy) => hierarchy.joinSteps(id));
      const intoCgroup = all.find((steps) => steps.intoCgroup)?.intoCgroup;
      return {
        host: all.flatMap((steps) => steps.host),
        child: all.flatMap((steps) => steps.child),
        ...(intoCgroup === undefined ? {} : { intoCgroup }),
      };
    },

    stats(id) {
      const parts = hierarchies.map((hierarchy) => hierarchy.stats(id));
      if (parts.every((part) => Object.keys(part).length === 0))
        throw new OnggiError("not_found", `container ${id} has no cgroup`);
      return completed(Object.assign({}, ...parts));
    },

    async freeze(id) {
      if (freezer === undefined)
        throw new OnggiError("unsupported", "pausing needs the freezer controller, which this host lacks");
      await freezer.freeze(id, () => pids(id));
    },

    async thaw(id) {
      await freezer?.thaw(id);
    },

    pids,
    killSteps: (id) => hierarchies.flatMap((hierarchy) => hierarchy.killSteps(id)),
    list: () => [...new Set(hierarchies.flatMap((hierarchy) => hierarchy.list()))],
    warnings: () => hierarchies.flatMap((hierarchy) => hierarchy.warnings()),
    close() {
      for (const hierarchy of hierarchies) hierarchy.close();
    },
  };
}

const nothing: CgroupStats = {
  cpuTotalNs: 0,
  cpuUserNs: 0,
  cpuSystemNs: 0,
  periods: 0,
  throttledPeriods: 0,
  throttledNs: 0,
  memoryBytes: 0,
  memoryPeakBytes: 0,
  memoryLimitBytes: Number.POSITIVE_INFINITY,
  memoryStat: {},
  pids: 0,
  pidsLimit: 0,
  blockReadBytes: 0,
  blockWriteBytes: 0,
};

function completed(part: Partial<CgroupStats>): CgroupStats {
  const stats = { ...nothing, ...part };
  return { ...stats, memoryLimitBytes: Math.min(stats.memoryLimitBytes, hostMemoryBytes) };
}

const hostMemoryBytes = totalmem();

/** Read when a limit asks for it: CPUs come and go. */
const online: Online = {
  get cpus() {
    return readControl("/sys/devices/system/cpu/online") ?? "0";
  },
  get mems() {
    return readControl("/sys/devices/system/node/online") ?? "0";
  },
};
