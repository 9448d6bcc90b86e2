import { closeSync, fstatSync, openSync } from "node:fs";
import { OnggiError } from "../base/error.ts";

/** A file that is held open, under a name by which every process of the host opens this very file. */
export class OpenFile implements Disposable {
  readonly path: string;
  readonly #fd: number;
  readonly #changedNs: bigint;

  constructor(path: string) {
    this.#fd = openSync(path, "r");
    this.path = `/proc/${process.pid}/fd/${this.#fd}`;
    this.#changedNs = fstatSync(this.#fd, { bigint: true }).ctimeNs;
  }

  /** What was hashed is what was unpacked only if nobody wrote to it meanwhile. */
  checkUnchanged(): void {
    if (fstatSync(this.#fd, { bigint: true }).ctimeNs === this.#changedNs) return;
    throw new OnggiError("corrupt", "the archive was changed while it was read", { hint: "Load it again." });
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
