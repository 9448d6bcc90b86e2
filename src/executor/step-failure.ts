import { OnggiError } from "../base/error.ts";
import type { Op } from "../program/op.ts";

/** A step that the kernel refused: which, as a command, and why. Made by `stepFailure` in the executor. */
export class StepFailure extends OnggiError {
  readonly part: "host" | "child" | "teardown" | "batch";
  readonly index: number;
  /** `undefined` where only the index is known: a teardown told by a monitor that another engine started. */
  readonly op: Op | undefined;
  /** Errno name such as `ENOSPC`. */
  readonly errno: string;

  constructor(failure: Pick<StepFailure, "part" | "index" | "op" | "errno">, message: string, hint?: string) {
    super(failure.op?.op === "exec" ? execCode(failure.errno) : "step_failed", message, { hint });
    this.part = failure.part;
    this.index = failure.index;
    this.op = failure.op;
    this.errno = failure.errno;
  }
}

function execCode(errno: string): "command_not_found" | "command_not_executable" {
  return errno === "ENOENT" ? "command_not_found" : "command_not_executable";
}
