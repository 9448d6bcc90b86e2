import { diskError } from "../base/atomic-file.ts";
import { type ErrorCode, isOnggiError, messageOf } from "../base/error.ts";
import type { ErrorBody } from "./wire.ts";

const statuses: Record<ErrorCode, number> = {
  invalid: 400,
  not_found: 404,
  conflict: 409,
  in_use: 409,
  unsupported: 501,
  exhausted: 500,
  denied: 403,
  unavailable: 503,
  corrupt: 500,
  step_failed: 500,
  command_not_found: 400,
  command_not_executable: 400,
  internal: 500,
};

/** The status and the body that tell of what was thrown. */
export function errorAnswer(cause: unknown): { readonly status: number; readonly body: ErrorBody } {
  const error = told(cause);
  if (!isOnggiError(error)) return { status: 500, body: { message: messageOf(error), code: "internal" } };
  const { code, hint } = error;
  const sentence = sentenceOf(error);
  return {
    status: statuses[code],
    body: hint === undefined ? { message: sentence, code } : { message: `${sentence}\n${hint}`, code, sentence, hint },
  };
}

/** True for what nobody foresaw: to be logged, for it is a defect of ours. */
export function isDefect(cause: unknown): boolean {
  const error = told(cause);
  return !isOnggiError(error) || error.code === "internal";
}

/** A full disk may show anywhere. */
function told(error: unknown): unknown {
  const path = error instanceof Error && "path" in error ? String(error.path) : "a file of the engine's";
  return diskError(error, path);
}

/**
 * The message, so worded that Docker's clients draw the right exit status from it.
 *
 * `docker run` ends with 127 when it finds "executable file not found" or "no such file or directory" in the error, with 126 when it finds
 * "permission denied" or "is a directory", and with 125 otherwise.
 * @see https://github.com/docker/cli/blob/v28.2.2/cli/command/container/run.go
 */
export function sentenceOf(error: unknown): string {
  const message = messageOf(error);
  if (
    isOnggiError(error, "command_not_found") &&
    !/executable file not found|no such file or directory/.test(message)
  ) {
    return `${message}: executable file not found in $PATH`;
  }
  if (isOnggiError(error, "command_not_executable") && !/permission denied|is a directory/.test(message)) {
    return `${message}: not a program for this machine, or permission denied`;
  }
  return message;
}
