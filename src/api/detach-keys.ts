import { OnggiError } from "../base/error.ts";

const initialKeys = "ctrl-p,ctrl-q";

/**
 * The bytes of `ctrl-p,ctrl-q`, which are also what an empty text means.
 *
 * @throws OnggiError `invalid`
 */
export function parseDetachKeys(text: string): readonly number[] {
  return (text || initialKeys).split(",").map((key) => {
    const control = /^ctrl-([a-z@[\\\]^_])$/.exec(key)?.[1];
    if (control !== undefined) return control.toUpperCase().charCodeAt(0) - 64;
    if (/^[\x20-\x7e]$/.test(key)) return key.charCodeAt(0);
    throw new OnggiError("invalid", `invalid detach keys (${text}): Unknown character: '${key}'`);
  });
}

/** Lets input through until the keys come; what may be their beginning is held back until it is known. */
export class DetachGate {
  readonly #keys: readonly number[];
  #matched = 0;

  constructor(keys: readonly number[]) {
    this.#keys = keys;
  }

  /** What goes on to the process, and whether the keys are complete now. */
  pass(data: Uint8Array): { readonly data: Uint8Array; readonly detached: boolean } {
    if (this.#matched === 0 && !data.includes(this.#keys[0] ?? -1)) return { data, detached: false };
    const passed: number[] = [];
    for (const byte of data) {
      if (byte !== this.#keys[this.#matched]) {
        passed.push(...this.#keys.slice(0, this.#matched));
        this.#matched = 0;
      }
      if (byte === this.#keys[this.#matched]) this.#matched++;
      else passed.push(byte);
      if (this.#matched === this.#keys.length) return { data: Uint8Array.from(passed), detached: true };
    }
    return { data: Uint8Array.from(passed), detached: false };
  }
}
