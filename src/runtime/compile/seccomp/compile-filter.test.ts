import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { runFilter } from "../../../../test/bpf-machine.ts";
import type { Seccomp, SeccompRule } from "../../../oci/runtime-spec.ts";
import { compileFilter } from "./compile-filter.ts";
import { defaultProfile, defaultSeccomp } from "./default-profile.ts";
import { parseProfile, resolveProfile } from "./profile.ts";
import { callTables } from "./syscalls.ts";

const allow = 0x7fff0000;
const errno = (number: number) => 0x50000 | number;
const kill = 0x80000000;
const x86_64 = 0xc000003e;
const i386 = 0x40000003;

const dockerCapabilities = [
  "CHOWN",
  "DAC_OVERRIDE",
  "FSETID",
  "FOWNER",
  "MKNOD",
  "NET_RAW",
  "SETGID",
  "SETUID",
  "SETFCAP",
  "SETPCAP",
  "NET_BIND_SERVICE",
  "SYS_CHROOT",
  "KILL",
  "AUDIT_WRITE",
].map((name) => `CAP_${name}`);
const facts = { architecture: "x86_64", kernel: [6, 1], capabilities: dockerCapabilities } as const;

function filterOf(seccomp: Seccomp, architecture: "x86_64" | "aarch64" = "x86_64"): Uint8Array {
  const filter = compileFilter(seccomp, architecture);
  assert.ok(filter);
  return filter;
}

/** The answer by the profile's words alone, one rule after the other. */
function expected(seccomp: Seccomp, name: string | undefined, args: readonly bigint[]): number {
  const answer = (action: string, errnoRet = 1) => {
    if (action === "SCMP_ACT_ALLOW") return allow;
    return action === "SCMP_ACT_ERRNO" ? errno(errnoRet) : kill;
  };
  const rules = (seccomp.syscalls ?? []).filter(({ names }) => name !== undefined && names.includes(name));
  const always = rules.find(({ args = [] }) => args.length === 0);
  const rule = always ?? rules.find((candidate) => (candidate.args ?? []).every((condition) => holds(condition, args)));
  return rule === undefined
    ? answer(seccomp.defaultAction, seccomp.defaultErrnoRet)
    : answer(rule.action, rule.errnoRet);
}

function holds(
  { index, op, value, valueTwo = 0 }: NonNullable<SeccompRule["args"]>[number],
  args: readonly bigint[],
): boolean {
  const arg = BigInt.asUintN(64, args[index] ?? 0n);
  const wanted = BigInt.asUintN(64, BigInt(value));
  switch (op) {
    case "SCMP_CMP_EQ":
      return arg === wanted;
    case "SCMP_CMP_NE":
      return arg !== wanted;
    case "SCMP_CMP_LT":
      return arg < wanted;
    case "SCMP_CMP_LE":
      return arg <= wanted;
    case "SCMP_CMP_GE":
      return arg >= wanted;
    case "SCMP_CMP_GT":
      return arg > wanted;
    case "SCMP_CMP_MASKED_EQ":
      return (arg & wanted) === BigInt(valueTwo);
  }
}

