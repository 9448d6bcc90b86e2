import { posix } from "node:path";
import { OnggiError } from "../base/error.ts";
import { parseSignal } from "../base/signal.ts";
import type { ImageConfig } from "./model.ts";

/** An image's config with what Onggi keeps for others and doesn't use itself. */
export interface FullImageConfig extends ImageConfig {
  readonly OnBuild?: readonly string[];
  readonly Healthcheck?: Healthcheck;
  readonly Shell?: readonly string[];
}

interface Healthcheck {
  readonly Test: readonly string[];
  /** Nanoseconds. */
  readonly Interval?: number;
  readonly Timeout?: number;
  readonly StartPeriod?: number;
  readonly StartInterval?: number;
  readonly Retries?: number;
}

type Draft = { -readonly [Key in keyof FullImageConfig]: FullImageConfig[Key] };
type Instruction = (config: Draft, text: string, isFirstCommand: boolean) => void;

const defaultShell = ["/bin/sh", "-c"];
const nsPerUnit: Readonly<Record<string, number>> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/** What `--change` takes: the instructions of a Dockerfile that only say how containers run. */
const instructions: Readonly<Record<string, Instruction>> = {
  CMD: (config, text) => {
    config.Cmd = execOrShell(config, text);
  },
  ENTRYPOINT: (config, text, isFirstCommand) => {
    config.Entrypoint = execOrShell(config, text);
    // Docker's rule: a command that was meant for another entrypoint goes.
    if (isFirstCommand) delete config.Cmd;
  },
  ENV: (config, text) => {
    const env = new Map((config.Env ?? []).map((entry) => [entry.slice(0, entry.indexOf("=")), entry]));
    for (const [key, value] of pairs("ENV", text, config)) env.set(key, `${key}=${value}`);
    config.Env = [...env.values()];
  },
  LABEL: (config, text) => {
    config.Labels = { ...config.Labels, ...Object.fromEntries(pairs("LABEL", text, config)) };
  },
  EXPOSE: (config, text) => {
    const ports = words(text, config).flatMap(portRange);
    if (ports.length === 0) throw wrong("EXPOSE requires at least one argument");
    config.ExposedPorts = { ...config.ExposedPorts, ...Object.fromEntries(ports.map((port) => [port, {}])) };
  },
  USER: (config, text) => {
    config.User = oneWord("USER", text, config);
  },
  WORKDIR: (config, text) => {
    const path = expand(unquote(text.trim()), config);
    if (path === "") throw wrong("WORKDIR requires exactly one argument");
    config.WorkingDir = posix.resolve(config.WorkingDir || "/", path);
  },
  VOLUME: (config, text) => {
    const paths = jsonList(text) ?? words(text, config);
    if (paths.length === 0) throw wrong("VOLUME requires at least one argument");
    if (paths.some((path) => path.trim() === "")) throw wrong("VOLUME specified can not be an empty string");
    config.Volumes = { ...config.Volumes, ...Object.fromEntries(paths.map((path) => [path, {}])) };
  },
  STOPSIGNAL: (config, text) => {
    const signal = oneWord("STOPSIGNAL", text, config);
    parseSignal(signal);
    config.StopSignal = signal;
  },
  ONBUILD: (config, text) => {
    const trigger = /^\s*(\S+)/.exec(text)?.[1]?.toUpperCase() ?? "";
    if (trigger === "") throw wrong("ONBUILD requires at least one argument");
    if (["ONBUILD", "FROM", "MAINTAINER"].includes(trigger)) {
      throw wrong(
        trigger === "ONBUILD"
          ? "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"
          : `${trigger} isn't allowed as an ONBUILD trigger`,
      );
    }
    config.OnBuild = [...(config.OnBuild ?? []), text.trim()];
  },
  HEALTHCHECK: (config, text) => {
    config.Healthcheck = healthcheck(text.trim());
  },
};

/**
 * Applies instructions to an image's config.
 *
 * @throws OnggiError `invalid` for what is no instruction, or none that says how containers run
 */
export function applyChanges(config: FullImageConfig, changes: readonly string[]): FullImageConfig {
  const draft: Draft = { ...config };
  let commandGiven = false;
  for (const line of changes.flatMap(joinedLines)) {
    const [, word = "", text = ""] = /^\s*(\S+)\s*([\s\S]*)$/.exec(line) ?? [];
    const name = word.toUpperCase();
    const instruction = Object.hasOwn(instructions, name) ? instructions[name] : undefined;
    if (instruction === undefined) {
      throw new OnggiError("invalid", `${name} is not a valid change command`, {
        hint: `Those that work are ${Object.keys(instructions).join(", ")}.`,
      });
    }
    if (text.trim() === "" && name !== "CMD" && name !== "ENTRYPOINT")
      throw wrong(`${name} requires at least one argument`);
    instruction(draft, text, !commandGiven);
    commandGiven ||= name === "CMD";
  }
  return draft;
}

/** The lines of one change, those that a backslash goes on put together. */
function joinedLines(change: string): string[] {
  return change
    .replaceAll(/\\[ \t]*\r?\n/g, "")
    .split("\n")
    .filter((line) => line.trim() !== "" && !line.trim().startsWith("#"));
}

function execOrShell(config: Draft, text: string): readonly string[] {
  const list = jsonList(text);
  if (list !== undefined) return list;
  return text.trim() === "" ? [] : [...(config.Shell ?? defaultShell), text.trim()];
}

