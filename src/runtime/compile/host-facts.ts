export type Architecture = "x86_64" | "aarch64";

/** What of the host decides how a container is made: read once, when the engine opens. */
export interface HostFacts {
  readonly architecture: Architecture;
  /** Major and minor version. */
  readonly kernel: readonly [major: number, minor: number];
  /** The last capability that this kernel knows: /proc/sys/kernel/cap_last_cap. */
  readonly lastCapability: number;
  /** What the engine's own processes may have (CapBnd): no container can have more. */
  readonly capabilities: bigint;
  readonly features: KernelFeatures;
  readonly cgroup: CgroupLayout;
  /** The engine's own, which a child would inherit. */
  readonly oomScoreAdj: number;
  readonly cpus: number;
  readonly memoryBytes: number;
  /** Paths to mask that depend on the machine: the thermal throttle counters of each processor. */
  readonly machinePaths: readonly string[];
}

export interface KernelFeatures {
  /** fsopen, fsmount, open_tree, move_mount: Linux 5.2. */
  readonly newMountApi: boolean;
  /** mount_setattr: Linux 5.12. */
  readonly mountSetattr: boolean;
  /** seccomp(2) is compiled in. */
  readonly seccomp: boolean;
}

export interface CgroupLayout {
  readonly version: "1" | "2" | "hybrid";
  /** v1 hierarchies as they are mounted; on a hybrid host `unified` is among them. Empty on pure v2. */
  readonly hierarchies: readonly CgroupHierarchy[];
}

export interface CgroupHierarchy {
  /** Name of its folder in /sys/fs/cgroup: `cpu,cpuacct`, `memory`, `systemd`, `unified`. */
  readonly name: string;
  readonly type: "cgroup" | "cgroup2";
  /** Option of the mount that picks it: `cpu,cpuacct`, `name=systemd`; "" for v2. */
  readonly option: string;
}
