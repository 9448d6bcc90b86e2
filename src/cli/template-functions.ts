import { OnggiError } from "../base/error.ts";

type Lazy = () => unknown;

/** Calls a function of the template language; its arguments are evaluated when it asks for them. */
export function callFunction(name: string, args: readonly Lazy[]): unknown {
  if (name === "and") return shortCircuit(args, (value) => !isTrue(value));
  if (name === "or") return shortCircuit(args, isTrue);
  const known = Object.hasOwn(functions, name) ? functions[name] : undefined;
  if (known === undefined) throw new OnggiError("invalid", `template: :1: function "${name}" not defined`);
  return known(...args.map((arg) => arg()));
}

/** What Go counts as true: not zero, not empty, not nil. */
export function isTrue(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === 0 || value === "") return false;
  if (Array.isArray(value)) return value.length > 0;
  return typeof value !== "object" || Object.keys(value).length > 0;
}

/** How Go prints a value: `[a b]`, `map[k:v]`, `<nil>`. */
export function printed(value: unknown): string {
  if (value === undefined) return "<no value>";
  if (value === null) return "<nil>";
  if (Array.isArray(value)) return `[${value.map(printed).join(" ")}]`;
  if (typeof value === "object") {
    return `map[${entriesOf(value)
      .map(([key, item]) => `${key}:${printed(item)}`)
      .join(" ")}]`;
  }
  return String(value);
}

const functions: Readonly<Record<string, (...args: unknown[]) => unknown>> = {
  json: (value) => JSON.stringify(value ?? null),
  split: (text, separator) => printed(text).split(printed(separator)),
  join: (items, separator) => listOf(items).map(printed).join(printed(separator)),
  lower: (text) => printed(text).toLowerCase(),
  upper: (text) => printed(text).toUpperCase(),
  title: (text) => printed(text).replace(/(^|[\s-])(\p{Ll})/gu, (_, before, letter) => before + letter.toUpperCase()),
  pad: (text, before, after) =>
    text === "" ? "" : " ".repeat(Number(before)) + printed(text) + " ".repeat(Number(after)),
  truncate: (text, length) => [...printed(text)].slice(0, Number(length)).join(""),
  print: (...values) => values.map(printed).join(" "),
  println: (...values) => `${values.map(printed).join(" ")}\n`,
  printf: (format, ...values) => formatted(printed(format), values),
  len: (value) =>
    typeof value === "string"
      ? Buffer.byteLength(value)
      : Array.isArray(value)
        ? value.length
        : Object.keys(Object(value)).length,
  index: (value, ...keys) => keys.reduce(element, value),
  slice: (value, start = 0, end = undefined) =>
    typeof value === "string" || Array.isArray(value)
      ? value.slice(Number(start), end === undefined ? undefined : Number(end))
      : value,
  not: (value) => !isTrue(value),
  eq: (first, ...others) => others.some((other) => same(first, other)),
  ne: (a, b) => !same(a, b),
  lt: (a, b) => compare(a, b) < 0,
  le: (a, b) => compare(a, b) <= 0,
  gt: (a, b) => compare(a, b) > 0,
  ge: (a, b) => compare(a, b) >= 0,
  urlquery: (text) => encodeURIComponent(printed(text)),
  html: (text) => printed(text).replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`),
};

function shortCircuit(args: readonly Lazy[], decides: (value: unknown) => boolean): unknown {
  let value: unknown;
  for (const arg of args) {
    value = arg();
    if (decides(value)) break;
  }
  return value;
}

function element(value: unknown, key: unknown): unknown {
  if (Array.isArray(value)) {
    const item: unknown = value[Number(key)];
    if (item !== undefined) return item;
    throw new OnggiError("invalid", `template: error calling index: index out of range: ${printed(key)}`);
  }
  if (typeof value === "string") return value.codePointAt(Number(key));
  if (typeof value === "object" && value !== null) {
    return Object.hasOwn(value, String(key)) ? Reflect.get(value, String(key)) : "";
  }
  throw new OnggiError("invalid", `template: error calling index: index of untyped nil`);
}

function same(a: unknown, b: unknown): boolean {
  return a === b || ((a ?? null) === null && (b ?? null) === null);
}

function compare(a: unknown, b: unknown): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "string" && typeof b === "string") return a < b ? -1 : a > b ? 1 : 0;
  throw new OnggiError("invalid", "template: incompatible types for comparison");
}

function listOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  if (value === null || value === undefined || value === "") return [];
  throw new OnggiError("invalid", `template: ${printed(value)} is no list`);
}

function entriesOf(value: object): [string, unknown][] {
  return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Go's verbs that make sense for JSON: `%s %d %v %q %x %f %t %%`, with flags, width and precision. */
function formatted(format: string, values: readonly unknown[]): string {
  let next = 0;
  const text = format.replace(
    /%([-+0 #]*)(\d*)(?:\.(\d+))?([a-zA-Z%])/g,
    (_, flags: string, width: string, digits, verb: string) => {
      if (verb === "%") return "%";
      if (next >= values.length) return `%!${verb}(MISSING)`;
      const body = oneVerb(verb, values[next++], digits === undefined ? undefined : Number(digits), flags);
      if (flags.includes("-")) return body.padEnd(Number(width));
      return body.padStart(Number(width), flags.includes("0") ? "0" : " ");
    },
  );
  const extra = values.slice(next);
  return extra.length === 0
    ? text
    : `${text}%!(EXTRA ${extra.map((value) => `${goType(value)}=${printed(value)}`).join(", ")})`;
}

function oneVerb(verb: string, value: unknown, digits: number | undefined, flags: string): string {
  const sign = flags.includes("+") && typeof value === "number" && value >= 0 ? "+" : "";
  if (verb === "q")
    return Array.isArray(value)
      ? `[${value.map((item) => JSON.stringify(printed(item))).join(" ")}]`
      : JSON.stringify(printed(value));
  if (verb === "d" && typeof value === "number") return sign + String(value);
  if (verb === "x" && typeof value === "number") return value.toString(16);
  if (verb === "x") return Buffer.from(printed(value)).toString("hex");
  if (verb === "f" && typeof value === "number") return sign + value.toFixed(digits ?? 6);
  if (verb === "t" && typeof value === "boolean") return String(value);
  if (verb === "v") return printed(value);
  if (verb === "s" && typeof value !== "number" && typeof value !== "boolean") {
    return digits === undefined ? printed(value) : printed(value).slice(0, digits);
  }
  return `%!${verb}(${goType(value)}=${printed(value)})`;
}

function goType(value: unknown): string {
  if (typeof value === "number") return Number.isInteger(value) ? "int" : "float64";
  if (typeof value === "boolean") return "bool";
  return typeof value === "string" ? "string" : "interface {}";
}
