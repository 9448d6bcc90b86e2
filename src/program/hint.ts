import type { Op, OpName } from "./op.ts";

/** What to do about an errno, whatever the step was. */
const general: Readonly<Record<string, string>> = {
  EPERM: "Run as root with all capabilities; inside another container, run that one privileged.",
  EACCES: "Look at the modes of the path and of its folders, and at security modules (AppArmor, SELinux).",
  ENOSPC: "Free space or inodes on that file system: df and df -i show which.",
  EDQUOT: "Free space or inodes within the quota, or raise it.",
  EROFS: "The file system is mounted read-only: mount it read-write, or move the data root.",
  EMFILE: "Raise the limit of open files: ulimit -n.",
  ENFILE: "Raise the kernel's limit of open files: sysctl fs.file-max.",
  EAGAIN: "A limit of processes is reached: look at ulimit -u, kernel.pid_max and pids.max of the cgroup.",
  ENOMEM: "The kernel has no memory for it: end something, or raise the memory limit of the cgroup Onggi runs in.",
  ENOSYS: "This kernel is too old for the step: use Linux 5.12 or newer.",
  EOPNOTSUPP: "The file system or the kernel can't do that.",
  EIO: "The disk or the image under it gave an error: dmesg says which.",
};

type Step = OpName | `${OpName} ${string}`;

