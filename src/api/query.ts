import { OnggiError } from "../base/error.ts";

const falseWords = ["", "0", "no", "false", "none"];

/** The query of a request. A name without a value counts as an empty text, as in Go. */
export class Query {
  readonly #parameters: URLSearchParams;

  constructor(text: string) {
    this.#parameters = new URLSearchParams(text);
  }

  text(name: string): string {
    return this.#parameters.get(name) ?? "";
  }

  all(name: string): readonly string[] {
    return this.#parameters.getAll(name);
  }

  /** Docker's idea of a boolean: all is true but these few words. */
  flag(name: string, initial = false): boolean {
    const value = this.#parameters.get(name);
    return value === null ? initial : !falseWords.includes(value.trim().toLowerCase());
  }

  /** @throws OnggiError `invalid` for what is no whole number */
  integer(name: string): number | undefined {
    const value = this.#parameters.get(name);
    if (value === null || value === "") return undefined;
    if (!/^[+-]?\d+$/.test(value))
      throw new OnggiError("invalid", `invalid value for "${name}": "${value}" is not a whole number`);
    return Number(value);
  }
}
