import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";

/** What the kernel itself takes for one complete container: `bench/kernel/floor.c`, built and run beside the engine. */
export class KernelFloor implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), "onggi-floor-"));
  readonly #binary = join(this.#directory, "floor");
  readonly #process: ChildProcess;
  readonly #lines: Interface;

  constructor() {
    const cc = (...args: readonly string[]) => execFileSync("cc", ["-O2", "-static", "-o", ...args]);
    cc(this.#binary, join(import.meta.dirname, "kernel/floor.c"));
    for (let layer = 1; layer <= 5; layer++) mkdirSync(join(this.#directory, `lower${layer}`));
    for (const folder of ["bin", "proc", "sys", "dev"]) mkdirSync(join(this.#directory, "lower1", folder));
    const source = join(this.#directory, "true.c");
    writeFileSync(source, "int main(void) { return 0; }\n");
    cc(join(this.#directory, "lower1/bin/true"), source);
    this.#process = spawn(this.#binary, [this.#directory], { stdio: ["pipe", "pipe", "inherit"] });
    if (this.#process.stdout === null) throw new Error("floor has no output");
    this.#lines = createInterface({ input: this.#process.stdout });
  }

  /** One container; its milliseconds. */
  async one(): Promise<number> {
    const answer = new Promise<string>((resolve) => this.#lines.once("line", resolve));
    this.#process.stdin?.write("\n");
    return Number(await answer) / 1e6;
  }

  /** Containers a second, `jobs` at a time. */
  rate(count: number, jobs: number): number {
    return Number(execFileSync(this.#binary, [this.#directory, String(count), String(jobs)], { encoding: "utf8" }));
  }

  [Symbol.dispose](): void {
    this.#process.stdin?.end();
    this.#lines.close();
    this.#process.once("exit", () => rmSync(this.#directory, { recursive: true, force: true }));
  }
}
