import { OnggiError } from "../base/error.ts";
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

const hints: Readonly<Record<string, string>> = {
  EPERM: "Onggi needs root with all capabilities here; inside another container, run that one privileged.",
  EACCES: "Look at the modes of the path and its folders, and at security modules (AppArmor, SELinux).",
  ENOSPC: "Free space or inodes on that file system.",
  EDQUOT: "Free space or inodes within the quota, or raise it.",
  EROFS: "The file system is mounted read-only.",
  EMFILE: "Raise the limit of open files (ulimit -n).",
  ENFILE: "Raise the kernel's limit of open files: sysctl fs.file-max.",
  EAGAIN: "A limit of processes is reached: look at ulimit -u, kernel.pid_max and the cgroup's pids.max.",
  ENOMEM: "The kernel has no memory for it, or the process to join has ended.",
  ENOSYS: "This kernel is too old for the step.",
  EOPNOTSUPP: "The file system or the kernel can't do that.",
  ENODEV: "The kernel lacks this file system or device: a module may not be loaded.",
};

function hintFor(op: Op, errno: string): string | undefined {
  if (op.op !== "exec") return hints[errno];
  if (errno === "ENOENT") return "The program isn't in the image, or the interpreter in its first line isn't.";
  if (errno === "EACCES") return "It isn't executable, or it is a directory.";
  if (errno === "ENOEXEC") return "It is made for another architecture, or a script without #! in its first line.";
  return undefined;
}
