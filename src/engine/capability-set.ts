import { OnggiError } from "../base/error.ts";
import { capabilityNames } from "../program/kernel.ts";
import type { HostFacts } from "../runtime/compile/host-facts.ts";

/** What every container may do unless it is said otherwise: Docker's fourteen. */
const defaults = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FSETID",
  "CAP_FOWNER",
  "CAP_MKNOD",
  "CAP_NET_RAW",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETFCAP",
  "CAP_SETPCAP",
  "CAP_NET_BIND_SERVICE",
  "CAP_SYS_CHROOT",
  "CAP_KILL",
  "CAP_AUDIT_WRITE",
];

export interface CapabilityWishes {
  readonly privileged?: boolean;
  readonly capAdd?: readonly string[];
  readonly capDrop?: readonly string[];
}

/**
 * The capabilities of a container, in the order of their numbers: with or without `CAP_`, in any case, `ALL` for all that there are.
 *
 * @throws OnggiError `invalid` for a name that this kernel doesn't know or that the engine itself may not have
 */
export function capabilitySet(wishes: CapabilityWishes, facts: HostFacts): readonly string[] {
  const available = capabilityNames.filter((_, number) => (facts.capabilities & (1n << BigInt(number))) !== 0n);
  if (wishes.privileged === true) return available;
  const added = (wishes.capAdd ?? []).map((name) => checkedName(name, available));
  const dropped = (wishes.capDrop ?? []).map((name) => checkedName(name, capabilityNames));
  const base = dropped.includes("ALL") ? [] : added.includes("ALL") ? available : defaults;
  const wanted = new Set(base.filter((name) => !dropped.includes(name)));
  for (const name of added.includes("ALL") && dropped.includes("ALL") ? available : added) wanted.add(name);
  return available.filter((name) => wanted.has(name));
}

function checkedName(text: string, available: readonly string[]): string {
  const upper = text.toUpperCase();
  if (upper === "ALL" || upper === "CAP_ALL") return "ALL";
  const name = upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
  if (!capabilityNames.includes(name)) {
    throw new OnggiError("invalid", `unknown capability: "${name}"`, { hint: "capabilities(7) lists them." });
  }
  if (!available.includes(name)) {
    throw new OnggiError(
      "invalid",
      `capability not supported by your kernel or not available in the current environment: "${name}"`,
      { hint: "Nobody can give away what the engine itself doesn't have." },
    );
  }
  return name;
}