/** What to do about an errno of one step; `mount overlay` is a mount of that type. */
const special: Readonly<Partial<Record<Step, Readonly<Record<string, string>>>>> = {
  mount: {
    EPERM: "Mounting needs CAP_SYS_ADMIN: run as root, and inside another container run that one with --privileged.",
    ENODEV:
      "The kernel doesn't know this file system: load its module with modprobe, or choose another storage driver.",
    EBUSY: "Something is mounted there, or uses the device: findmnt shows what.",
    ENOENT: "Source or target isn't there: make it first.",
    ENOTDIR: "A folder can only be mounted on a folder, and a file on a file.",
    EINVAL: "The kernel refuses these options: dmesg says why.",
    ELOOP: "A symbolic link of the image leads in a circle: mend the image, or mount elsewhere.",
    ENOSPC: "There are too many mounts: raise sysctl fs.mount-max.",
  },
  "mount overlay": {
    EINVAL:
      "The layers can't be stacked here, for example on another overlay: put the data root on ext4, xfs or btrfs. dmesg says why.",
    ESTALE: "The upper directory was used with other layers before: make the container anew.",
    EBUSY: "Upper or work directory are in use by another mount.",
  },
  "mount cgroup": { EBUSY: "The controller is in use by another hierarchy: mount it where the host has it." },
  openTree: {
    ENOENT: "The source of the bind mount isn't there: make it first, or use -v, which makes a folder.",
    EACCES: "The source of the bind mount can't be reached: look at the modes of its folders.",
    EINVAL: "What lies there belongs to another mount namespace.",
  },
  moveMount: {
    ENOTDIR: "A folder can only be mounted on a folder, and a file on a file: look at what the image has there.",
    ELOOP: "A symbolic link of the image leads in a circle: mount elsewhere.",
    EROFS: "The mount point isn't in the image and can't be made there.",
  },
  open: {
    ENOTDIR: "The image has something else than a folder there, perhaps a link: it can't be run.",
    ELOOP: "The image has a symbolic link there, which the kernel's own files must not be mounted behind.",
    ENOENT: "It isn't there any more.",
  },
  mountAttributes: { EINVAL: "The kernel can't set this on that mount: leave the option out." },
  pivotRoot: { EINVAL: "The old or new root is shared with other namespaces: a defect of Onggi's, please report it." },
  clone: {
    EPERM:
      "New namespaces need CAP_SYS_ADMIN: run as root, and inside another container run that one with --privileged.",
    ENOSPC: "There are too many namespaces: raise the limits in /proc/sys/user/max_*_namespaces.",
    EINVAL: "This kernel was built without one of the namespaces.",
    ENOMEM: "The kernel has no memory for it, or the pid namespace to join has ended with its first process.",
    EBUSY: "The cgroup can't take processes: a controller is enabled for its children.",
  },
  openProcess: { ESRCH: "The container's first process has ended: start the container again." },
  setns: {
    EINVAL: "The process to join has ended.",
    ESRCH: "The process to join has ended.",
    EPERM: "Joining namespaces needs CAP_SYS_ADMIN over them: run as the user who owns the container, or as root.",
  },
  setRlimit: {
    EPERM:
      "The limit can't be raised over the engine's own hard limit without CAP_SYS_RESOURCE: choose a lower one, or raise it for the engine.",
    EINVAL: "The soft limit is above the hard one.",
  },
  oomScoreAdj: { EACCES: "The score can't be lowered without CAP_SYS_RESOURCE: choose a higher one." },
  capset: {
    EPERM: "A capability was asked for that the engine itself doesn't have: leave out --cap-add, or --privileged.",
  },
  seccomp: {
    EINVAL: "The kernel refuses the filter: use another profile, or --security-opt seccomp=unconfined.",
    EACCES: "A filter needs CAP_SYS_ADMIN or no_new_privs: add --security-opt no-new-privileges.",
    ENOMEM: "Too many filters are stacked on this process: run the engine itself under fewer.",
  },
  setUser: {
    EINVAL: "The id doesn't exist in this user namespace.",
    EAGAIN: "The user has too many processes: raise its nproc limit.",
  },
  setHostname: { EINVAL: "A host name has at most 64 characters." },
  chdir: {
    ENOENT: "The working directory isn't in the image, or leads out of the container.",
    ENOTDIR: "The working directory is a file in the image: choose another with -w.",
  },
  writeControl: {
    ENOENT: "The kernel doesn't have this control: the controller or module may be missing.",
    EINVAL: "The kernel refuses the value.",
    EBUSY: "The control can't be changed while it is in use.",
    EPERM: "The control can't be changed from here: the cgroup or parameter belongs to somebody else.",
    EROFS: "It is mounted read-only: run the engine where /sys/fs/cgroup and /proc/sys may be written.",
    ENOSPC: "The parent's limit is lower, or it has no such processor.",
  },
  mkdir: {
    EEXIST: "It is there already, perhaps left by an engine that was killed: restart the engine, which cleans up.",
  },
  mknod: { EPERM: "Making device nodes needs CAP_MKNOD on a file system that is mounted without nodev." },
  netlink: {
    EEXIST: "The link, address or rule is there already, made by somebody else.",
    ENODEV: "The bridge is gone: restart the engine, which makes it again.",
    EXFULL: "The bridge has no free port (1,023 is all it can have): end a container.",
    EPERM: "Changing links needs CAP_NET_ADMIN: run as root.",
    EOPNOTSUPP:
      "The kernel was built without this kind of link or rule: load veth, bridge and nf_tables with modprobe.",
  },
  openTerminal: {
    ENODEV: "The container has no devpts of its own at /dev/pts: don't mount over it, or run without -t.",
  },
  listen: { EADDRINUSE: "Another monitor listens there: the container may be running already." },
  exec: {
    ENOENT: "The program isn't in the image, or the interpreter in its first line isn't.",
    EACCES: "It isn't executable, or it is a folder.",
    ENOEXEC: "It is made for another architecture, or it is a script without #! in its first line.",
    ENOTDIR: "A part of the path is a file.",
    E2BIG: "Arguments and environment are too long together.",
  },
};

/** A sentence with the remedy for a step that the kernel refused; undefined where there is none to tell. */
export function hintFor(op: Op, errno: string): string | undefined {
  const name = op.op === "fsmount" ? "mount" : op.op;
  const type = "type" in op ? (op.type === "cgroup2" ? "cgroup" : op.type) : "";
  return special[`${name} ${type}`]?.[errno] ?? special[name]?.[errno] ?? general[errno];
}
