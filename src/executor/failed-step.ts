import { OnggiError } from "../base/error.ts";
import { hintFor } from "../program/hint.ts";
import type { Op } from "../program/op.ts";
import { errnoName, errnoSentence } from "./errno.ts";
import { StepFailure } from "./step-failure.ts";

/** Says an op as a command, for messages. */
export type Describe = (op: Op) => string;

/** Makes the error that tells of a step the kernel refused. */
export function stepFailure(
  part: StepFailure["part"],
  { ops, index, errno }: { readonly ops: readonly Op[]; readonly index: number; readonly errno: number },
  describe: Describe,
): StepFailure | OnggiError {
  const op = ops[index];
  if (op === undefined || errno === notUnderstood) {
    return new OnggiError(
      "internal",
      `the executor doesn't understand step ${index} of the ${part} part (${op?.op ?? "none"})`,
      {
        hint: "build/onggi-exec may be of another version: build it again.",
      },
    );
  }
  const name = errnoName(errno);
  const what = op.op === "exec" ? `exec: ${JSON.stringify(op.file)}` : `step failed: ${describe(op)}`;
  return new StepFailure(
    { part, index, op, errno: name },
    `${what}: ${errnoSentence(errno)} (${name})`,
    hintFor(op, name),
  );
}

/** EBADMSG: the decoder's, before anything was done. */
const notUnderstood = 74;
