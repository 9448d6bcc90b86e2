import { rmSync, writeFileSync } from "node:fs";

/** More than a list of references takes, and the folder's change with it. */
const reserveBytes = 128 * 1024;

/** Room on the disk that is kept for the moment when there is none: without it nothing could be removed from a full disk. */
export class Reserve {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Takes the room, unless it is taken or there is none. */
  take(): void {
    try {
      writeFileSync(this.#path, Buffer.alloc(reserveBytes), { flag: "wx", mode: 0o600 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") this.release();
    }
  }

  release(): void {
    rmSync(this.#path, { force: true });
  }
}
