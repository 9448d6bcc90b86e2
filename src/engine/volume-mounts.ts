import { randomBytes } from "node:crypto";
import { posix } from "node:path";
import { OnggiError } from "../base/error.ts";
import type { ContainerConfig, ContainerMount, ImageConfig, VolumeMount } from "./model.ts";
import { checkVolumeName, volumeMeans } from "./volume-options.ts";

export interface ResolvedMounts {
  readonly mounts: readonly ContainerMount[];
  /** Paths that image or request want a volume at. */
  readonly volumes: readonly string[];
}

/**
 * All that a container mounts: what other containers have, what it asks for itself, and a volume at each path that is to have one. What
 * comes later replaces what comes first at the same path.
 *
 * @param mountsOf - of the container of that name or id
 * @param newName - of an anonymous volume
 * @throws OnggiError `invalid` in Docker's words
 */
export function resolveMounts(
  config: ContainerConfig,
  image: ImageConfig,
  mountsOf: (key: string) => readonly ContainerMount[],
  newName = () => randomBytes(32).toString("hex"),
): ResolvedMounts {
  const byTarget = new Map<string, ContainerMount>();
  for (const text of config.volumesFrom ?? [])
    for (const mount of takenFrom(text, mountsOf)) byTarget.set(normal(mount.target), mount);
  for (const mount of config.mounts ?? [])
    byTarget.set(normal(mount.target), mount.kind === "volume" ? named(mount, newName) : mount);
  const volumes = [...new Set([...(config.volumes ?? []), ...Object.keys(image.Volumes ?? {})].map(volumeTarget))];
  for (const target of volumes) {
    if (byTarget.has(target)) continue;
    byTarget.set(target, anonymous(target, newName()));
  }
  return { mounts: [...byTarget.values()], volumes };
}

/** The volumes among mounts. */
export function volumesAmong(mounts: readonly ContainerMount[] | undefined): readonly VolumeMount[] {
  return (mounts ?? []).filter((mount) => mount.kind === "volume");
}

/** `CONTAINER[:ro|rw]` */
function takenFrom(text: string, mountsOf: (key: string) => readonly ContainerMount[]): ContainerMount[] {
  const [key = "", mode = ""] = text.split(/:(?=[^:]*$)/);
  const modes = mode === "" ? [] : mode.split(",");
  if (key === "" || modes.some((word) => !["ro", "rw", "z", "Z"].includes(word)))
    throw new OnggiError("invalid", `invalid volumes-from specification: '${text}'`, {
      hint: "Name a container, and perhaps ro: --volumes-from NAME:ro.",
    });
  const isReadonly = modes.includes("ro");
  return mountsOf(key).flatMap((mount): ContainerMount[] => {
    if (mount.kind === "tmpfs") return [];
    const readonly = mount.readonly || isReadonly;
    return [mount.kind === "volume" ? { ...mount, readonly, copy: false } : { ...mount, readonly }];
  });
}

function named(mount: VolumeMount, newName: () => string): VolumeMount {
  if (mount.options !== undefined) volumeMeans(mount.options);
  if (mount.subpath !== undefined) checkSubpath(mount.subpath);
  if (mount.name !== "") {
    checkVolumeName(mount.name);
    return mount;
  }
  if (mount.subpath !== undefined)
    throw new OnggiError("invalid", "an anonymous volume has no folder to mount: volume-subpath needs a name", {
      hint: "Name the volume: --mount type=volume,source=NAME,….",
    });
  return { ...mount, name: newName(), anonymous: true };
}

function anonymous(target: string, name: string): VolumeMount {
  return { kind: "volume", name, target, readonly: false, copy: true, anonymous: true };
}

/** Docker's rule: relative, and not out of the volume by its own words. */
function checkSubpath(subpath: string): void {
  const parts = posix.normalize(subpath).split("/");
  if (subpath.startsWith("/") || parts[0] === "..")
    throw new OnggiError("invalid", "subpath must be a relative path within the volume");
}

function volumeTarget(path: string): string {
  const target = normal(path);
  if (!target.startsWith("/"))
    throw new OnggiError("invalid", `invalid mount path: '${path}' mount path must be absolute`);
  if (target === "/") throw new OnggiError("invalid", "invalid specification: destination can't be '/'");
  return target;
}

function normal(path: string): string {
  return posix.normalize(path).replace(/(?<=.)\/$/, "");
}
