import type { LinuxResources } from "../oci/runtime-spec.ts";
import type { Op, Slot } from "../program/op.ts";
import type { CgroupStats } from "./cgroups.ts";
import type { Controller } from "./layout.ts";

/** The v1 hierarchies, or the one of v2: the share that it has of each container. `openCgroups` joins them. */
export interface Hierarchy {
  readonly controllers: ReadonlySet<Controller>;
  /** Limits asked for were checked before: each has its controller in one of the hierarchies. */
  steps(id: string, resources: LinuxResources): HierarchySteps;
  joinSteps(id: string): JoinSteps;
  stats(id: string): Partial<CgroupStats>;
  /** False where it can't freeze. */
  readonly freezes: boolean;
  freeze(id: string, pids: () => readonly number[]): Promise<void>;
  thaw(id: string): Promise<void>;
  pids(id: string): readonly number[];
  killSteps(id: string): readonly Op[];
  list(): readonly string[];
  warnings(): readonly string[];
  close(): void;
}

export interface JoinSteps {
  readonly host: readonly Op[];
  readonly child: readonly Op[];
  readonly intoCgroup?: Slot;
}

export interface HierarchySteps extends JoinSteps {
  readonly teardown: readonly Op[];
  readonly oomWatch?: Op;
  readonly memoryPath?: string;
}

/** One value to write to one control file. */
export interface Setting {
  readonly controller: Controller;
  readonly file: string;
  readonly value: string;
}
