import type { Client } from "./client.ts";
import type { Flags, FlagValues } from "./flag.ts";
import type { Io } from "./io.ts";

/** What a command is given to work with. */
export interface Context<F> {
  readonly args: readonly string[];
  readonly flags: FlagValues<F>;
  readonly io: Io;
  /** Connects when first used. */
  readonly client: Client;
  /** The socket that was named with -H or ONGGI_HOST, if one was. */
  readonly host: string | undefined;
  /** A line on stdout. */
  print(line: string): void;
  /** A line on stderr. */
  warn(line: string): void;
}

/** One command: what help says of it, what it takes, what it does. */
export interface Command<F extends Flags = Flags> {
  readonly name: string;
  readonly summary: string;
  /** As usage shows them: `IMAGE [COMMAND] [ARG...]`. */
  readonly args: string;
  /** The least and the largest number of arguments. */
  readonly arity: readonly [least: number, most: number];
  readonly flags: F;
  /** Flags end at the first argument: the rest belongs to a program inside. */
  readonly stopEarly?: boolean;
  /** Paragraphs of help after the summary. */
  readonly details?: string;
  /** Exit status when a request fails; 1 unless said. */
  readonly failureStatus?: number;
  /** Resolves with the exit status; nothing is 0. */
  // A method, so that a command of narrower flags still is a Command.
  run(context: Context<F>): Promise<number | undefined>;
}

/** Declares a command. */
export function command<const F extends Flags>(declared: Command<F>): Command<F> {
  return declared;
}
