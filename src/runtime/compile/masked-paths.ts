import type { Spec } from "../../oci/runtime-spec.ts";
import type { Op } from "../../program/op.ts";

/** Hides the kernel's files that no container may see, and guards those that none may change. */
export function* hideKernelPaths({ linux }: Spec): Iterable<Op> {
  for (const path of linux.maskedPaths ?? []) yield { op: "mask", path };
  for (const path of linux.readonlyPaths ?? []) yield { op: "readonlyPath", path };
}
