import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { daemonEnvironment, daemonNodeFlags } from "../base/daemon-process.ts";
import { OnggiError } from "../base/error.ts";
import type { Io } from "./io.ts";
import { defaultHost, parseHost } from "./socket-address.ts";

const slowMs = 1000;
const giveUpMs = 60_000;
const pollMs = 10;

/** How the daemon is started; a test brings its own. */
export interface DaemonStart {
  readonly socketPath: string;
  readonly program: string;
  /** The first that can be written takes the log. */
  readonly logFolders: readonly string[];
}

/** The daemon of this build at the default socket; throws `denied` without root. */
export function defaultDaemon(): DaemonStart {
  const socketPath = parseHost(defaultHost);
  if (process.geteuid?.() !== 0) {
    throw new OnggiError("denied", `no daemon answers at unix://${socketPath}, and only root can start one`, {
      hint: "Run this as root, or have root start it with 'onggi daemon'.",
    });
  }
  return { socketPath, program: daemonProgram(), logFolders: ["/var/log/onggi", "/run/onggi"] };
}

/**
 * Starts the daemon in the background, in a session of its own, and waits until it answers.
 *
 * @throws OnggiError `unavailable` when it ends or doesn't answer, with what it said last
 */
export async function startDaemon(io: Io, { socketPath, program, logFolders }: DaemonStart): Promise<void> {
  const logPath = openLogPath(logFolders);
  const before = sizeOf(logPath);
  const exit = await spawnDetached(program, logPath);
  await untilItAnswers(socketPath, exit, io, () => readFileSync(logPath).subarray(before).toString().trim(), logPath);
}

/** `daemon.js` beside this bundle, or the source beside this folder while developing. */
export function daemonProgram(): string {
  const folder = import.meta.dirname;
  const candidates = [join(folder, "daemon.js"), join(folder, "../../build/daemon.js"), join(folder, "../daemon.ts")];
  const found = candidates.find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new OnggiError("unavailable", `the daemon's program is not there: ${candidates[0]}`, {
    hint: "Build it with 'npm run build'.",
  });
}

function openLogPath(folders: readonly string[]): string {
  for (const folder of folders) {
    try {
      mkdirSync(folder, { recursive: true, mode: 0o755 });
      const path = join(folder, "daemon.log");
      closeSync(openSync(path, "a", 0o640));
      return path;
    } catch {
      // A read-only /var/log: the next folder will do.
    }
  }
  return "/dev/null";
}

function sizeOf(path: string): number {
  try {
    return readFileSync(path).length;
  } catch {
    return 0;
  }
}

/** Its exit, as a word, once it ended. */
interface DaemonExit {
  readonly reason: () => string | undefined;
}

async function spawnDetached(program: string, logPath: string): Promise<DaemonExit> {
  const { spawn } = await import("node:child_process");
  const log = openSync(logPath, "a");
  const child = spawn(process.execPath, [...daemonNodeFlags, program], {
    detached: true,
    stdio: ["ignore", log, log],
    cwd: "/",
    env: { ...process.env, ...daemonEnvironment },
  });
  closeSync(log);
  let reason: string | undefined;
  child.on("error", (error) => (reason = error.message));
  child.on("exit", (code, signal) => (reason = signal === null ? `exit status ${code}` : `signal ${signal}`));
  child.unref();
  return { reason: () => reason };
}

async function untilItAnswers(
  socketPath: string,
  exit: DaemonExit,
  io: Io,
  said: () => string,
  logPath: string,
): Promise<void> {
  const start = performance.now();
  let told = false;
  while (!(await answers(socketPath))) {
    const waited = performance.now() - start;
    const reason = exit.reason();
    if (reason !== undefined) {
      // Another one may have been quicker to start.
      if (await answers(socketPath)) return;
      throw new OnggiError("unavailable", `the daemon could not start (${reason})${quoted(said())}`, {
        hint: `Its log is ${logPath}.`,
      });
    }
    if (waited > giveUpMs) {
      throw new OnggiError("unavailable", `the daemon does not answer after ${giveUpMs / 1000} s${quoted(said())}`, {
        hint: `Its log is ${logPath}.`,
      });
    }
    if (waited > slowMs && !told) {
      told = true;
      io.stderr.write("onggi: starting the daemon …\n");
    }
    await sleep(pollMs);
  }
}

function quoted(text: string): string {
  return text === "" ? "" : `:\n${text.split("\n").slice(-8).join("\n")}`;
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = new Socket();
    const done = (yes: boolean) => {
      socket.destroy();
      resolve(yes);
    };
    socket
      .on("connect", () => done(true))
      .on("error", () => done(false))
      .connect(path);
  });
}
