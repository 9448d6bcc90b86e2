import { messageOf } from "../base/error.ts";
import { util } from "./builtin.ts";
import type { Flag, Flags } from "./flag.ts";
import { UsageError } from "./usage-error.ts";

export interface ParsedFlags {
  readonly values: Readonly<Record<string, unknown>>;
  readonly args: readonly string[];
  /** `--help` was among the flags. */
  readonly help: boolean;
}

/**
 * Splits a command's words into flags and arguments, as Docker does.
 *
 * @param stopEarly - flags end at the first argument: what follows belongs to the container's program
 * @throws UsageError for an unknown flag, a missing or a wrong value
 */
export function parseFlags(words: readonly string[], flags: Flags, stopEarly: boolean): ParsedFlags {
  const byName = namesOf(flags);
  const argv = longSwitches(words, flags);
  const { tokens } = util.parseArgs({
    args: argv,
    options: optionsOf(flags),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const end = stopEarly ? (tokens.find(({ kind }) => kind !== "option")?.index ?? argv.length) : argv.length;

  const values: Record<string, unknown> = Object.fromEntries(
    Object.entries(flags).map(([key, { initial }]) => [key, initial]),
  );
  for (const token of tokens) {
    if (token.kind !== "option" || token.index >= end) continue;
    const key = byName.get(token.name);
    const flag = key === undefined ? undefined : flags[key];
    const isShort = !token.rawName.startsWith("--");
    const letter = token.rawName.slice(1);
    if (key === undefined || flag === undefined) {
      if (token.name === "help" || token.rawName === "-h") return { values, args: [], help: true };
      throw new UsageError(isShort ? unknownShort(letter, argv[token.index]) : `unknown flag: ${token.rawName}`);
    }
    const text = token.value ?? (flag.isSwitch ? "true" : undefined);
    if (text === undefined) {
      throw new UsageError(`flag needs an argument: ${isShort ? `'${letter}' in ${token.rawName}` : token.rawName}`);
    }
    values[key] = take(flag, key, values[key], text);
  }

  if (!stopEarly) {
    return { values, args: tokens.flatMap((token) => (token.kind === "positional" ? [token.value] : [])), help: false };
  }
  return { values, args: argv[end] === "--" ? argv.slice(end + 1) : argv.slice(end), help: false };
}

/** The long name of a key: `noTrunc` is `no-trunc`. */
export function longName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function take(flag: Flag<unknown>, key: string, previous: unknown, text: string): unknown {
  try {
    return flag.take(previous, text);
  } catch (error) {
    const name = flag.short === undefined ? `--${longName(key)}` : `-${flag.short}, --${longName(key)}`;
    throw new UsageError(`invalid argument "${text}" for "${name}" flag: ${messageOf(error)}`);
  }
}

function namesOf(flags: Flags): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const [key, { short, aliases }] of Object.entries(flags)) {
    for (const name of [longName(key), ...aliases, ...(short === undefined ? [] : [short])]) names.set(name, key);
  }
  return names;
}

function optionsOf(flags: Flags) {
  const options: Record<string, { type: "boolean" | "string"; short?: string }> = {};
  for (const [key, { isSwitch, short, aliases }] of Object.entries(flags)) {
    const type = isSwitch ? "boolean" : "string";
    options[longName(key)] = short === undefined ? { type } : { type, short };
    for (const alias of aliases) options[alias] = { type };
  }
  return options;
}

/** Writes `-it=false` as `-i --tty=false`, the one spelling that parseArgs doesn't know. */
function longSwitches(words: readonly string[], flags: Flags): string[] {
  return words.flatMap((word) => {
    const match = /^-([a-zA-Z]*)([a-zA-Z])(=.*)$/.exec(word);
    if (match === null) return [word];
    const [, before = "", last = "", rest = ""] = match;
    const switches = new Map(
      Object.entries(flags).flatMap(([key, { isSwitch, short }]) => (isSwitch && short ? [[short, key]] : [])),
    );
    const key = switches.get(last);
    if (key === undefined || [...before].some((letter) => !switches.has(letter))) return [word];
    return [...(before === "" ? [] : [`-${before}`]), `--${longName(key)}${rest}`];
  });
}

function unknownShort(letter: string, word = ""): string {
  const rest = word.slice(word.indexOf(letter, 1));
  return `unknown shorthand flag: '${letter}' in -${rest}`;
}
