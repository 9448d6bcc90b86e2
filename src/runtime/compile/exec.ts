import { OnggiError } from "../../base/error.ts";
import type { Process } from "../../oci/runtime-spec.ts";
import type { Op } from "../../program/op.ts";

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * Enters the working directory, made where it is missing.
 *
 * A path such as /proc/self/fd/7, or a link to it, would lead through a descriptor that is still open to a folder of the host
 * (CVE-2024-21626): the executor refuses a directory that the kernel calls unreachable from the root.
 */
export function* workingDirectory({ cwd }: Process, { create }: { readonly create: boolean }): Iterable<Op> {
  if (!cwd.startsWith("/")) {
    throw new OnggiError("invalid", `the working directory '${cwd}' is invalid, it needs to be an absolute path`);
  }
  if (cwd !== "/") yield { op: "chdir", path: cwd, create };
}

/** Becomes the program. */
export function* exec({ args, env }: Process, init: boolean): Iterable<Op> {
  const [file] = args;
  if (file === undefined) throw new OnggiError("invalid", "no command specified");
  const searchPath = env.findLast((entry) => entry.startsWith("PATH="))?.slice("PATH=".length) ?? defaultPath;
  if (init) yield { op: "init" };
  yield { op: "exec", file, argv: args, env, searchPath };
}
