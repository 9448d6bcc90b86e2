import { posix } from "node:path";
import { CLONE_NEWNET } from "./kernel.ts";
import type { Op, Program, Slot } from "./op.ts";

/** What the slots of a program stand for, by the steps that fill them: a script says the paths instead. */
export interface SlotTable {
  /** Files that are opened. */
  readonly paths: ReadonlyMap<Slot, string>;
  /** Detached mounts, with the steps that change them. */
  readonly trees: ReadonlyMap<Slot, DetachedTree>;
  /** Netlink sockets of the host's network namespace. */
  readonly hostSockets: ReadonlySet<Slot>;
}

export interface DetachedTree {
  readonly source: string;
  readonly recursive: boolean;
  readonly changes: readonly Extract<Op, { op: "mountAttributes" }>[];
}

export function slotsOf({ host, child }: Program): SlotTable {
  const paths = new Map<Slot, string>();
  const trees = new Map<Slot, DetachedTree>();
  const hostSockets = new Set<Slot>();
  let isHostNetwork = true;
  let directory = "/";
  for (const op of [...host, ...child]) {
    if (op.op === "open") paths.set(op.slot, op.path);
    else if (op.op === "chdir") directory = op.path;
    else if (op.op === "openTree") {
      const source = op.path.startsWith("/") ? op.path : posix.join(directory, op.path);
      trees.set(op.slot, { source, recursive: op.recursive, changes: [] });
    } else if (op.op === "unshare" && (op.flags & CLONE_NEWNET) !== 0) isHostNetwork = false;
    else if (op.op === "netlinkSocket" && isHostNetwork) hostSockets.add(op.slot);
    else if (op.op === "mountAttributes" && op.slot !== undefined) {
      const tree = trees.get(op.slot);
      if (tree !== undefined) trees.set(op.slot, { ...tree, changes: [...tree.changes, op] });
    }
  }
  return { paths, trees, hostSockets };
}