/** A JSON list of texts; anything else is none, as in a Dockerfile. */
function jsonList(text: string): readonly string[] | undefined {
  if (!text.trim().startsWith("[")) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every((one) => typeof one === "string") ? value : undefined;
  } catch {
    return undefined;
  }
}

/** `A=b C="d e"`, or the old `A b c`. */
function pairs(name: string, text: string, config: Draft): [string, string][] {
  const first = /^\s*([^\s=]+)\s+([\s\S]*)$/.exec(text);
  if (first !== null) return [[first[1] ?? "", expand(unquote((first[2] ?? "").trim()), config)]];
  return split(text).map((word) => {
    const at = word.indexOf("=");
    if (at < 0) throw wrong(`Syntax error - can't find = in "${word}". Must be of the form: name=value`);
    const key = unquote(word.slice(0, at));
    if (key === "") throw wrong(`${name} names can not be blank`);
    return [key, expand(unquote(word.slice(at + 1)), config)];
  });
}

function words(text: string, config: Draft): string[] {
  return split(text).map((word) => expand(unquote(word), config));
}

function oneWord(name: string, text: string, config: Draft): string {
  const [word, ...rest] = words(text, config);
  if (word === undefined || rest.length > 0) throw wrong(`${name} requires exactly one argument`);
  return word;
}

/** Words with their quotes still on. */
function split(text: string): string[] {
  return text.match(/(?:[^\s"'\\]|\\[\s\S]|"(?:[^"\\]|\\[\s\S])*"|'[^']*')+/g) ?? [];
}

/** Takes quotes off; a dollar that is not to be expanded keeps a backslash. */
function unquote(word: string): string {
  return word.replaceAll(/"((?:[^"\\]|\\[\s\S])*)"|'([^']*)'|\\([\s\S])/g, (_, double, single, escaped) => {
    if (single !== undefined) return String(single).replaceAll("$", "\\$");
    if (escaped !== undefined) return escaped === "$" ? "\\$" : String(escaped);
    return String(double).replaceAll(/\\(["\\])/g, "$1");
  });
}

/** `$NAME` and `${NAME}` of the environment so far; `${NAME:-else}` and `${NAME:+then}` as a shell has them. */
function expand(text: string, { Env = [] }: Draft): string {
  const known = (name: string) => Env.find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1) ?? "";
  return text.replaceAll(
    /\\\$|\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?::([-+])([^}]*))?\})/g,
    (whole, plain, braced, choice, other) => {
      if (whole === "\\$") return "$";
      const value = known(plain ?? braced);
      if (choice === "-") return value === "" ? other : value;
      if (choice === "+") return value === "" ? "" : other;
      return value;
    },
  );
}

/** `80`, `80/udp`, `8000-8002`. */
function portRange(text: string): string[] {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/i.exec(text);
  const [, from = "", to = from, protocol = "tcp"] = match ?? [];
  const [first, last] = [Number(from), Number(to)];
  if (match === null || first < 1 || last > 65535 || last < first) throw wrong(`invalid containerPort: ${text}`);
  return Array.from({ length: last - first + 1 }, (_, index) => `${first + index}/${protocol.toLowerCase()}`);
}

function healthcheck(text: string): Healthcheck {
  let rest = text;
  const options = new Map<string, string>();
  for (let match = /^--([a-z-]+)=(\S+)\s*/.exec(rest); match !== null; match = /^--([a-z-]+)=(\S+)\s*/.exec(rest)) {
    options.set(match[1] ?? "", match[2] ?? "");
    rest = rest.slice(match[0].length);
  }
  const [, word = "", command = ""] = /^(\S+)\s*([\s\S]*)$/.exec(rest) ?? [];
  if (word.toUpperCase() === "NONE") {
    if (command !== "" || options.size > 0) throw wrong("HEALTHCHECK NONE takes no arguments");
    return { Test: ["NONE"] };
  }
  if (word.toUpperCase() !== "CMD") throw wrong(`Unknown type "${word.toUpperCase()}" in HEALTHCHECK (try CMD)`);
  if (command === "") throw wrong("Missing command after HEALTHCHECK CMD");
  const list = jsonList(command);
  return {
    Test: list === undefined ? ["CMD-SHELL", command] : ["CMD", ...list],
    ...healthOptions(options),
  };
}

const healthFields: Readonly<Record<string, keyof Healthcheck>> = {
  interval: "Interval",
  timeout: "Timeout",
  "start-period": "StartPeriod",
  "start-interval": "StartInterval",
};

function healthOptions(options: ReadonlyMap<string, string>): Partial<Healthcheck> {
  const fields: [string, number][] = [...options].map(([name, value]) => {
    if (name === "retries") {
      if (!/^[1-9]\d*$/.test(value)) throw wrong(`--retries must be at least 1 (not ${value})`);
      return ["Retries", Number(value)];
    }
    const field = healthFields[name];
    if (field === undefined) throw wrong(`unknown flag: ${name}`);
    return [field, durationNs(value)];
  });
  return Object.fromEntries(fields);
}

function durationNs(text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map(([whole]) => whole).join("") !== text)
    throw wrong(`time: invalid duration "${text}"`);
  return parts.reduce((sum, [, number = "", unit = ""]) => sum + Number(number) * (nsPerUnit[unit] ?? 0), 0);
}

function wrong(message: string): OnggiError {
  return new OnggiError("invalid", message);
}
