import { OnggiError } from "../../base/error.ts";
import type { NamespaceType, Spec } from "../../oci/runtime-spec.ts";
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUTS,
  O_RDONLY,
} from "../../program/kernel.ts";
import type { Op } from "../../program/op.ts";
import type { HostFacts } from "./host-facts.ts";
import type { Parts } from "./parts.ts";

const cloneFlags: Readonly<Partial<Record<NamespaceType, number>>> = {
  mount: CLONE_NEWNS,
  uts: CLONE_NEWUTS,
  ipc: CLONE_NEWIPC,
  network: CLONE_NEWNET,
  pid: CLONE_NEWPID,
  cgroup: CLONE_NEWCGROUP,
};

/** Starts the child in new namespaces: all but the cgroup's, and but the network's where the network's steps make it. */
export function* clone(spec: Spec, { cgroup, network }: Parts): Iterable<Op> {
  let flags = 0;
  for (const { type, path } of spec.linux.namespaces) {
    if (path !== undefined || type === "cgroup" || (type === "network" && network !== undefined)) continue;
    flags |= flagOf(type);
  }
  if ((flags & CLONE_NEWNS) === 0) {
    throw new OnggiError("unsupported", "a container without a mount namespace of its own is not supported", {
      hint: 'Add {"type": "mount"} to linux.namespaces.',
    });
  }
  yield { op: "clone", flags, ...(cgroup.intoCgroup === undefined ? {} : { intoCgroup: cgroup.intoCgroup }) };
}

/** The child's own cgroup namespace. */
export function* ownCgroupNamespace(spec: Spec): Iterable<Op> {
  const own = spec.linux.namespaces.find(({ type }) => type === "cgroup");
  if (own !== undefined && own.path === undefined) yield { op: "unshare", flags: CLONE_NEWCGROUP };
}

/** Joins the namespaces that the spec names by a path: a pid namespace in the monitor, since only children enter one. */
export function joinNamespaces(spec: Spec): { readonly host: readonly Op[]; readonly child: readonly Op[] } {
  const host: Op[] = [];
  const child: Op[] = [];
  for (const { type, path } of spec.linux.namespaces) {
    if (path === undefined) continue;
    const slot = `namespace ${type}`;
    host.push({ op: "open", slot, path, flags: O_RDONLY });
    (type === "pid" ? host : child).push({ op: "setns", slot, flags: flagOf(type) });
  }
  return { host, child };
}

/** Names, and the score of the OOM killer, which is written while the host's /proc is still there. */
export function* identity(spec: Spec, host: HostFacts): Iterable<Op> {
  if (spec.hostname !== undefined) yield { op: "setHostname", name: spec.hostname };
  if (spec.domainname !== undefined) yield { op: "setDomainname", name: spec.domainname };
  const score = spec.process.oomScoreAdj ?? 0;
  if (score !== host.oomScoreAdj) yield { op: "oomScoreAdj", value: score };
}

function flagOf(type: NamespaceType): number {
  const flag = cloneFlags[type];
  if (flag === undefined) throw new OnggiError("unsupported", `${type} namespaces are not supported yet`);
  return flag;
}
