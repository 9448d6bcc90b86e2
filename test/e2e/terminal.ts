/** Drives a program at a terminal, as a person would: types, waits for what appears, changes the size. */
import { execFileSync, spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";

const patienceMs = 15_000;

export class Terminal implements AsyncDisposable {
  readonly #child: ReturnType<typeof spawn>;
  readonly #ended: Promise<number | null>;
  #text = "";
  #seen = 0;
  #hasEnded = false;
  #device = "";

  private constructor(words: readonly string[], env: NodeJS.ProcessEnv) {
    // The terminal's name comes first: who knows it can change its size from outside, and the kernel tells the program.
    const command = `stty rows 24 cols 80; tty; exec ${words.map(quote).join(" ")}`;
    this.#child = spawn("script", ["-qefc", command, "/dev/null"], {
      env: { ...env, SHELL: "/bin/sh" },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#child.stdin?.on("error", () => {}); // It ended while somebody typed.
    this.#child.stdout?.on("data", (chunk: Buffer) => {
      this.#text += chunk.toString();
    });
    this.#ended = new Promise((resolve) => this.#child.once("close", resolve));
    void this.#ended.then(() => {
      this.#hasEnded = true;
    });
  }

  static async open(words: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<Terminal> {
    const terminal = new Terminal(words, env);
    terminal.#device = (await terminal.sees(/(\/dev\/pts\/\d+)\r\n/))[1] ?? "";
    return terminal;
  }

  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** Waits for what wasn't seen before. */
  async sees(pattern: RegExp, timeoutMs = patienceMs): Promise<RegExpExecArray> {
    for (const deadline = Date.now() + timeoutMs; Date.now() < deadline; await sleep(10)) {
      const found = pattern.exec(this.#text.slice(this.#seen));
      if (found === null && this.#hasEnded) break;
      if (found === null) continue;
      this.#seen += found.index + found[0].length;
      return found;
    }
    throw new Error(
      `${pattern} did not appear; after ${JSON.stringify(this.#text.slice(0, this.#seen))} there came ${JSON.stringify(this.#text.slice(this.#seen))}`,
    );
  }

  resize(rows: number, columns: number): void {
    execFileSync("stty", ["-F", this.#device, "rows", String(rows), "cols", String(columns)]);
  }

  /** The settings of the terminal itself, such as `echo` or `-echo`. */
  settings(): readonly string[] {
    return execFileSync("stty", ["-F", this.#device, "-a"], { encoding: "utf8" }).split(/[\s;]+/);
  }

  /** The program's exit status, once it has ended. */
  async status(): Promise<number | null> {
    const outcome = await Promise.race([this.#ended, sleep(patienceMs, "late" as const, { ref: false })]);
    if (outcome === "late") throw new Error(`it did not end; it printed ${JSON.stringify(this.#text)}`);
    return outcome;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    this.#child.stdin?.end();
    await this.#ended;
  }
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
