import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWTIME,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  capabilityNames,
  MNT_DETACH,
  MOUNT_ATTR__ATIME,
  MOUNT_ATTR_NOATIME,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NODIRATIME,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_NOSYMFOLLOW,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_STRICTATIME,
  MS_BIND,
  MS_MOVE,
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
  MS_REMOUNT,
  MS_SHARED,
  MS_SLAVE,
  MS_STRICTATIME,
  MS_SYNCHRONOUS,
  MS_UNBINDABLE,
  O_RDWR,
  O_WRONLY,
  PR_SET_NO_NEW_PRIVS,
  rlimitNumbers,
  S_IFBLK,
  S_IFIFO,
  S_IFMT,
} from "./kernel.ts";
import type { Op, OpName } from "./op.ts";
import { command, quote } from "./quote.ts";

type OpOf<Name extends OpName> = Extract<Op, { readonly op: Name }>;

/** Says one op as the command that does the same, for messages; a script that runs as a whole comes from `explain`. */
export function shellOf(op: Op): string {
  // The row of a name takes the op of that name: the table's type says so, for one name at a time.
  const row = forms[op.op] as (op: Op) => string;
  return row(op);
}

const forms: { readonly [Name in OpName]: (op: OpOf<Name>) => string } = {
  open: (op) => `exec {${variable(op.slot)}}${redirection(op.flags)}${quote(op.path)}`,
  writeSlot: (op) => `printf %s ${quote(preview(op.data))} >&"$${variable(op.slot)}"`,
  closeSlot: (op) => `exec {${variable(op.slot)}}>&-`,
  netlinkSocket: (op) => `socket netlink ${netlinkProtocols[op.protocol] ?? op.protocol}`,
  netlink: (op) => op.shell.join(" && ") || "netlink message",
  openProcess: (op) => command("test", "-d", `/proc/${op.pid}`),

  unshare: (op) => command("unshare", ...namespaceFlags(op.flags)),
  setns: (op) => `nsenter ${namespaceFlags(op.flags).join(" ")} --target "$${variable(op.slot)}"`.replace("  ", " "),
  setHostname: (op) => command("hostname", op.name),
  setDomainname: (op) => command("domainname", op.name),
  setRlimit: (op) => command("prlimit", `--${rlimitName(op.resource)}=${limit(op.soft)}:${limit(op.hard)}`),
  prctl: (op) =>
    op.option === PR_SET_NO_NEW_PRIVS ? "setpriv --no-new-privs" : command("prctl", op.option, ...op.args.map(String)),
  boundingSet: (op) => command("setpriv", "--bounding-set", capabilityList(op.keep)),
  capset: (op) => command("capsh", `--caps=${capabilityText(op)}`),
  ambientSet: (op) => command("setpriv", "--ambient-caps", capabilityList(op.raise)),
  setUser: (op) =>
    command(
      "setpriv",
      `--reuid=${op.uid}`,
      `--regid=${op.gid}`,
      op.groups.length === 0 ? "--clear-groups" : `--groups=${op.groups.join(",")}`,
    ),
  seccomp: (op) => `seccomp filter of ${op.filter.length / 8} instructions`,
  umask: (op) => command("umask", octal(op.mask)),
  chdir: (op) =>
    op.create === true ? `${command("mkdir", "-p", op.path)} && ${command("cd", op.path)}` : command("cd", op.path),
  chroot: (op) => command("chroot", op.path),
  oomScoreAdj: (op) => `echo ${op.value} > /proc/self/oom_score_adj`,
  exec: (op) => command("exec", op.file, ...op.argv.slice(1)),
  init: () => "onggi-init",

  mount: mountCommand,
  fsmount: (op) => {
    const options = [...attributeNames(op.attributes), ...op.options];
    const choices = options.length === 0 ? [] : ["-o", options.join(",")];
    return command("mount", "-t", op.type, op.source, op.target, ...choices);
  },
  openTree: (op) => command("mount", op.recursive ? "--rbind" : "--bind", op.path, op.slot),
  moveMount: (op) => command("mount", "--move", op.slot, op.target),
  mountAttributes: (op) => command("mount", "-o", attributeOptions(op), op.target === "" ? (op.slot ?? "") : op.target),
  umount: (op) => command("umount", ...((op.flags & MNT_DETACH) !== 0 ? ["-l"] : []), op.target),
  pivotRoot: (op) => command("pivot_root", op.newRoot, op.putOld),
  mask: (op) => command("mount", "--bind", "/dev/null", op.path),
  readonlyPath: (op) => `${command("mount", "--bind", op.path, op.path)} -o ro`,

  mkdir: (op) => command("mkdir", ...(op.parents === true ? ["-p"] : []), "-m", octal(op.mode), op.path),
  writeFile: (op) => `printf %s ${quote(preview(op.data))} > ${quote(op.path)}`,
  writeControl: (op) => `echo ${quote(op.data.trimEnd())} > ${quote(op.path)}`,
  symlink: (op) => command("ln", "-s", op.target, op.path),
  link: (op) => command("ln", op.target, op.path),
  mknod: (op) => {
    const type = op.mode & S_IFMT;
    const mode = ["-m", octal(op.mode & 0o7777)];
    if (type === S_IFIFO) return command("mkfifo", ...mode, op.path);
    return command("mknod", ...mode, op.path, type === S_IFBLK ? "b" : "c", op.major, op.minor);
  },
  chown: (op) => command("chown", "-h", `${op.uid}:${op.gid}`, op.path),
  chmod: (op) => command("chmod", octal(op.mode), op.path),
  utimens: (op) => command("touch", "-h", "-d", `@${seconds(op.mtimeNs)}`, op.path),
  setxattr: (op) =>
    command("setfattr", "-h", "-n", op.name, "-v", `0x${Buffer.from(op.value).toString("hex")}`, op.path),
  rename: (op) => command("mv", "-T", op.from, op.to),
  remove: (op) => command("rm", op.recursive === true ? "-rf" : "-f", op.path),
  killCgroup: (op) => `kill -KILL $(cat ${quote(`${op.path}/cgroup.procs`)})`,

  stdio: (op) => (op.terminal ? "exec <>terminal >&0 2>&1" : "exec <stdin >stdout 2>stderr"),
  openTerminal: (op) => `exec <>${quote(op.path)} >&0 2>&1`,
  log: (op) => `exec >>${quote(`${op.directory}/${op.name}`)}`,
  listen: (op) => command("listen", op.path),
  record: (op) => `echo $? > ${quote(op.path)}`,
  oomWatch: (op) => command("cat", op.path),
  clone: (op) => command("unshare", ...namespaceFlags(op.flags), "--fork"),

  readFile: (op) => command("cat", op.path),
  createFile: (op) => `( set -C; > ${quote(op.path)} )`,
  append: (op) => `cat >> ${quote(op.slot)}`,
  placeFile: (op) => `tar -x -f ${quote(op.from)} ${quote(op.path)}`,
  jail: () => "# paths stay inside the root",
  openScan: (op) => command("find", op.path, ...(op.selfOnly === true ? ["-maxdepth", "0"] : []), "-ls"),
  scan: () => "# further entries",
  readRegular: (op) => command("cat", op.path),
  openRegular: (op) => `exec {${variable(op.slot)}}< ${quote(op.path)}`,
  readSlot: (op) => `tail -c +${op.offset + 1} <&$${variable(op.slot)} | head -c ${op.maxBytes}`,
  dataExtents: (op) => `filefrag /proc/self/fd/$${variable(op.slot)}`,
  ioctl: (op) => op.shell ?? command("ioctl", op.path, `0x${op.request.toString(16)}`),
  quotactl: (op) => command("quotactl", op.path, `0x${op.command.toString(16)}`, String(op.id)),
};

