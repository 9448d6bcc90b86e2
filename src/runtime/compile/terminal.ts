import type { Process, Spec } from "../../oci/runtime-spec.ts";
import { MS_BIND } from "../../program/kernel.ts";
import type { Op } from "../../program/op.ts";

const multiplexer = "/dev/pts/ptmx";
/** Each devpts counts for itself, and the container's is new: its first terminal is number 0. */
const firstTerminal = "/dev/pts/0";

/** The terminal of the container's first process, which is its console too. */
export function* terminal({ process }: Spec): Iterable<Op> {
  if (process.terminal !== true) return;
  yield { op: "openTerminal", path: multiplexer };
  yield {
    op: "mount",
    source: firstTerminal,
    target: "/dev/console",
    type: "",
    flags: MS_BIND,
    data: "",
    create: "file",
  };
}

/** The terminal of a further process. */
export function* execTerminal(process: Process): Iterable<Op> {
  if (process.terminal === true) yield { op: "openTerminal", path: multiplexer };
}
