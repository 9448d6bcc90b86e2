import type { Spec } from "../../oci/runtime-spec.ts";
import type { Op } from "../../program/op.ts";

/** Sets the kernel's parameters in the container's namespaces, by its own /proc, before that becomes read-only. */
export function* sysctl({ linux }: Spec): Iterable<Op> {
  for (const [key, value] of Object.entries(linux.sysctl ?? {})) {
    yield { op: "writeControl", path: sysctlPath(key), data: value };
  }
}

/** As sysctl(8) reads keys: whichever of dot and slash comes first is the separator, so `net/ipv4/conf/eth0.100/…` works. */
function sysctlPath(key: string): string {
  const separator = /[./]/.exec(key)?.[0];
  return `/proc/sys/${separator === "/" ? key : key.replaceAll(".", "/")}`;
}
