import { isOnggiError } from "../base/error.ts";
import { type Found, findCommand } from "./catalog.ts";
import { Client } from "./client.ts";
import type { Command, Context } from "./command.ts";
import { Exit, explainError } from "./exit.ts";
import type { Flags } from "./flag.ts";
import { globalFlags } from "./global-flags.ts";
import type { Io } from "./io.ts";
import { parseFlags } from "./parse-flags.ts";
import { defaultHost, parseHost } from "./socket-address.ts";
import { UsageError } from "./usage-error.ts";

/**
 * Runs one command line and resolves with its exit status; errors are told on stderr.
 *
 * @param words - what follows the program's name
 */
export async function main(words: readonly string[], io: Io): Promise<number> {
  let debug = false;
  try {
    const globals = parseGlobals(words);
    debug = globals.values.debug;
    if (globals.values.version) return await version(io);
    if (globals.help || globals.args.length === 0) return await help(io, []);
    if (globals.args[0] === "help") return await help(io, globals.args.slice(1));

    const found = findCommand(globals.args);
    if (found.kind === "group") return await help(io, [found.name]);
    if (found.kind === "unknown") return await unknown(io, found);
    return await runCommand(await found.load(), found, globals.values, io);
  } catch (error) {
    if (error instanceof UsageError) return usage(io, error, "", undefined);
    return fail(io, error, "onggi: ", 1, debug);
  }
}

interface Globals {
  readonly host: readonly string[];
  readonly debug: boolean;
  readonly version: boolean;
}

function parseGlobals(words: readonly string[]) {
  const { values, args, help } = parseFlags(words, globalFlags, true);
  // parseFlags fills each flag of the table by the flag's own reader.
  return { values: values as unknown as Globals, args, help };
}

async function runCommand(
  command: Command,
  { path, rest }: { readonly path: string; readonly rest: readonly string[] },
  globals: Globals,
  io: Io,
): Promise<number> {
  const failureStatus = command.failureStatus ?? 1;
  try {
    const { values, args, help: wantsHelp } = parseFlags(rest, command.flags, command.stopEarly ?? false);
    if (wantsHelp) {
      const { commandHelp } = await import("./help.ts");
      io.stdout.write(commandHelp(command, path));
      return 0;
    }
    checkArity(command, path, args.length);
    return (await command.run(contextOf(values, args, globals, io))) ?? 0;
  } catch (error) {
    if (error instanceof UsageError) return usage(io, error, path, command);
    const prefix = error instanceof Exit || isQuietDaemonError(error, failureStatus) ? "" : "onggi: ";
    const status = fail(io, error, prefix, failureStatus, globals.debug);
    // A flag's value that only made no sense together with the others.
    if (status === 125 && isOnggiError(error, "invalid"))
      io.stderr.write(`\nRun 'onggi ${path} --help' for more information\n`);
    return status;
  }
}

function contextOf(
  values: Readonly<Record<string, unknown>>,
  args: readonly string[],
  globals: Globals,
  io: Io,
): Context<Flags> {
  const host = globals.host.at(-1) ?? (io.env.ONGGI_HOST || undefined);
  let client: Client | undefined;
  return {
    args,
    flags: values,
    io,
    host,
    get client() {
      client ??= new Client({
        socketPath: parseHost(host ?? defaultHost),
        startDaemon: host === undefined ? () => startDaemon(io) : undefined,
      });
      return client;
    },
    print: (line) => void io.stdout.write(`${line}\n`),
    warn: (line) => void io.stderr.write(`${line}\n`),
  };
}

async function startDaemon(io: Io): Promise<void> {
  const { defaultDaemon, startDaemon: start } = await import("./daemon-start.ts");
  await start(io, defaultDaemon());
}

function checkArity({ arity: [least, most] }: Command, path: string, count: number): void {
  if (count >= least && count <= most) return;
  const plural = (number: number) => `${number} argument${number === 1 ? "" : "s"}`;
  const wanted =
    most === 0
      ? "accepts no arguments"
      : least === most
        ? `requires ${plural(least)}`
        : count < least
          ? `requires at least ${plural(least)}`
          : `requires at most ${plural(most)}`;
  throw new UsageError(`onggi: 'onggi ${path}' ${wanted}`, 1, wanted.startsWith("requires at least") ? "See" : "Run");
}

function usage(io: Io, error: UsageError, path: string, command: Command | undefined): number {
  const name = path === "" ? "onggi" : `onggi ${path}`;
  const options = command === undefined || Object.keys(command.flags).length > 0 ? " [OPTIONS]" : "";
  const args = command === undefined ? " COMMAND [ARG...]" : command.args === "" ? "" : ` ${command.args}`;
  io.stderr.write(
    `${error.message}\n\nUsage:  ${name}${options}${args}\n\n${error.pointer} '${name} --help' for more information\n`,
  );
  return error.status;
}

/** As with Docker, only `run` puts the program's name before what the daemon says. */
function isQuietDaemonError(error: unknown, failureStatus: number): boolean {
  return error instanceof Error && error.name === "DaemonError" && failureStatus === 1;
}

function fail(io: Io, error: unknown, prefix: string, status: number, debug: boolean): number {
  const text = explainError(error);
  if (text !== "") io.stderr.write(`${prefix}${text}\n`);
  if (debug && error instanceof Error) io.stderr.write(`${stackOf(error)}\n`);
  return error instanceof Exit ? error.status : status;
}

function stackOf(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by ${stackOf(error.cause)}` : "";
  return `${error.stack ?? ""}${cause}`;
}

async function help(io: Io, words: readonly string[]): Promise<number> {
  const { helpFor } = await import("./help.ts");
  const text = await helpFor(words);
  if (text === undefined) {
    io.stderr.write(`unknown help topic: ${words.join(" ")}\n`);
    return 1;
  }
  io.stdout.write(text);
  return 0;
}

async function version(io: Io): Promise<number> {
  const { clientVersion } = await import("./client-version.ts");
  io.stdout.write(`Onggi version ${clientVersion}\n`);
  return 0;
}

async function unknown(io: Io, { path }: Extract<Found, { kind: "unknown" }>): Promise<number> {
  const { nearestCommands } = await import("./suggest.ts");
  const near = nearestCommands(path);
  const group = path
    .split(" ")
    .slice(0, -1)
    .map((word) => `${word} `)
    .join("");
  io.stderr.write(`onggi: unknown command: onggi ${path}\n`);
  if (near.length > 0)
    io.stderr.write(`\nDid you mean ${near.map((name) => `'onggi ${group}${name}'`).join(" or ")}?\n`);
  io.stderr.write(`\nRun 'onggi ${group}--help' for more information\n`);
  return 1;
}
