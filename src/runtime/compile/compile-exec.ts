import type { Process, Seccomp } from "../../oci/runtime-spec.ts";
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUTS,
  PR_SET_DUMPABLE,
} from "../../program/kernel.ts";
import type { Program } from "../../program/op.ts";
import { exec, workingDirectory } from "./exec.ts";
import type { HostFacts } from "./host-facts.ts";
import type { ExecParts } from "./parts.ts";
import { privileges } from "./privileges.ts";
import { rlimits } from "./rlimits.ts";
import { execTerminal } from "./terminal.ts";

const target = "target";

/**
 * Compiles one more process in a running container.
 *
 * The pid namespace is set by the monitor, since only children enter one. The process is not dumpable until it execs, so that
 * nobody inside reaches through it for the host's descriptors (CVE-2016-9962).
 */
export function compileExec(
  { process, seccomp }: { readonly process: Process; readonly seccomp?: Seccomp | undefined },
  host: HostFacts,
  parts: ExecParts,
): Program {
  const { pid, startTime } = parts.target;
  return {
    host: [
      ...parts.monitor,
      { op: "prctl", option: PR_SET_DUMPABLE, args: [0n, 0n, 0n, 0n] },
      { op: "openProcess", slot: target, pid, startTime },
      ...parts.join.host,
      { op: "setns", slot: target, flags: CLONE_NEWPID },
      { op: "clone", flags: 0, ...(parts.join.intoCgroup === undefined ? {} : { intoCgroup: parts.join.intoCgroup }) },
    ],
    child: [
      { op: "umask", mask: process.user.umask ?? 0o022 },
      ...parts.join.child, // by the host's paths, so before the mount namespace changes
      { op: "setns", slot: target, flags: CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP },
      ...execTerminal(process),
      ...workingDirectory(process, { create: false }),
      ...rlimits(process),
      ...privileges(process, seccomp, host),
      ...exec(process, false),
    ],
    teardown: [],
  };
}
