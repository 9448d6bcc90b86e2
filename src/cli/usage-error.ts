/** A command line that can't be understood: told with the command's usage, exit status 125. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  /** 125 for a wrong flag, 1 for a wrong number of arguments, as Docker has it. */
  readonly status: number;

  constructor(message: string, status = 125) {
    super(message);
    this.status = status;
  }
}
