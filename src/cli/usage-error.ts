/** A command line that can't be understood: told with the command's usage, exit status 125. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  /** 125 for a wrong flag, 1 for a wrong number of arguments, as Docker has it. */
  readonly status: number;

  /** How Docker begins the line that points to the help: it differs by error. */
  readonly pointer: "Run" | "See";

  constructor(message: string, status = 125, pointer: "Run" | "See" = "Run") {
    super(message);
    this.status = status;
    this.pointer = pointer;
  }
}