describe("compileFilter", () => {
  it("answers every call of the default profile as the profile says", () => {
    const seccomp = defaultSeccomp(facts);
    const filter = filterOf(seccomp);
    const interesting = [
      0n,
      1n,
      8n,
      40n,
      0x20000n,
      0x20008n,
      0xffffffffn,
      0x10000n,
      0x7e020000n,
      0x100000000n,
      0xffffffff00000008n,
    ];

    for (const { auditArch, base, numbers } of callTables.x86_64) {
      const names = new Map([...numbers].map(([name, number]) => [number, name]));
      for (let number = 0; number <= Math.max(...names.keys()); number++) {
        for (const value of interesting) {
          const args = [value, value];
          const got = runFilter(filter, { arch: auditArch, number: base + number, args });
          assert.equal(got, expected(seccomp, names.get(number), args), `${names.get(number) ?? number} with ${value}`);
        }
      }
    }
  });

  it("compares arguments as 64 bits, with each operator", () => {
    const operators = ["EQ", "NE", "LT", "LE", "GE", "GT", "MASKED_EQ"].map((name) => `SCMP_CMP_${name}`);
    const word = fc.oneof(
      fc.bigInt(0n, 4n),
      fc.bigInt(0n, (1n << 64n) - 1n),
      fc.constantFrom(0xffffffffn, 0x100000000n, (1n << 64n) - 1n),
    );
    const condition = fc.record({ index: fc.nat(5), op: fc.constantFrom(...operators), value: word, valueTwo: word });
    const rule = fc.record({
      names: fc.constant(["read"]),
      action: fc.constant("SCMP_ACT_ALLOW"),
      args: fc.array(condition, { minLength: 1, maxLength: 3 }),
    });

    fc.assert(
      fc.property(
        fc.array(rule, { minLength: 1, maxLength: 4 }),
        fc.array(word, { minLength: 6, maxLength: 6 }),
        (syscalls, words) => {
          const seccomp = { defaultAction: "SCMP_ACT_ERRNO", syscalls } as unknown as Seccomp;
          // Arguments that are near what is asked for, else nearly nothing would match.
          const values = syscalls.flatMap(({ args }) => args.map(({ value }) => value));
          for (const args of [words, words.map((_, index) => values[index % values.length] ?? 0n)]) {
            assert.equal(
              runFilter(filterOf(seccomp), { arch: x86_64, number: 0, args }),
              expected(seccomp, "read", args),
            );
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it("says that calls newer than the table aren't there, so that programs fall back", () => {
    const filter = filterOf(defaultSeccomp(facts));

    assert.equal(runFilter(filter, { arch: x86_64, number: 2000 }), errno(38));
    assert.equal(runFilter(filter, { arch: i386, number: 2000 }), errno(38));
  });

  it("kills a call by another architecture", () => {
    assert.equal(runFilter(filterOf(defaultSeccomp(facts)), { arch: 0xc00000b7, number: 0 }), kill);
    const nativeOnly: Seccomp = { defaultAction: "SCMP_ACT_ERRNO", architectures: ["SCMP_ARCH_X86_64"], syscalls: [] };
    assert.equal(runFilter(filterOf(nativeOnly), { arch: i386, number: 3 }), kill);
    assert.equal(runFilter(filterOf(nativeOnly), { arch: x86_64, number: 0x40000000 }), kill);
  });

  it("stays short enough to install quickly", () => {
    const filter = filterOf(defaultSeccomp(facts));

    assert.ok(filter.length / 8 <= 450, `${filter.length / 8} instructions`);
    assert.equal(compileFilter(defaultSeccomp(facts), "x86_64"), filter);
  });

  it("needs no filter where everything is allowed", () => {
    assert.equal(compileFilter({ defaultAction: "SCMP_ACT_ALLOW" }, "x86_64"), undefined);
  });

  it("knows aarch64", () => {
    const filter = filterOf(resolveProfile(defaultProfile, { ...facts, architecture: "aarch64" }), "aarch64");

    assert.equal(runFilter(filter, { arch: 0xc00000b7, number: 63 }), allow); // read
    assert.equal(runFilter(filter, { arch: 0xc00000b7, number: 40 }), errno(1)); // mount
    const arm = (number: number) => runFilter(filter, { arch: 0x40000028, number });
    assert.deepEqual([arm(3), arm(21), arm(0xf0005)], [allow, errno(1), allow]); // read, mount, set_tls
    assert.deepEqual([arm(5000), arm(0xf0100)], [errno(38), errno(38)]);
  });
});

describe("the default profile", () => {
  const number = (name: string) => callTables.x86_64[0]?.numbers.get(name) ?? assert.fail(name);
  const ask = (name: string, args: readonly bigint[] = [], capabilities: readonly string[] = dockerCapabilities) =>
    runFilter(filterOf(defaultSeccomp({ ...facts, capabilities })), { arch: x86_64, number: number(name), args });

  it("lets programs make threads but no namespaces", () => {
    assert.equal(ask("clone", [0x3d0f00n]), allow);
    assert.equal(ask("clone", [0x10000000n]), errno(1));
    assert.equal(ask("clone3"), errno(38));
    assert.equal(ask("unshare"), errno(1));
  });

  it("follows the capabilities", () => {
    assert.equal(ask("mount"), errno(1));
    assert.equal(ask("mount", [], ["CAP_SYS_ADMIN"]), allow);
    assert.equal(ask("clone3", [], ["CAP_SYS_ADMIN"]), allow);
    assert.equal(ask("chroot"), allow);
    assert.equal(ask("chroot", [], []), errno(1));
  });

  it("keeps sockets to the hypervisor's host closed", () => {
    assert.equal(ask("socket", [2n]), allow);
    assert.equal(ask("socket", [40n]), errno(1));
  });
});

describe("parseProfile", () => {
  it("keeps arguments of 64 bits exact", () => {
    const profile = parseProfile(
      '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"read","action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":18446744073709551615,"op":"SCMP_CMP_EQ"}]}]}',
    );
    const filter = filterOf(resolveProfile(profile, facts));

    assert.equal(runFilter(filter, { arch: x86_64, number: 0, args: [(1n << 64n) - 1n] }), errno(1));
    assert.equal(runFilter(filter, { arch: x86_64, number: 0, args: [(1n << 64n) - 2n] }), allow);
  });

  it("names what is wrong with one", () => {
    assert.throws(() => parseProfile("{"), { code: "invalid", message: /not JSON/ });
    assert.throws(() => parseProfile("{}"), { code: "invalid", message: /no defaultAction/ });
  });
});
