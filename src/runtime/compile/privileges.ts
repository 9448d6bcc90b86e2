import { OnggiError } from "../../base/error.ts";
import type { Process, Seccomp } from "../../oci/runtime-spec.ts";
import { capabilityNames, PR_SET_KEEPCAPS, PR_SET_NO_NEW_PRIVS } from "../../program/kernel.ts";
import type { Op } from "../../program/op.ts";
import type { HostFacts } from "./host-facts.ts";
import { compileFilter } from "./seccomp/compile-filter.ts";

/**
 * Gives up what the process may not have, in the one order that works.
 *
 * Without no_new_privs a filter needs CAP_SYS_ADMIN, so it goes in while that is still there; with it, last, so that it needs
 * to allow nothing of this. Changing the user clears the capabilities unless they are kept (capabilities(7)); what an exec
 * may get back is bounded before, since dropping from the bounding set needs CAP_SETPCAP.
 */
export function* privileges(process: Process, seccomp: Seccomp | undefined, host: HostFacts): Iterable<Op> {
  const { user, capabilities } = process;
  const filter: Op[] = [];
  if (seccomp !== undefined) filter.push(...seccompOps(seccomp, host));

  const permitted = capabilityBits(capabilities?.permitted ?? []);
  const ambient = capabilityBits(capabilities?.ambient ?? []);
  if (capabilities !== undefined) {
    const keep = capabilityBits(capabilities.bounding);
    if ((host.capabilities & ~keep) !== 0n) yield { op: "boundingSet", keep };
  }
  if (process.noNewPrivileges !== true) yield* filter;
  if (user.uid !== 0 && permitted !== 0n) yield { op: "prctl", option: PR_SET_KEEPCAPS, args: [1n, 0n, 0n, 0n] };
  yield { op: "setUser", uid: user.uid, gid: user.gid, groups: user.additionalGids ?? [] };
  if (capabilities !== undefined) {
    const effective = capabilityBits(capabilities.effective);
    const inheritable = capabilityBits(capabilities.inheritable);
    yield { op: "capset", effective, permitted, inheritable };
    if (ambient !== 0n) yield { op: "ambientSet", raise: ambient };
  }
  if (process.noNewPrivileges === true) {
    yield { op: "prctl", option: PR_SET_NO_NEW_PRIVS, args: [1n, 0n, 0n, 0n] };
    yield* filter;
  }
}

/**
 * The bits of capability names.
 * @throws OnggiError `invalid` for a name that the kernel's headers don't have
 */
export function capabilityBits(names: readonly string[]): bigint {
  return names.reduce((bits, name) => {
    const number = capabilityNames.indexOf(name);
    if (number < 0) throw new OnggiError("invalid", `unknown capability: "${name}"`);
    return bits | (1n << BigInt(number));
  }, 0n);
}

const filterFlags: Readonly<Record<string, number>> = {
  SECCOMP_FILTER_FLAG_TSYNC: 1,
  SECCOMP_FILTER_FLAG_LOG: 2,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: 4,
};

function* seccompOps(seccomp: Seccomp, { architecture, features }: HostFacts): Iterable<Op> {
  if (!features.seccomp) {
    throw new OnggiError("unsupported", "seccomp is not enabled in your kernel, cannot run with a seccomp profile", {
      hint: "Run it with --security-opt seccomp=unconfined.",
    });
  }
  let flags = 0;
  for (const name of seccomp.flags ?? []) {
    const flag = filterFlags[name];
    if (flag === undefined) throw new OnggiError("unsupported", `seccomp flag ${name} is not supported`);
    flags |= flag;
  }
  const filter = compileFilter(seccomp, architecture);
  if (filter !== undefined) yield { op: "seccomp", flags, filter };
}
