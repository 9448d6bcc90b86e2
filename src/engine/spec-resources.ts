import { defaultDeviceRules } from "../cgroup/devices.ts";
import type { Device, LinuxResources } from "../oci/runtime-spec.ts";
import type { Resources } from "./model.ts";

const cpuPeriodUs = 100_000;

/** A device of the host in the container, and what it may be used for (letters of `rwm`). */
export interface ContainerDevice extends Device {
  readonly permissions: string;
}

type DeviceRule = NonNullable<LinuxResources["devices"]>[number];

/** Limits of a container in the runtime-spec's words. */
export function specResources(
  wishes: Resources,
  { privileged, devices }: { readonly privileged: boolean; readonly devices: readonly ContainerDevice[] },
): LinuxResources {
  const { memoryBytes = 0, memorySwapBytes = 0, pidsLimit = 0, blkioWeight = 0 } = wishes;
  const quota = wishes.nanoCpus ? Math.round((wishes.nanoCpus * cpuPeriodUs) / 1e9) : wishes.cpuQuotaUs;
  const period = wishes.nanoCpus ? cpuPeriodUs : wishes.cpuPeriodUs;
  // As much swap as memory, unless it is said otherwise.
  const swap = memorySwapBytes !== 0 ? memorySwapBytes : memoryBytes > 0 ? 2 * memoryBytes : 0;
  const memory = defined({
    limit: memoryBytes,
    swap,
    reservation: wishes.memoryReservationBytes,
    disableOOMKiller: wishes.oomKillDisable,
  });
  const cpu = defined({
    shares: wishes.cpuShares,
    quota,
    period,
    cpus: wishes.cpusetCpus,
    mems: wishes.cpusetMems,
  });
  return {
    devices: privileged ? [{ allow: true, access: "rwm" }] : [...defaultDeviceRules, ...devices.map(deviceRule)],
    ...(Object.keys(memory).length === 0 ? {} : { memory }),
    ...(Object.keys(cpu).length === 0 ? {} : { cpu }),
    ...(pidsLimit > 0 ? { pids: { limit: pidsLimit } } : {}),
    ...(blkioWeight > 0 ? { blockIO: { weight: blkioWeight } } : {}),
  };
}

function deviceRule({ type, major, minor, permissions }: ContainerDevice): DeviceRule {
  return { allow: true, type: type === "b" ? "b" : "c", major, minor, access: permissions };
}

type Defined<T> = { [Key in keyof T]?: NonNullable<T[Key]> };

/** Without what is zero, empty, false or not there: Docker's words for "no limit". */
function defined<T extends object>(values: T): Defined<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => Boolean(value))) as Defined<T>;
}
