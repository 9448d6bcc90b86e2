import { OnggiError } from "../../../base/error.ts";
import type { Seccomp, SeccompAction, SeccompRule } from "../../../oci/runtime-spec.ts";
import type { Architecture } from "../host-facts.ts";
import { Assembler, type Label } from "./bpf.ts";
import { type CallTable, callTables } from "./syscalls.ts";

/** Offsets in struct seccomp_data. */
const numberAt = 0;
const archAt = 4;
const argumentAt = (index: number) => 16 + 8 * index;

const EPERM = 1;
const ENOSYS = 38;
/** Numbers left out within a table were calls once, or never will be one. */
const widestGap = 1000;
/** `linux/bpf_common.h`: BPF_MAXINSNS. */
const maxInstructions = 4096;

const returnErrno = (errno: number) => 0x00050000 | (errno & 0xffff);
const killProcess = 0x80000000;

const compiled = new WeakMap<Seccomp, Uint8Array | "none">();

/**
 * Compiles a profile into a BPF filter, a balanced tree over ranges of call numbers; compiled once for each profile object.
 *
 * Rules of one call apply in the profile's order; where none matches, and for calls no rule names, the default action holds.
 * A call newer than all that this table knows gets ENOSYS where the default is to refuse, so that a C library falls back to
 * older calls instead of taking EPERM for an answer.
 *
 * @returns undefined when it would allow everything
 */
export function compileFilter(seccomp: Seccomp, architecture: Architecture): Uint8Array | undefined {
  const known = compiled.get(seccomp);
  if (known !== undefined) return known === "none" ? undefined : known;
  const filter = seccompFilter(seccomp, architecture);
  compiled.set(seccomp, filter ?? "none");
  return filter;
}

function seccompFilter(seccomp: Seccomp, architecture: Architecture): Uint8Array | undefined {
  if (seccomp.defaultAction === "SCMP_ACT_ALLOW" && (seccomp.syscalls ?? []).length === 0) return undefined;
  const [native, ...others] = callTables[architecture];
  if (native === undefined) throw new OnggiError("internal", `no table of system calls for ${architecture}`);
  const listed = (table: CallTable) => seccomp.architectures?.includes(table.name) === true;
  const tables = [native, ...others.filter(listed)];

  const code = new Assembler();
  let other = code.ret(killProcess);
  for (const auditArch of new Set(tables.map((table) => table.auditArch)).values().toArray().toReversed()) {
    const sharing = tables.filter((table) => table.auditArch === auditArch);
    code.enter(numberTree(code, callRanges(seccomp, sharing)));
    const entry = code.load(numberAt);
    other = code.jump("jeq", auditArch, entry, other);
  }
  code.load(archAt);
  if (code.length > maxInstructions) {
    throw new OnggiError(
      "unsupported",
      `the seccomp profile compiles to ${code.length} instructions, the kernel takes ${maxInstructions}`,
      {
        hint: "Use fewer rules with arguments.",
      },
    );
  }
  return code.assemble();
}

/** What happens from a call's number on, up to the next range. */
interface CallRange {
  readonly start: number;
  /** A plain answer, or rules that look at arguments. */
  readonly answer: number | readonly SeccompRule[];
}

/** The answers for all numbers that share one AUDIT_ARCH, neighbours with the same answer joined. */
function callRanges(seccomp: Seccomp, tables: readonly CallTable[]): CallRange[] {
  const defaultAnswer = answerOf(seccomp.defaultAction, seccomp.defaultErrnoRet);
  const unknownAnswer = seccomp.defaultAction === "SCMP_ACT_ERRNO" ? returnErrno(ENOSYS) : defaultAnswer;
  const x32Bit = 0x40000000;
  const ranges: CallRange[] = [];
  const add = (start: number, answer: CallRange["answer"]) => {
    if (ranges.at(-1)?.answer !== answer) ranges.push({ start, answer });
  };
  let end = 0;
  for (const { base, numbers } of tables) {
    if (base > end) add(end, unknownAnswer);
    end = Math.max(end, base);
    const rules = rulesByNumber(seccomp, numbers);
    for (const number of [...numbers.values()].toSorted((a, b) => a - b)) {
      const at = base + number;
      // ARM's own calls lie far above the others: what is between them may become a call one day.
      if (at > end) add(end, at - end > widestGap ? unknownAnswer : defaultAnswer);
      add(at, rules.get(number) ?? defaultAnswer);
      end = at + 1;
    }
  }
  // Without x32 its numbers are another architecture's, which nothing was said about.
  add(end, unknownAnswer);
  if (end < x32Bit && tables[0]?.name === "SCMP_ARCH_X86_64") add(x32Bit, killProcess);
  return ranges;
}

/** Rules of each call in the table; where one of them is without conditions, its answer alone. */
function rulesByNumber(seccomp: Seccomp, numbers: ReadonlyMap<string, number>): Map<number, CallRange["answer"]> {
  const byNumber = new Map<number, SeccompRule[]>();
  for (const rule of seccomp.syscalls ?? []) {
    for (const name of rule.names) {
      const number = numbers.get(name);
      if (number === undefined) continue; // another architecture's, or newer than the table
      const rules = byNumber.get(number);
      if (rules === undefined) byNumber.set(number, [rule]);
      else rules.push(rule);
    }
  }
  const answers = new Map<number, CallRange["answer"]>();
  for (const [number, rules] of byNumber) {
    const always = rules.find(({ args = [] }) => args.length === 0);
    answers.set(number, always === undefined ? conditional(rules, seccomp) : answerOf(always.action, always.errnoRet));
  }
  return answers;
}

