import { errorCode } from "./client.ts";
import type { Io, Output } from "./io.ts";

/** How a shell sees a program that SIGPIPE ended. */
const brokenPipe = 141;

const used = new Set<Output>();

/** A reader that went away (`onggi logs x | head -1`) ends the program quietly. */
function quietly(output: Output): Output {
  if (used.has(output)) return output;
  used.add(output);
  output.on("error", (error) => {
    if (errorCode(error) === "EPIPE") process.exit(brokenPipe);
    throw error;
  });
  return output;
}

/** This process's own streams and environment; each stream is opened when it is first used, since that takes time. */
export const processIo: Io = {
  get stdin() {
    return process.stdin;
  },
  get stdout() {
    return quietly(process.stdout);
  },
  get stderr() {
    return quietly(process.stderr);
  },
  get env() {
    return process.env;
  },
};

/** Ends the process once all was written: what a pipe hasn't taken yet, an exit would throw away. */
export async function exit(status: number): Promise<never> {
  for (const output of used) {
    if (output.writableLength > 0) await new Promise((resolve) => output.write("", resolve));
  }
  process.exit(status);
}
