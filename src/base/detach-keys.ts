import { OnggiError } from "../base/error.ts";

export const defaultDetachKeys = "ctrl-p,ctrl-q";

/** The bytes of `ctrl-p,ctrl-q` or `a,b`; throws `invalid`. An empty text detaches by nothing. */
export function parseDetachKeys(text: string): readonly number[] {
  if (text === "") return [];
  return text.split(",").map((key) => {
    const control = /^ctrl-([a-z@[\\\]^_])$/.exec(key)?.[1];
    if (control !== undefined) return control.toUpperCase().charCodeAt(0) & 0x1f;
    if (key.length === 1 && key.charCodeAt(0) < 128) return key.charCodeAt(0);
    throw new OnggiError("invalid", `invalid detach keys (${text}): unknown character: '${key}'`, {
      hint: "Keys are single characters or ctrl-a to ctrl-z, parted by commas.",
    });
  });
}

/** Watches input for the keys that detach; holds back what may be their beginning. */
export class DetachScanner {
  readonly #keys: readonly number[];
  #matched = 0;

  constructor(keys: readonly number[]) {
    this.#keys = keys;
  }

  /** What may be passed on, and whether the keys were complete: then the rest of the input is dropped. */
  scan(data: Uint8Array): { readonly pass: Uint8Array; readonly detached: boolean } {
    if (this.#keys.length === 0) return { pass: data, detached: false };
    const pass: number[] = [];
    for (const byte of data) {
      if (byte === this.#keys[this.#matched]) {
        this.#matched++;
        if (this.#matched === this.#keys.length) return { pass: Uint8Array.from(pass), detached: true };
        continue;
      }
      pass.push(...this.#keys.slice(0, this.#matched));
      this.#matched = byte === this.#keys[0] ? 1 : 0;
      if (this.#matched === 0) pass.push(byte);
    }
    return { pass: Uint8Array.from(pass), detached: false };
  }
}