/** The default ends every chain, so it travels as the last rule. */
function conditional(
  rules: readonly SeccompRule[],
  { defaultAction, defaultErrnoRet }: Seccomp,
): readonly SeccompRule[] {
  const last = {
    names: [],
    action: defaultAction,
    ...(defaultErrnoRet === undefined ? {} : { errnoRet: defaultErrnoRet }),
  };
  return [...rules, last];
}

function numberTree(code: Assembler, ranges: readonly CallRange[]): Label {
  const [only] = ranges;
  if (ranges.length === 1 && only !== undefined) return answer(code, only.answer);
  const middle = ranges.length >> 1;
  const pivot = ranges[middle];
  if (pivot === undefined) throw new OnggiError("internal", "a filter's tree has an empty branch");
  const high = numberTree(code, ranges.slice(middle));
  const low = numberTree(code, ranges.slice(0, middle));
  return code.jump("jge", pivot.start, high, low);
}

function answer(code: Assembler, answer: CallRange["answer"]): Label {
  if (typeof answer === "number") return code.ret(answer);
  let otherwise: Label | undefined;
  for (const rule of answer.toReversed()) {
    const matched = () => code.ret(answerOf(rule.action, rule.errnoRet));
    otherwise = otherwise === undefined ? matched() : allOf(code, rule.args ?? [], matched(), otherwise);
  }
  if (otherwise === undefined) throw new OnggiError("internal", "a rule of a filter has no end");
  return otherwise;
}

type Condition = NonNullable<SeccompRule["args"]>[number];

function allOf(code: Assembler, conditions: readonly Condition[], yes: Label, no: Label): Label {
  return conditions.toReversed().reduce((next, condition) => test(code, condition, next, no), yes);
}

/** Compares one argument, 64 bits in two words. */
function test(code: Assembler, { index, value, valueTwo = 0, op }: Condition, yes: Label, no: Label): Label {
  if (!Number.isInteger(index) || index < 0 || index > 5) {
    throw new OnggiError("invalid", `seccomp rule: there is no argument ${index}`, {
      hint: "Arguments are numbered 0 to 5.",
    });
  }
  const [high, low] = words(value);
  const words64 = { at: argumentAt(index), high, low };
  switch (op) {
    case "SCMP_CMP_EQ":
      return equal(code, words64, yes, no);
    case "SCMP_CMP_NE":
      return equal(code, words64, no, yes);
    case "SCMP_CMP_GE":
      return above(code, words64, "jge", yes, no);
    case "SCMP_CMP_LT":
      return above(code, words64, "jge", no, yes);
    case "SCMP_CMP_GT":
      return above(code, words64, "jgt", yes, no);
    case "SCMP_CMP_LE":
      return above(code, words64, "jgt", no, yes);
    case "SCMP_CMP_MASKED_EQ": {
      const [wantedHigh, wantedLow] = words(valueTwo);
      return maskedEqual(code, { at: words64.at, high: wantedHigh, low: wantedLow }, { high, low }, yes, no);
    }
    default:
      throw new OnggiError("invalid", `seccomp rule: unknown operator ${String(op)}`);
  }
}

interface Words {
  /** Where the low word lies in seccomp_data; the high one follows. */
  readonly at: number;
  readonly high: number;
  readonly low: number;
}

function equal(code: Assembler, { at, high, low }: Words, yes: Label, no: Label): Label {
  code.jump("jeq", low, yes, no);
  const lowTest = code.load(at);
  code.jump("jeq", high, lowTest, no);
  return code.load(at + 4);
}

function above(code: Assembler, { at, high, low }: Words, lowTest: "jge" | "jgt", yes: Label, no: Label): Label {
  code.jump(lowTest, low, yes, no);
  const lowEntry = code.load(at);
  const sameHigh = code.jump("jeq", high, lowEntry, no);
  code.jump("jgt", high, yes, sameHigh);
  return code.load(at + 4);
}

function maskedEqual(code: Assembler, wanted: Words, mask: Omit<Words, "at">, yes: Label, no: Label): Label {
  code.jump("jeq", wanted.low, yes, no);
  code.and(mask.low);
  const lowTest = code.load(wanted.at);
  if (mask.high === 0 && wanted.high === 0) return lowTest;
  code.jump("jeq", wanted.high, lowTest, no);
  code.and(mask.high);
  return code.load(wanted.at + 4);
}

function words(value: number | bigint): [high: number, low: number] {
  const bits = BigInt.asUintN(64, BigInt(value));
  return [Number(bits >> 32n), Number(bits & 0xffffffffn)];
}

/** SECCOMP_RET_*: `linux/seccomp.h`. */
function answerOf(action: SeccompAction, errno: number = EPERM): number {
  switch (action) {
    case "SCMP_ACT_ALLOW":
      return 0x7fff0000;
    case "SCMP_ACT_ERRNO":
      return returnErrno(errno);
    case "SCMP_ACT_KILL":
    case "SCMP_ACT_KILL_THREAD":
      return 0;
    case "SCMP_ACT_KILL_PROCESS":
      return killProcess;
    case "SCMP_ACT_TRAP":
      return 0x00030000;
    case "SCMP_ACT_TRACE":
      return 0x7ff00000 | (errno & 0xffff);
    case "SCMP_ACT_LOG":
      return 0x7ffc0000;
    case "SCMP_ACT_NOTIFY":
      throw new OnggiError("unsupported", "seccomp action SCMP_ACT_NOTIFY is not supported");
    default:
      throw new OnggiError("invalid", `unknown seccomp action ${String(action)}`);
  }
}
