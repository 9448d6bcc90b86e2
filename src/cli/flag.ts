import { OnggiError } from "../base/error.ts";
import { parseBytes, parseCpus, parseDurationMs } from "./units.ts";

/**
 * One flag of a command: how its text becomes a value.
 *
 * The long name is the key in the command's table, in kebab-case: `noTrunc` is `--no-trunc`.
 */
export interface Flag<T> {
  /** A switch stands alone (`--rm`, `--rm=false`); any other flag takes the next word. */
  readonly isSwitch: boolean;
  readonly short: string | undefined;
  /** What help shows for the value: `string`, `list`, `bytes`. */
  readonly placeholder: string;
  readonly help: string;
  readonly hidden: boolean;
  /** Further long names, not shown in help. */
  readonly aliases: readonly string[];
  readonly initial: T;
  /** The value after one more occurrence; throws `invalid` with what is wrong with the text. */
  take(previous: T, text: string): T;
}

export type Flags = Readonly<Record<string, Flag<unknown>>>;

/** The values that a table of flags parses to. */
export type FlagValues<F> = { readonly [K in keyof F]: F[K] extends Flag<infer T> ? T : never };

interface FlagOptions {
  readonly short?: string;
  readonly help: string;
  readonly placeholder?: string;
  readonly hidden?: boolean;
  readonly aliases?: readonly string[];
}

/** Makes flags of the usual kinds; a flag that wasn't given is `undefined`, false or an empty list. */
export const flag = {
  switch: (options: FlagOptions & { readonly initial?: boolean }): Flag<boolean> => ({
    ...shared(options, ""),
    isSwitch: true,
    initial: options.initial ?? false,
    take: (_, text) => parseBoolean(text),
  }),

  string: (options: FlagOptions): Flag<string | undefined> => value(options, "string", (text) => text),

  list: (options: FlagOptions): Flag<readonly string[]> => ({
    ...shared(options, "list"),
    initial: [],
    take: (previous, text) => [...previous, text],
  }),

  /** Each occurrence is read by `read`. */
  listOf: <T>(options: FlagOptions, read: (text: string) => T): Flag<readonly T[]> => ({
    ...shared(options, "list"),
    initial: [],
    take: (previous, text) => [...previous, read(text)],
  }),

  /** `KEY=value`, the last of one key wins. */
  map: (options: FlagOptions): Flag<Readonly<Record<string, string>>> => ({
    ...shared(options, "map"),
    initial: {},
    take: (previous, text) => ({ ...previous, ...splitPair(text) }),
  }),

  integer: (options: FlagOptions): Flag<number | undefined> => value(options, "int", parseInteger),
  bytes: (options: FlagOptions): Flag<number | undefined> => value(options, "bytes", parseBytes),
  /** -1 stays -1: unlimited. */
  bytesOrUnlimited: (options: FlagOptions): Flag<number | undefined> =>
    value(options, "bytes", (text) => (text === "-1" ? -1 : parseBytes(text))),
  /** A decimal number of cores, as billionths. */
  cpus: (options: FlagOptions): Flag<number | undefined> => value(options, "decimal", parseCpus),
  durationMs: (options: FlagOptions): Flag<number | undefined> => value(options, "duration", parseDurationMs),

  value,
};

function value<T>(options: FlagOptions, placeholder: string, read: (text: string) => T): Flag<T | undefined> {
  return { ...shared(options, placeholder), initial: undefined, take: (_, text) => read(text) };
}

function shared(options: FlagOptions, placeholder: string) {
  return {
    isSwitch: false,
    short: options.short,
    placeholder: options.placeholder ?? placeholder,
    help: options.help,
    hidden: options.hidden ?? false,
    aliases: options.aliases ?? [],
  };
}

function parseBoolean(text: string): boolean {
  if (/^(1|t|true|TRUE|True|T)$/.test(text)) return true;
  if (/^(0|f|false|FALSE|False|F)$/.test(text)) return false;
  throw new OnggiError("invalid", `"${text}" is neither true nor false`);
}

function parseInteger(text: string): number {
  if (!/^[+-]?\d+$/.test(text)) throw new OnggiError("invalid", `"${text}" is not a whole number`);
  return Number(text);
}

function splitPair(text: string): Record<string, string> {
  const at = text.indexOf("=");
  return at < 0 ? { [text]: "" } : { [text.slice(0, at)]: text.slice(at + 1) };
}
