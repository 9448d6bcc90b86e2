import { constants } from "node:os";
import { command } from "./command.ts";
import { daemonProgram } from "./daemon-start.ts";

const forwarded: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"];

export const daemon = command({
  name: "daemon",
  summary: "Run the daemon in the foreground",
  args: "[ARG...]",
  arity: [0, Number.POSITIVE_INFINITY],
  flags: {},
  stopEarly: true,
  async run({ args, host }) {
    const { spawn } = await import("node:child_process");
    const words = host === undefined ? args : ["-H", host, ...args];
    const child = spawn(process.execPath, [daemonProgram(), ...words], { stdio: "inherit" });
    for (const signal of forwarded) process.on(signal, () => child.kill(signal));
    return await new Promise<number>((resolve, reject) => {
      child.on("error", reject);
      child.on("exit", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
    });
  },
});
