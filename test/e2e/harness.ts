/** Starts a daemon of its own for a test, with roots, socket and bridge that no other test has. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { daemonEnvironment, daemonNodeFlags } from "../../src/base/daemon-process.ts";
import { placesFor } from "../../src/engine/data-root.ts";
import { hostInventory, type Inventory } from "../host-inventory.ts";
import { clearHost } from "./clear-host.ts";
import { type CommandOptions, type CommandResult, runCommand } from "./run-command.ts";

export { type CommandOptions, type CommandResult, runCommand };

const checkout = join(import.meta.dirname, "../..");
const startTimeoutMs = 20_000;
const stopTimeoutMs = 30_000;

export interface DaemonOptions {
  /** Data root to open again; by default a new one, removed by {@link TestDaemon.stop}. */
  readonly root?: string;
  readonly runRoot?: string;
  readonly bridge?: string;
  /** Further flags of the daemon. */
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

export interface TestDaemon extends AsyncDisposable {
  /** Path of its API socket. */
  readonly socket: string;
  readonly host: string;
  readonly pid: number;
  readonly root: string;
  readonly runRoot: string;
  readonly bridge: string;
  /** What it has written so far. */
  log(): string;
  /** Runs `./onggi -H …` against it. */
  onggi(args: readonly string[], options?: CommandOptions): Promise<CommandResult>;
  /** What it has on the host now. */
  inventory(): Inventory;
  /** SIGTERM, then waits for its end; its roots go too, unless they were given. */
  stop(): Promise<void>;
  /** SIGKILL, and nothing else: roots, containers and spawner stay for the next daemon. */
  kill9(): Promise<void>;
}

/** Daemons of this test file that are still to be stopped; none may outlive it. */
const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});
process.once("SIGTERM", () => process.exit(143));

/** Starts `build/daemon.js` and waits until its socket answers; throws with its log when it doesn't. */
export async function startDaemon(options: DaemonOptions = {}): Promise<TestDaemon> {
  const own = options.root === undefined ? mkdtempSync(join(tmpdir(), "onggi-e2e-")) : undefined;
  const root = options.root ?? join(own ?? "", "data");
  const runRoot = options.runRoot ?? join(own ?? root, "run");
  const bridge = options.bridge ?? `ogt${randomBytes(4).toString("hex")}`;
  const socket = join(runRoot, "api.sock");
  const host = `unix://${socket}`;
  const logPath = `${own ?? root}.log`;
  writeFileSync(logPath, "", { flag: "a" });

  const flags = ["--root", root, "--run-root", runRoot, "--host", host, "--bridge", bridge, ...(options.args ?? [])];
  const output = openSync(logPath, "a");
  const child = spawn(process.execPath, [...daemonNodeFlags, join(checkout, "build/daemon.js"), ...flags], {
    stdio: ["ignore", output, output],
    env: { ...process.env, ...daemonEnvironment, ...options.env },
    cwd: "/",
  });
  closeSync(output);
  running.add(child);
  const log = () => readFileSync(logPath, "utf8");
  const ended = new Promise<"ended">((resolve) => {
    child.once("exit", () => {
      running.delete(child);
      resolve("ended");
    });
  });
  await untilItAnswers(socket, child, log);

  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    const outcome = await Promise.race([ended, sleep(stopTimeoutMs, "late", { ref: false })]);
    if (outcome === "late")
      throw new Error(`the daemon did not end ${stopTimeoutMs / 1000} s after ${signal}:\n${log()}`);
  };
  const { cgroupParent } = placesFor({ root });
  const scope = { roots: [root, runRoot], bridge, cgroupParent };
  const stop = async () => {
    await end("SIGTERM");
    if (own === undefined) return;
    await clearHost(scope);
    rmSync(own, { recursive: true, force: true });
    rmSync(logPath, { force: true });
  };
  return {
    socket,
    host,
    pid: child.pid ?? 0,
    root,
    runRoot,
    bridge,
    log,
    onggi: (args, commandOptions) => runCommand(join(checkout, "onggi"), ["-H", host, ...args], commandOptions),
    inventory: () => hostInventory({ ...scope, pid: child.pid ?? 0 }),
    stop,
    kill9: () => end("SIGKILL"),
    [Symbol.asyncDispose]: stop,
  };
}

async function untilItAnswers(socket: string, child: ChildProcess, log: () => string): Promise<void> {
  const deadline = performance.now() + startTimeoutMs;
  while (!(await answers(socket))) {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`the daemon ended while starting:\n${log()}`);
    if (performance.now() > deadline) {
      child.kill("SIGKILL");
      throw new Error(`the daemon did not answer within ${startTimeoutMs / 1000} s:\n${log()}`);
    }
    await sleep(20);
  }
}

function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect(socket);
    connection.once("connect", () => resolve(true)).once("error", () => resolve(false));
    connection.once("connect", () => connection.destroy());
  });
}
