import type { Spec } from "../../oci/runtime-spec.ts";
import { MNT_DETACH } from "../../program/kernel.ts";
import type { Op } from "../../program/op.ts";

/** Makes the rootfs `/` and lets go of the host's, in one directory: pivot_root(2), NOTES. */
export function* pivotRoot({ root }: Spec): Iterable<Op> {
  yield { op: "chdir", path: root.path };
  yield { op: "pivotRoot", newRoot: ".", putOld: "." };
  yield { op: "umount", target: ".", flags: MNT_DETACH };
  yield { op: "chdir", path: "/" };
}
