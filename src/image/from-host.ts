import { accessSync, constants, readdirSync, readFileSync, statSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { OnggiError } from "../base/error.ts";
import type { ImageConfigFile } from "../oci/manifest.ts";
import type { Platform } from "../oci/platform.ts";
import { closure } from "./host-closure.ts";
import { HostTree } from "./host-tree.ts";
import { encodeLdCache } from "./ld-cache.ts";

/** What an image of the host's programs is made of, before anything is written. */
export interface HostImage {
  readonly tree: HostTree;
  readonly config: Omit<ImageConfigFile, "rootfs">;
  /** What was asked for and isn't on this host, in a sentence each. */
  readonly warnings: readonly string[];
}

const searchPath = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

const coreutils =
  "[ arch b2sum base32 base64 basename basenc cat chgrp chmod chown chroot cksum comm cp csplit cut date dd df dir " +
  "dircolors dirname du echo env expand expr factor false fmt fold groups head hostid id install join link ln logname ls " +
  "md5sum mkdir mkfifo mknod mktemp mv nice nl nohup nproc numfmt od paste pathchk pinky pr printenv printf ptx pwd " +
  "readlink realpath rm rmdir runcon seq sha1sum sha224sum sha256sum sha384sum sha512sum shred shuf sleep sort split " +
  "stat stdbuf stty sum sync tac tail tee test timeout touch tr true truncate tsort tty uname unexpand uniq unlink " +
  "users vdir wc who whoami yes";

/** A shell, and what one looks around, works and makes load with. */
export const defaultPrograms: readonly string[] = [
  ...["sh", "bash", ...coreutils.split(" ")],
  ...["ps", "top", "kill", "mount", "umount", "lsblk", "ip", "ping", "ss", "stress", "hostname"],
  ...["grep", "sed", "awk", "find", "xargs", "tar", "gzip", "less", "clear"],
];

/** Loaded at run time, so named by no file: name services, and what ends a thread. */
const runTimeLibraries = ["libnss_files.so.2", "libnss_dns.so.2", "libgcc_s.so.1"];

const hostFiles = [
  ...["/etc/os-release", "/etc/debian_version", "/etc/protocols", "/etc/services", "/etc/localtime"],
  ...["/etc/host.conf", "/etc/gai.conf", "/etc/ssl/certs/ca-certificates.crt"],
];

const terminals = [
  "ansi",
  "dumb",
  "linux",
  "screen",
  "screen-256color",
  "tmux",
  "tmux-256color",
  "vt100",
  "vt220",
  "xterm",
  "xterm-256color",
];
const terminfoDirectories = ["/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo"];

const directories: readonly (readonly [path: string, mode: number])[] = [
  ...[
    "/dev",
    "/etc",
    "/home",
    "/media",
    "/mnt",
    "/opt",
    "/run",
    "/srv",
    "/usr",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/log",
  ].map((path) => [path, 0o755] as const),
  ["/proc", 0o555],
  ["/sys", 0o555],
  ["/root", 0o700],
  ["/tmp", 0o1777],
  ["/var/tmp", 0o1777],
];

/** Where a merged-usr host has symbolic links, so has the image. */
const topLevel = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/var/run", "/var/lock"];

/**
 * Puts together the image of the host's own programs and all that they need to run.
 *
 * A program's extended attributes don't come along (Node can't read them): `ping` works all the same, since a
 * container's root has CAP_NET_RAW by default.
 *
 * @param programs - names, sought along the usual path, or absolute paths; those that are missing are only named
 * @throws OnggiError `not_found` when none of them is on this host
 */
export function hostImage(programs: readonly string[], platform: Platform): HostImage {
  const warnings: string[] = [];
  const found: string[] = [];
  for (const name of programs) {
    const path = findProgram(name);
    if (path === undefined) warnings.push(`${name} is not on this host: left out`);
    else found.push(path);
  }
  if (found.length === 0) {
    throw new OnggiError("not_found", `none of the programs is on this host: ${programs.join(", ")}`, {
      hint: `They are sought in ${searchPath.join(":")}.`,
    });
  }

  const needs = closure(found, runTimeLibraries, findProgram);
  warnings.push(...needs.missing);

  const tree = new HostTree();
  for (const path of topLevel) tree.addHost(path);
  for (const [path, mode] of directories) tree.addDirectory(path, mode);
  for (const path of [...needs.files, ...hostFiles, ...terminfo(), ...locale()]) tree.addHost(path);
  addEtc(tree);
  tree.addFile("/etc/ld.so.cache", encodeLdCache(needs.ldCache));
  return { tree, config: imageConfig(found, tree.newestMs(), platform), warnings };
}

function imageConfig(
  programs: readonly string[],
  createdMs: number,
  platform: Platform,
): Omit<ImageConfigFile, "rootfs"> {
  const created = new Date(createdMs).toISOString();
  const shell = ["/bin/sh", "/usr/bin/sh", "/bin/bash", "/usr/bin/bash"].find((path) =>
    programs.some((one) => sameFile(one, path)),
  );
  return {
    created,
    ...platform,
    config: {
      Env: [`PATH=${searchPath.join(":")}`],
      Cmd: [shell === undefined ? (programs[0] ?? "") : "sh"],
      WorkingDir: "/",
    },
    history: [{ created, created_by: "onggi image from-host", comment: `${programs.length} programs of the host` }],
  };
}

/** Users and groups of the system but no people, and no service that only this host has. */
function addEtc(tree: HostTree): void {
  tree.addFile("/etc/passwd", systemAccounts("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"));
  tree.addFile("/etc/group", systemAccounts("/etc/group", "root:x:0:\n"));
  tree.addFile("/etc/nsswitch.conf", nsswitch);
  tree.addFile("/etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
  tree.addFile("/etc/hostname", "");
  tree.addFile("/etc/resolv.conf", "");
  tree.addFile("/etc/shells", "/bin/sh\n/bin/bash\n");
  tree.addSymlink("/etc/mtab", "/proc/self/mounts");
}

const nsswitch = `passwd: files
group: files
shadow: files
hosts: files dns
networks: files
protocols: files
services: files
ethers: files
rpc: files
`;

function systemAccounts(path: string, otherwise: string): string {
  const firstPerson = 1000;
  const nobody = 65534;
  try {
    const lines = readFileSync(path, "utf8").split("\n");
    const system = lines.filter((line) => {
      const id = Number(line.split(":")[2] || Number.NaN);
      return id < firstPerson || id === nobody;
    });
    return system.length === 0 ? otherwise : `${system.join("\n")}\n`;
  } catch {
    return otherwise;
  }
}

function terminfo(): string[] {
  return terminals.flatMap((name) => {
    const places = terminfoDirectories.map((directory) => join(directory, name.slice(0, 1), name));
    const place = places.find(isFile);
    return place === undefined ? [] : [place];
  });
}

/** C.UTF-8, where the host keeps it as files. */
function locale(): string[] {
  const root = "/usr/lib/locale/C.utf8";
  try {
    const entries = readdirSync(root, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  } catch {
    return [];
  }
}

function findProgram(name: string): string | undefined {
  const candidates = isAbsolute(name) ? [name] : searchPath.map((directory) => join(directory, name));
  return name.includes("/") && !isAbsolute(name) ? undefined : candidates.find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return isFile(path);
  } catch {
    return false;
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

function sameFile(a: string, b: string): boolean {
  const [left, right] = [a, b].map((path) => statSync(path, { throwIfNoEntry: false }));
  return left !== undefined && right !== undefined && left.dev === right.dev && left.ino === right.ino;
}
