import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** One line of a mountinfo file: proc_pid_mountinfo(5). */
export interface MountEntry {
  readonly mountPoint: string;
  readonly type: string;
  readonly source: string;
  /** Mounts made here reach the namespaces that were cloned from this one. */
  readonly shared: boolean;
}

/** The mounts that a process sees, in their order; empty for one that is gone. */
export function readMountTable(pid: number | "self" = "self"): readonly MountEntry[] {
  return parseMountTable(textOr(`/proc/${pid}/mountinfo`));
}

export function parseMountTable(text: string): readonly MountEntry[] {
  return text.split("\n").flatMap((line) => {
    const [before = "", after = ""] = line.split(" - ");
    const [, , , , mountPoint, , ...optional] = before.split(" ");
    const [type = "", source = ""] = after.split(" ");
    if (mountPoint === undefined) return [];
    const shared = optional.some((field) => field.startsWith("shared:"));
    return [{ mountPoint: unescaped(mountPoint), type, source: unescaped(source), shared }];
  });
}

/** One process of each other mount namespace in which something is mounted at `mountPoint`. */
export function namespacesWith(mountPoint: string): readonly number[] {
  const seen = new Set([linkOr("/proc/self/ns/mnt")]);
  const found: number[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const namespace = linkOr(`/proc/${name}/ns/mnt`);
    if (namespace === "" || seen.has(namespace)) continue;
    seen.add(namespace);
    const pid = Number(name);
    if (readMountTable(pid).some((entry) => entry.mountPoint === mountPoint)) found.push(pid);
  }
  return found;
}

/** Space, tab, newline and backslash are written as octal numbers. */
function unescaped(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

function textOr(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // A process that has ended meanwhile.
  }
}

function linkOr(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
