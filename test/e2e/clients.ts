/** The two command lines that speak to a daemon, driven alike: Docker's own and ours. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Inventory, leaks } from "../host-inventory.ts";
import { engineProcesses } from "./engine-processes.ts";
import { type CommandOptions, type CommandResult, runCommand, type TestDaemon } from "./harness.ts";

export const checkout = join(import.meta.dirname, "../..");

export interface Client {
  readonly name: "docker" | "onggi";
  /** The words before a command's own: program and socket. */
  readonly words: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  run(args: readonly string[], options?: CommandOptions): Promise<CommandResult>;
  /** What it prints, without the last line end; throws when it fails. */
  output(args: readonly string[], options?: CommandOptions): Promise<string>;
}

const hasDocker = await runCommand("docker", ["--version"]).then(
  ({ code }) => code === 0,
  () => false,
);

/** Why a test through a client can't be run here, or false. */
export function skipOf(name: Client["name"]): string | false {
  return name === "docker" && !hasDocker ? "there is no docker" : false;
}

export const clientNames = ["onggi", "docker"] as const;

export function clientOf(name: Client["name"], daemon: TestDaemon): Client {
  const program = name === "docker" ? "docker" : join(checkout, "onggi");
  const words = [program, "-H", daemon.host];
  // An empty configuration: a login or a context of whoever runs the tests decides nothing.
  const env = { ...process.env, DOCKER_CONFIG: join(daemon.runRoot, "docker"), DOCKER_CLI_HINTS: "false" };
  const run = (args: readonly string[], options: CommandOptions = {}) =>
    runCommand(program, [...words.slice(1), ...args], {
      timeoutMs: 30_000,
      ...options,
      env: { ...env, ...options.env },
    });
  const output = async (args: readonly string[], options?: CommandOptions) => {
    const { code, stdout, stderr } = await run(args, options);
    if (code !== 0) throw new Error(`${name} ${args.join(" ")} ended with ${code}: ${stderr}${stdout}`);
    return stdout.replace(/\n$/, "");
  };
  return { name, words, env, run, output };
}

/** Waits a moment for what ends by itself, then says what of the containers since `atFirst` is still on the host. */
export async function assertNothingLeft(daemon: TestDaemon, atFirst: Inventory): Promise<void> {
  let left: readonly string[] = [];
  for (const deadline = Date.now() + 5000; Date.now() < deadline; await sleep(50)) {
    left = leaks(atFirst, daemon.inventory(), ["mounts", "cgroups", "links", "netns", "nft", "files"]);
    if (left.length === 0 && engineProcesses(daemon.runRoot).length <= 2) return;
  }
  assert.deepEqual(left, []);
  assert.deepEqual(engineProcesses(daemon.runRoot), [], "more than the spawner and its spare");
}