const netlinkProtocols: Readonly<Record<number, string>> = { 0: "route", 4: "sock_diag", 12: "netfilter" };

const namespaceOptions: readonly (readonly [flag: number, option: string])[] = [
  [CLONE_NEWNS, "--mount"],
  [CLONE_NEWUTS, "--uts"],
  [CLONE_NEWIPC, "--ipc"],
  [CLONE_NEWNET, "--net"],
  [CLONE_NEWPID, "--pid"],
  [CLONE_NEWCGROUP, "--cgroup"],
  [CLONE_NEWUSER, "--user"],
  [CLONE_NEWTIME, "--time"],
];

/** The options of unshare(1) and nsenter(1) for a set of CLONE_NEW* flags, in the order that people type them. */
export function namespaceFlags(flags: number): string[] {
  return namespaceOptions.filter(([flag]) => (flags & flag) !== 0).map(([, option]) => option);
}

const mountOptions: readonly (readonly [flag: number, option: string])[] = [
  [MS_REMOUNT, "remount"],
  [MS_RDONLY, "ro"],
  [MS_NOSUID, "nosuid"],
  [MS_NODEV, "nodev"],
  [MS_NOEXEC, "noexec"],
  [MS_SYNCHRONOUS, "sync"],
  [MS_NOATIME, "noatime"],
  [MS_NODIRATIME, "nodiratime"],
  [MS_RELATIME, "relatime"],
  [MS_STRICTATIME, "strictatime"],
  [MS_NOSYMFOLLOW, "nosymfollow"],
];

const propagations: readonly (readonly [flag: number, name: string])[] = [
  [MS_PRIVATE, "private"],
  [MS_SLAVE, "slave"],
  [MS_SHARED, "shared"],
  [MS_UNBINDABLE, "unbindable"],
];

