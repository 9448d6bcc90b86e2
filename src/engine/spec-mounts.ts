import { posix } from "node:path";
import type { SpecMount } from "../oci/runtime-spec.ts";
import type { ContainerConfig, ContainerMount } from "./model.ts";

const defaultShmBytes = 64 * 1024 * 1024;

/** Files of the container that lie on the host. */
export interface ContainerFiles {
  readonly hostname: string;
  readonly hosts: string;
  readonly resolvConf: string;
}

/** All mounts of a container: the kernel's file systems, the name files, then the user's, which replace what they stand on. */
export function specMounts(config: ContainerConfig, files: ContainerFiles | undefined): SpecMount[] {
  const own = (config.mounts ?? []).map(userMount).toSorted((a, b) => depth(a.destination) - depth(b.destination));
  const taken = new Set(own.map(({ destination }) => destination));
  const isFree = ({ destination }: SpecMount) =>
    !taken.has(destination) && !(taken.has("/dev") && destination.startsWith("/dev/"));
  return [...kernelMounts(config), ...fileMounts(config, files)].filter(isFree).concat(own);
}

function kernelMounts(config: ContainerConfig): SpecMount[] {
  const access = config.privileged === true ? "rw" : "ro";
  const guarded = ["nosuid", "noexec", "nodev"];
  const shm = `size=${config.shmBytes ?? defaultShmBytes}`;
  const ipc: SpecMount[] =
    config.ipcMode === "host"
      ? [bind("/dev/shm", "/dev/shm", ["rbind"]), bind("/dev/mqueue", "/dev/mqueue", ["rbind"])]
      : [
          { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: guarded },
          { destination: "/dev/shm", type: "tmpfs", source: "shm", options: [...guarded, "mode=1777", shm] },
        ];
  return [
    { destination: "/proc", type: "proc", source: "proc", options: guarded },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: [...guarded, access] },
    { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: [access, ...guarded] },
    ...ipc,
  ];
}

function fileMounts(config: ContainerConfig, files: ContainerFiles | undefined): SpecMount[] {
  if (files === undefined) return [];
  const options = ["bind", config.readonlyRootfs === true ? "ro" : "rw", "private"];
  return [
    bind(files.resolvConf, "/etc/resolv.conf", options),
    bind(files.hostname, "/etc/hostname", options),
    bind(files.hosts, "/etc/hosts", options),
  ];
}

function userMount(mount: ContainerMount): SpecMount {
  const destination = posix.normalize(mount.target).replace(/(?<=.)\/$/, "");
  if (mount.kind === "tmpfs") {
    // Docker's restrictions come first: a word of the user's such as `exec` takes one back.
    return { destination, type: "tmpfs", source: "tmpfs", options: ["noexec", "nosuid", "nodev", ...mount.options] };
  }
  if (mount.kind === "volume") {
    const folder = mount.subpath === undefined ? [] : [`X-mount.subdir=${posix.normalize(mount.subpath)}`];
    return bind(mount.source ?? "", destination, ["rbind", mount.readonly ? "rro" : "rw", "rprivate", ...folder]);
  }
  const access = mount.readonly ? (mount.recursive ? "rro" : "ro") : "rw";
  return bind(mount.source, destination, [mount.recursive ? "rbind" : "bind", access, mount.propagation ?? "rprivate"]);
}

function bind(source: string, destination: string, options: readonly string[]): SpecMount {
  return { destination, type: "bind", source, options };
}

function depth(path: string): number {
  return path.split("/").length;
}
