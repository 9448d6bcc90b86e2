import { OnggiError } from "../../base/error.ts";
import type { Process } from "../../oci/runtime-spec.ts";
import { RLIM_INFINITY, rlimitNumbers } from "../../program/kernel.ts";
import type { Op } from "../../program/op.ts";

/** Sets limits while the process still may raise them. Nothing is tolerated: all of them were asked for. */
export function* rlimits({ rlimits = [] }: Process): Iterable<Op> {
  for (const { type, soft, hard } of rlimits) {
    const resource = rlimitNumbers[type.replace(/^RLIMIT_/, "").toLowerCase()];
    if (resource === undefined) throw new OnggiError("invalid", `invalid ulimit type: ${type}`);
    yield { op: "setRlimit", resource, soft: toLimit(soft), hard: toLimit(hard) };
  }
}

/** Negative is unlimited, and so is what a JSON number can't tell from it. */
function toLimit(value: number): bigint {
  return value < 0 || value >= 2 ** 63 ? RLIM_INFINITY : BigInt(value);
}
