import type { Mount } from "../../program/mount.ts";
import type { Op, Slot, Steps } from "../../program/op.ts";

/** What the engine has of the other parts for one container. */
export interface Parts {
  /** The snapshotter's mounts, all made at `spec.root.path`. Empty: what lies at that path already is the root. */
  readonly rootfs: readonly Mount[];
  readonly cgroup: CgroupPart;
  /** Steps that make and configure the network namespace; without them an empty one is made where the spec asks for one. */
  readonly network?: Steps | undefined;
  /** Stdio, log, listen, record: what the monitor keeps. */
  readonly monitor: readonly Op[];
  /** A tiny init becomes PID 1. */
  readonly init?: boolean;
}

/** A container's cgroups. `src/cgroup` makes it. */
export interface CgroupPart extends Steps {
  /** For the clone, on v2. */
  readonly intoCgroup?: Slot;
  readonly oomWatch?: Op;
}

/** What the engine has for an exec into a running container. */
export interface ExecParts {
  readonly target: { readonly pid: number; readonly startTime: bigint };
  readonly join: { readonly host: readonly Op[]; readonly child: readonly Op[]; readonly intoCgroup?: Slot };
  readonly monitor: readonly Op[];
}
