import {
  MOUNT_ATTR_NOATIME,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NODIRATIME,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_NOSYMFOLLOW,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_STRICTATIME,
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_NOSYMFOLLOW,
  MS_PRIVATE,
  MS_RDONLY,
  MS_REC,
  MS_RELATIME,
  MS_SHARED,
  MS_SLAVE,
  MS_STRICTATIME,
  MS_SYNCHRONOUS,
  MS_UNBINDABLE,
} from "../../program/kernel.ts";

/** The options of a spec's mount, sorted by what they are for. */
export interface MountOptions {
  readonly bind: "none" | "single" | "recursive";
  /** MS_* for mount(2). */
  readonly flags: number;
  /** MS_PRIVATE and the like, with MS_REC; 0 when none was named. */
  readonly propagation: number;
  /** Attributes that reach all mounts below as well: `rro`, `rnosuid` … */
  readonly recursiveFlags: number;
  /** A folder of the source that is to be mounted in its place: `X-mount.subdir=`, as mount(8) has it. */
  readonly subdirectory?: string;
  /** What is the file system's own. */
  readonly data: readonly string[];
}

const set: Readonly<Record<string, number>> = {
  ro: MS_RDONLY,
  nosuid: MS_NOSUID,
  nodev: MS_NODEV,
  noexec: MS_NOEXEC,
  sync: MS_SYNCHRONOUS,
  noatime: MS_NOATIME,
  nodiratime: MS_NODIRATIME,
  relatime: MS_RELATIME,
  strictatime: MS_STRICTATIME,
  nosymfollow: MS_NOSYMFOLLOW,
};

const clear: Readonly<Record<string, number>> = {
  rw: MS_RDONLY,
  suid: MS_NOSUID,
  dev: MS_NODEV,
  exec: MS_NOEXEC,
  async: MS_SYNCHRONOUS,
  atime: MS_NOATIME,
  diratime: MS_NODIRATIME,
  norelatime: MS_RELATIME,
  nostrictatime: MS_STRICTATIME,
  symfollow: MS_NOSYMFOLLOW,
  defaults: 0,
};

const propagations: Readonly<Record<string, number>> = {
  private: MS_PRIVATE,
  shared: MS_SHARED,
  slave: MS_SLAVE,
  unbindable: MS_UNBINDABLE,
};

/** Reads a mount's options as the runtime-spec has them: the last word on each attribute wins. */
export function parseMountOptions(options: readonly string[], type: string | undefined): MountOptions {
  let bind: MountOptions["bind"] = type === "bind" ? "recursive" : "none";
  let flags = 0;
  let recursiveFlags = 0;
  let propagation = 0;
  let subdirectory: string | undefined;
  const data: string[] = [];
  for (const option of options) {
    const base = option.startsWith("r") ? option.slice(1) : option;
    if (option === "bind") bind = "single";
    else if (option === "rbind") bind = "recursive";
    else if (option.startsWith("X-mount.subdir=")) subdirectory = option.slice("X-mount.subdir=".length);
    else if (propagations[option] !== undefined) propagation = propagations[option];
    else if (propagations[base] !== undefined) propagation = propagations[base] | MS_REC;
    else if (set[option] !== undefined) flags |= set[option];
    else if (clear[option] !== undefined) flags &= ~clear[option];
    else if (base !== option && set[base] !== undefined) recursiveFlags |= set[base];
    else if (base !== option && clear[base] !== undefined) recursiveFlags &= ~clear[base];
    else data.push(option);
  }
  return { bind, flags, propagation, recursiveFlags, data, ...(subdirectory === undefined ? {} : { subdirectory }) };
}

const attributes: readonly (readonly [flag: number, attribute: number])[] = [
  [MS_RDONLY, MOUNT_ATTR_RDONLY],
  [MS_NOSUID, MOUNT_ATTR_NOSUID],
  [MS_NODEV, MOUNT_ATTR_NODEV],
  [MS_NOEXEC, MOUNT_ATTR_NOEXEC],
  [MS_NOATIME, MOUNT_ATTR_NOATIME],
  [MS_STRICTATIME, MOUNT_ATTR_STRICTATIME],
  [MS_NODIRATIME, MOUNT_ATTR_NODIRATIME],
  [MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW],
];

/** MOUNT_ATTR_* that say the same as MS_* flags. */
export function attributesOf(flags: number): number {
  return attributes.reduce((all, [flag, attribute]) => ((flags & flag) === 0 ? all : all | attribute), 0);
}
