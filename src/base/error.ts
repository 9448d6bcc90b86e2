/** What went wrong, as a word that callers branch on; each door (HTTP, CLI) translates these in one table. */
export type ErrorCode =
  /** The request can't be understood or contradicts itself. */
  | "invalid"
  /** The thing that was named doesn't exist. */
  | "not_found"
  /** The name or id is taken, or the thing's state forbids it (stop a paused one, remove a running one). */
  | "conflict"
  /** Something else stands on it: an image with containers, a snapshot with children. */
  | "in_use"
  /** The host, the kernel or this version can't do that. */
  | "unsupported"
  /** A resource has run out: disk, addresses, ports, memory. */
  | "exhausted"
  /** The caller lacks a right: root, a capability, a registry's login. */
  | "denied"
  /** A peer (registry, daemon, executor) is not there or broke off. */
  | "unavailable"
  /** Stored or received data isn't what its digest or format says. */
  | "corrupt"
  /** A step of a program failed in the kernel. */
  | "step_failed"
  /** The program to run inside isn't there: exit status 127. */
  | "command_not_found"
  /** The program to run inside can't be executed: exit status 126. */
  | "command_not_executable"
  /** A defect of Onggi itself. */
  | "internal";

/** A failure that a user is told of: what, why, and what to do. */
export class OnggiError extends Error {
  override readonly name = "OnggiError";
  readonly code: ErrorCode;
  /** A whole sentence with the remedy. */
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, options: { hint?: string | undefined; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
  }
}

/** True for an OnggiError, of one code where one is named. */
export function isOnggiError(error: unknown, code?: ErrorCode): error is OnggiError {
  return error instanceof OnggiError && (code === undefined || error.code === code);
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