/** `private`, `rslave` … of a set of MS_* flags. */
export function propagationName(flags: number): string | undefined {
  const found = propagations.find(([flag]) => (flags & flag) !== 0);
  return found && `${(flags & MS_REC) !== 0 ? "r" : ""}${found[1]}`;
}

/** The options of mount(8) for MS_* flags. */
export function mountOptionNames(flags: number): string[] {
  return mountOptions.filter(([flag]) => flag !== MS_REMOUNT && (flags & flag) !== 0).map(([, name]) => name);
}

function mountCommand(op: OpOf<"mount">): string {
  const propagation = propagationName(op.flags);
  if (propagation !== undefined) return command("mount", `--make-${propagation}`, op.target);
  const options = mountOptions.filter(([flag]) => (op.flags & flag) !== 0).map(([, name]) => name);
  if (op.data !== "") options.push(op.data);
  const choices = options.length === 0 ? [] : ["-o", options.join(",")];
  if ((op.flags & MS_MOVE) !== 0) return command("mount", "--move", op.source, op.target);
  if ((op.flags & MS_REMOUNT) !== 0) {
    if ((op.flags & MS_BIND) !== 0) options.splice(1, 0, "bind");
    return command("mount", "-o", options.join(","), op.target);
  }
  if ((op.flags & MS_BIND) !== 0) {
    return command("mount", (op.flags & MS_REC) !== 0 ? "--rbind" : "--bind", op.source, op.target);
  }
  return command("mount", "-t", op.type, op.source, op.target, ...choices);
}

/** The options of mount(8) for MOUNT_ATTR_* bits. */
export function attributeNames(attributes: number): string[] {
  const names: string[] = [];
  if ((attributes & MOUNT_ATTR_RDONLY) !== 0) names.push("ro");
  if ((attributes & MOUNT_ATTR_NOSUID) !== 0) names.push("nosuid");
  if ((attributes & MOUNT_ATTR_NODEV) !== 0) names.push("nodev");
  if ((attributes & MOUNT_ATTR_NOEXEC) !== 0) names.push("noexec");
  if ((attributes & MOUNT_ATTR__ATIME) === MOUNT_ATTR_NOATIME) names.push("noatime");
  if ((attributes & MOUNT_ATTR__ATIME) === MOUNT_ATTR_STRICTATIME) names.push("strictatime");
  if ((attributes & MOUNT_ATTR_NODIRATIME) !== 0) names.push("nodiratime");
  if ((attributes & MOUNT_ATTR_NOSYMFOLLOW) !== 0) names.push("nosymfollow");
  return names;
}

const opposites: Readonly<Record<string, string>> = { ro: "rw", nosuid: "suid", nodev: "dev", noexec: "exec" };

function attributeOptions(op: OpOf<"mountAttributes">): string {
  const cleared = attributeNames(Number(op.clear)).flatMap((name) => opposites[name] ?? []);
  const options = ["remount", "bind", ...attributeNames(Number(op.set)), ...cleared];
  const propagation = propagationName(op.propagation | (op.recursive ? MS_REC : 0));
  if (propagation !== undefined) options.push(propagation);
  return options.join(",");
}

function redirection(flags: number): string {
  if ((flags & O_RDWR) !== 0) return "<>";
  return (flags & O_WRONLY) !== 0 ? ">" : "<";
}

function variable(slot: string): string {
  return slot.replaceAll(/\W/g, "_");
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}

function limit(value: bigint): string {
  return value >= 1n << 63n ? "unlimited" : String(value);
}

function rlimitName(resource: number): string {
  return Object.entries(rlimitNumbers).find(([, number]) => number === resource)?.[0] ?? String(resource);
}

function seconds(nanoseconds: bigint): string {
  return `${nanoseconds / 1_000_000_000n}.${String(nanoseconds % 1_000_000_000n).padStart(9, "0")}`;
}

/** Names of the capabilities whose bits are set. */
export function capabilitiesOf(bits: bigint): string[] {
  return capabilityNames.filter((_, number) => (bits & (1n << BigInt(number))) !== 0n);
}

function capabilityList(bits: bigint): string {
  return ["-all", ...capabilitiesOf(bits).map((name) => `+${name.slice(4).toLowerCase()}`)].join(",");
}

function capabilityText(op: OpOf<"capset">): string {
  const names = (bits: bigint) => capabilitiesOf(bits).join(",").toLowerCase();
  if (op.effective === op.permitted) return op.permitted === 0n ? "=" : `${names(op.permitted)}=ep`;
  return `${names(op.permitted)}=p ${names(op.effective)}+e`;
}

/** Long and binary data is cut: a message names what was written, it doesn't repeat it. */
function preview(data: string | Uint8Array): string {
  const text = typeof data === "string" ? data : Buffer.from(data.subarray(0, 80)).toString("latin1");
  const clean = text.replaceAll(/[^\x20-\x7e\n]/g, "?");
  return clean.length > 60 ? `${clean.slice(0, 60)}…` : clean;
}
