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

/**
 * Lets a process that isn't root open /dev/stdout and its like anew: its pipes and terminal were made by root.
 *
 * Nobody else gains by it: the way to them leads through /proc/PID/fd of the process.
 */
export function* stdioPermissions({ user, terminal }: Process, monitor: readonly Op[]): Iterable<Op> {
  if (user.uid === 0) return;
  const stdin = monitor.some((op) => op.op === "stdio" && op.stdin);
  const descriptors = terminal === true ? [0] : stdin ? [0, 1, 2] : [1, 2];
  for (const descriptor of descriptors) yield { op: "chmod", path: `/proc/self/fd/${descriptor}`, mode: 0o666 };
}
