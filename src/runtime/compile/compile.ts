import type { Spec } from "../../oci/runtime-spec.ts";
import { noSteps, type Program } from "../../program/op.ts";
import { devices } from "./devices.ts";
import { exec, workingDirectory } from "./exec.ts";
import type { HostFacts } from "./host-facts.ts";
import { hideKernelPaths } from "./masked-paths.ts";
import { compileMounts } from "./mounts.ts";
import { clone, identity, joinNamespaces, ownCgroupNamespace } from "./namespaces.ts";
import type { Parts } from "./parts.ts";
import { pivotRoot } from "./pivot-root.ts";
import { privileges } from "./privileges.ts";
import { rlimits } from "./rlimits.ts";
import { readonlyRoot, rootfs } from "./rootfs.ts";
import { sysctl } from "./sysctl.ts";
import { terminal } from "./terminal.ts";

/**
 * Compiles what a container shall be into the steps that make it.
 *
 * The order is what keeps a hostile image or volume from reaching the host. Sources of bind mounts are opened on the host
 * before anything of the container exists, and all targets are resolved after the pivot, when `/` is the container's and the
 * host's tree is gone: a symbolic link or a race in the image can at worst point inside the container (CVE-2021-30465).
 * `/proc`, `/sys` and `/dev` must be real folders (CVE-2019-19921, CVE-2023-27561, CVE-2023-28642), paths are masked before
 * any volume is mounted, by a /dev/null that was made a moment ago (CVE-2025-31133, CVE-2025-52565, CVE-2025-52881), and the
 * working directory must belong to the container's mounts (CVE-2024-21626).
 *
 * @throws OnggiError `unsupported` for what this kernel or version can't do, `invalid` for a spec that makes no sense
 */
export function compile(spec: Spec, host: HostFacts, parts: Parts): Program {
  const network = parts.network ?? noSteps;
  const joined = joinNamespaces(spec);
  const mounts = compileMounts(spec, host);
  return {
    host: [
      ...parts.monitor,
      ...parts.cgroup.host,
      ...network.host,
      ...joined.host,
      ...mounts.host,
      ...(parts.cgroup.oomWatch === undefined ? [] : [parts.cgroup.oomWatch]),
      ...clone(spec, parts),
    ],
    child: [
      { op: "umask", mask: spec.process.user.umask ?? 0o022 },
      ...parts.cgroup.child,
      ...ownCgroupNamespace(spec), // after it joined: a cgroup namespace takes the current cgroup as its root
      ...joined.child,
      ...network.child, // while the host's /proc is there, and before sysfs, which shows the links of its mounter
      ...identity(spec, host),
      ...rootfs(spec, host, parts.rootfs),
      ...pivotRoot(spec),
      ...mounts.kernel,
      ...devices(spec),
      ...sysctl(spec),
      ...hideKernelPaths(spec),
      ...mounts.volumes,
      ...terminal(spec),
      ...workingDirectory(spec.process, { create: true }),
      ...readonlyRoot(spec, host),
      ...rlimits(spec.process),
      ...privileges(spec.process, spec.linux.seccomp, host),
      ...exec(spec.process, parts.init === true),
    ],
    teardown: [...network.teardown, ...parts.cgroup.teardown],
  };
}
