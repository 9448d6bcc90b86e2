import { OnggiError } from "../base/error.ts";

/** The `filters` of a query: values by name. Within a name any value suffices, all names must be met. */
export class Filters {
  readonly #values: ReadonlyMap<string, readonly string[]>;

  private constructor(values: ReadonlyMap<string, readonly string[]>) {
    this.#values = values;
  }

  /**
   * Reads `{"name": ["a"]}` or the older `{"name": {"a": true}}`.
   *
   * @throws OnggiError `invalid` for a name that isn't among `known`, or what is no such JSON
   */
  static parse(text: string, known: readonly string[]): Filters {
    const values = new Map<string, readonly string[]>();
    if (text === "") return new Filters(values);
    for (const [name, given] of Object.entries(parseObject(text))) {
      if (!known.includes(name))
        throw new OnggiError("invalid", `invalid filter '${name}'`, { hint: `Known are ${known.join(", ")}.` });
      values.set(name, valuesOf(given));
    }
    return new Filters(values);
  }

  values(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  has(name: string): boolean {
    return this.values(name).length > 0;
  }

  /** No value asked for, or the test holds for one. */
  any(name: string, test: (value: string) => boolean): boolean {
    const values = this.values(name);
    return values.length === 0 || values.some(test);
  }

  /** Every value asked for holds: how labels are filtered. */
  every(name: string, test: (value: string) => boolean): boolean {
    return this.values(name).every(test);
  }

  /** One of a few texts, or a regular expression that is found in one. */
  matches(name: string, ...texts: readonly string[]): boolean {
    return this.any(name, (value) => texts.includes(value) || texts.some((text) => isFound(value, text)));
  }

  /** `key` or `key=value`, of which all must be there. */
  matchesLabels(labels: Readonly<Record<string, string>>): boolean {
    return (
      this.every("label", (value) => hasLabel(labels, value)) &&
      this.every("label!", (value) => !hasLabel(labels, value))
    );
  }

  /** @throws OnggiError `invalid` for what is neither true nor false */
  flag(name: string): boolean | undefined {
    const [value] = this.values(name);
    if (value === undefined) return undefined;
    if (/^(1|true)$/i.test(value)) return true;
    if (/^(0|false)$/i.test(value)) return false;
    throw new OnggiError("invalid", `invalid filter '${name}=[${value}]'`);
  }
}

function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const at = wanted.indexOf("=");
  if (at < 0) return Object.hasOwn(labels, wanted);
  return labels[wanted.slice(0, at)] === wanted.slice(at + 1);
}

function isFound(expression: string, text: string): boolean {
  try {
    return new RegExp(expression).test(text);
  } catch {
    return false;
  }
}

function parseObject(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Said below, as for JSON of another form.
  }
  throw new OnggiError("invalid", "invalid filter", { hint: 'Filters are JSON: {"name": ["value"]}.' });
}

function valuesOf(given: unknown): readonly string[] {
  if (Array.isArray(given)) return given.map(String);
  if (typeof given === "object" && given !== null) return Object.keys(given);
  throw new OnggiError("invalid", "invalid filter", { hint: 'Filters are JSON: {"name": ["value"]}.' });
}
