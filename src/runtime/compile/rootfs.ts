import type { Spec } from "../../oci/runtime-spec.ts";
import { MOUNT_ATTR_RDONLY, MS_BIND, MS_PRIVATE, MS_RDONLY, MS_REC, MS_REMOUNT } from "../../program/kernel.ts";
import type { Mount } from "../../program/mount.ts";
import type { Op } from "../../program/op.ts";
import type { HostFacts } from "./host-facts.ts";

/** What mount(2) takes as data is one page, its last byte a NUL: mount(2), NOTES. */
const maxDataBytes = 4095;

/** Mounts the container's tree at the staging directory, seen by nobody else. */
export function* rootfs(spec: Pick<Spec, "root">, host: HostFacts, mounts: readonly Mount[]): Iterable<Op> {
  const root = spec.root.path;
  yield { op: "mount", source: "none", target: "/", type: "", flags: MS_REC | MS_PRIVATE, data: "" };
  if (mounts.length === 0) yield bind(root, root); // pivot_root wants a mount point
  for (const mount of mounts) {
    const target = mount.at ?? root;
    if (mount.type === "bind") {
      yield bind(mount.source, target);
      if (mount.readonly === true) yield readonly(target, host);
    } else {
      yield fileSystem(mount, target, host);
    }
  }
}

/** Makes `/` read-only: last, when all mount points were made. */
export function* readonlyRoot(spec: Spec, host: HostFacts): Iterable<Op> {
  if (spec.root.readonly === true) yield readonly("/", host);
}

function fileSystem(mount: Mount, target: string, host: HostFacts): Op {
  const data = mount.options.join(",");
  // One option a call has no limit of a page, takes a comma as it is, and is the only way to say `lowerdir+=`.
  const needsNewApi = Buffer.byteLength(data) > maxDataBytes || mount.options.some((option) => /\+=|,/.test(option));
  const { type, source } = mount;
  if (needsNewApi && host.features.newMountApi) {
    const attributes = mount.readonly === true ? MOUNT_ATTR_RDONLY : 0;
    return { op: "fsmount", type, source, options: mount.options, attributes, target };
  }
  return { op: "mount", source, target, type, flags: mount.readonly === true ? MS_RDONLY : 0, data };
}

function bind(source: string, target: string): Op {
  return { op: "mount", source, target, type: "", flags: MS_BIND | MS_REC, data: "" };
}

function readonly(target: string, host: HostFacts): Op {
  if (host.features.mountSetattr) {
    return {
      op: "mountAttributes",
      target,
      set: BigInt(MOUNT_ATTR_RDONLY),
      clear: 0n,
      propagation: 0,
      recursive: false,
    };
  }
  return { op: "mount", source: "none", target, type: "", flags: MS_REMOUNT | MS_BIND | MS_RDONLY, data: "" };
}
