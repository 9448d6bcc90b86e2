import type { Architecture } from "../host-facts.ts";
import { aarch64Syscalls } from "./syscalls-aarch64.ts";
import { armSyscalls } from "./syscalls-arm.ts";
import { i386Syscalls } from "./syscalls-i386.ts";
import { x32Syscalls, x86_64Syscalls } from "./syscalls-x86-64.ts";

/** One way to call the kernel: what seccomp_data.arch holds, and which number is which call. */
export interface CallTable {
  /** Name in a profile's list of architectures. */
  readonly name: string;
  /** AUDIT_ARCH_*: `linux/audit.h`. */
  readonly auditArch: number;
  /** Added to each number: x32 shares its AUDIT_ARCH with x86_64 and sets bit 30. */
  readonly base: number;
  readonly numbers: ReadonlyMap<string, number>;
}

const x86_64: CallTable = { name: "SCMP_ARCH_X86_64", auditArch: 0xc000003e, base: 0, numbers: parse(x86_64Syscalls) };
const x32: CallTable = { name: "SCMP_ARCH_X32", auditArch: 0xc000003e, base: 0x40000000, numbers: parse(x32Syscalls) };
const i386: CallTable = { name: "SCMP_ARCH_X86", auditArch: 0x40000003, base: 0, numbers: parse(i386Syscalls) };
const aarch64: CallTable = {
  name: "SCMP_ARCH_AARCH64",
  auditArch: 0xc00000b7,
  base: 0,
  numbers: parse(aarch64Syscalls),
};
const arm: CallTable = { name: "SCMP_ARCH_ARM", auditArch: 0x40000028, base: 0, numbers: parse(armSyscalls) };

/** The tables that a processor has, its own first. */
export const callTables: Readonly<Record<Architecture, readonly CallTable[]>> = {
  x86_64: [x86_64, x32, i386],
  aarch64: [aarch64, arm],
};

function parse(text: string): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>();
  let next = 0;
  for (const word of text.trim().split(/\s+/)) {
    if (/^\d+$/.test(word)) next = Number(word);
    else numbers.set(word, next++);
  }
  return numbers;
}
