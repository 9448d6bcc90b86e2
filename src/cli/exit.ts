import { isOnggiError, messageOf } from "../base/error.ts";
import { DaemonError, errorCode } from "./client.ts";

const brokenConnection = new Set(["ECONNRESET", "EPIPE", "ERR_STREAM_PREMATURE_CLOSE"]);

/** Ends the command with a status and, where there is one, a line on stderr that is shown as it is. */
export class Exit extends Error {
  override readonly name = "Exit";
  readonly status: number;

  constructor(status: number, message = "") {
    super(message);
    this.status = status;
  }
}

/** What a user reads of an error: what, why, and in a second line the remedy. */
export function explainError(error: unknown): string {
  if (error instanceof DaemonError) return withHint(`Error response from daemon: ${error.message}`, error.hint);
  if (isOnggiError(error)) return withHint(error.message, error.hint);
  if (error instanceof Exit) return error.message;
  if (brokenConnection.has(errorCode(error) ?? "")) {
    return "the daemon broke off the connection\nContainers go on without it; its log tells why it went.";
  }
  return withHint(messageOf(error), "This should not happen. With -D before the command the place of it is shown.");
}

/**
 * Docker's exit status for a program that couldn't be started: 127 when it isn't there, 126 when it can't be executed.
 *
 * Undefined for any other failure.
 */
export function startFailureStatus(error: unknown): 126 | 127 | undefined {
  if (!(error instanceof DaemonError)) return undefined;
  if (/executable file not found|no such file or directory|command not found/i.test(error.message)) return 127;
  if (/permission denied|is a directory|not executable|exec format error/i.test(error.message)) return 126;
  return undefined;
}

function withHint(message: string, hint: string | undefined): string {
  return hint === undefined || message.includes(hint) ? message : `${message}\n${hint}`;
}
