/** Classic BPF as seccomp runs it, over struct seccomp_data: seccomp(2), bpf(4). */

const LD_W_ABS = 0x20;
const ALU_AND_K = 0x54;
const JMP_JA = 0x05;
const JMP_JEQ = 0x15;
const JMP_JGT = 0x25;
const JMP_JGE = 0x35;
const RET_K = 0x06;

const jumps = { jeq: JMP_JEQ, jgt: JMP_JGT, jge: JMP_JGE } as const;

/** An instruction's place, counted from the end: nothing moves when more is put in front. */
export type Label = number;

/** Conditional jumps have a byte for the distance. */
const maxDistance = 255;

/**
 * Assembles a filter from its end to its start, since BPF only jumps forward: what is jumped to exists already.
 *
 * Each method puts one instruction in front (and, where a target is too far for a byte, a longer jump) and returns its place.
 */
export class Assembler {
  /** The last instruction first. */
  readonly #code: { readonly code: number; readonly jt: number; readonly jf: number; readonly k: number }[] = [];
  readonly #returns = new Map<number, Label>();

  get length(): number {
    return this.#code.length;
  }

  /** Ends with `value`; an earlier return of the same is used again while a jump reaches it. */
  ret(value: number): Label {
    const known = this.#returns.get(value);
    // Some room is left for the instructions that come between this call and the jump.
    if (known !== undefined && this.#code.length - known < maxDistance - 8) return known;
    const label = this.#emit(RET_K, 0, 0, value);
    this.#returns.set(value, label);
    return label;
  }

  /** Loads a word of seccomp_data, then goes on with the instruction put in last. */
  load(offset: number): Label {
    return this.#emit(LD_W_ABS, 0, 0, offset);
  }

  /** Masks what is loaded, then goes on with the instruction put in last. */
  and(mask: number): Label {
    return this.#emit(ALU_AND_K, 0, 0, mask);
  }

  /** Makes `label` what an instruction put in front now goes on with. */
  enter(label: Label): void {
    if (label !== this.#code.length - 1) this.#emit(JMP_JA, 0, 0, this.#code.length - label - 1);
  }

  /** Compares what is loaded, unsigned. */
  jump(test: keyof typeof jumps, value: number, whenTrue: Label, whenFalse: Label): Label {
    const yes = this.#near(whenTrue, 1);
    const no = this.#near(whenFalse, 0);
    const at = this.#code.length;
    return this.#emit(jumps[test], at - yes - 1, at - no - 1, value);
  }

  /** The filter as an array of struct sock_filter, in the byte order of both architectures. */
  assemble(): Uint8Array {
    const bytes = new Uint8Array(this.#code.length * 8);
    const view = new DataView(bytes.buffer);
    for (const [index, { code, jt, jf, k }] of this.#code.toReversed().entries()) {
      view.setUint16(index * 8, code, true);
      view.setUint8(index * 8 + 2, jt);
      view.setUint8(index * 8 + 3, jf);
      view.setUint32(index * 8 + 4, k, true);
    }
    return bytes;
  }

  /** A place from which `label` is reached: itself, or a jump to it put in front. `more` instructions may follow before the jump. */
  #near(label: Label, more: number): Label {
    const distance = this.#code.length - label - 1;
    if (distance + more <= maxDistance) return label;
    return this.#emit(JMP_JA, 0, 0, distance);
  }

  #emit(code: number, jt: number, jf: number, k: number): Label {
    this.#code.push({ code, jt, jf, k: k >>> 0 });
    return this.#code.length - 1;
  }
}
