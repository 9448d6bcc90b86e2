import { readFileSync } from "node:fs";
import { OnggiError } from "../base/error.ts";

/** Without these no container can be made; see capabilities(7). */
const needed: readonly (readonly [bit: bigint, name: string])[] = [
  [12n, "CAP_NET_ADMIN"],
  [18n, "CAP_SYS_CHROOT"],
  [21n, "CAP_SYS_ADMIN"],
  [27n, "CAP_MKNOD"],
];

/**
 * Checks that this process may make containers.
 *
 * @param status - text of /proc/self/status
 * @throws OnggiError `denied` naming all that is missing
 */
export function checkPrivileges(status = readFileSync("/proc/self/status", "utf8")): void {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? "0"}`);
  const missing = needed.filter(([bit]) => ((effective >> bit) & 1n) === 0n).map(([, name]) => name);
  if (missing.length === 0) return;
  const isRoot = /^Uid:\s*\d+\s+0\s/m.test(status);
  throw new OnggiError("denied", `the engine lacks ${missing.join(", ")}`, {
    hint: isRoot
      ? "Root has been confined here (a container?): give it these capabilities, as --privileged does."
      : "Run it as root.",
  });
}
