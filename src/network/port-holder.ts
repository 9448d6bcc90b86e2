import { readdir, readFile, readlink } from "node:fs/promises";

/**
 * The process that listens on a port of the host, as `nginx (process 123)`; `undefined` when it can't be told.
 *
 * Looks at every descriptor of every process: for error messages only.
 */
export async function findPortHolder(protocol: "tcp" | "udp", port: number): Promise<string | undefined> {
  const tables = await Promise.all([protocol, `${protocol}6`].map((name) => readOrEmpty(`/proc/net/${name}`)));
  const sockets = new Set(
    tables.flatMap((table) => listeningInodes(table, protocol, port)).map((inode) => `socket:[${inode}]`),
  );
  if (sockets.size === 0) return undefined;
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid) || !(await holds(pid, sockets))) continue;
    const name = (await readOrEmpty(`/proc/${pid}/comm`)).trim();
    return `${name || "A process"} (process ${pid})`;
  }
  return undefined;
}

/** Inodes of the sockets that are bound to a port, by the lines of /proc/net/tcp or udp. */
export function listeningInodes(table: string, protocol: "tcp" | "udp", port: number): readonly string[] {
  const listening = protocol === "tcp" ? "0A" : "07";
  return table
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local, , state]) => state === listening && Number.parseInt(local?.split(":")[1] ?? "", 16) === port)
    .flatMap((fields) => fields[9] ?? []);
}

async function holds(pid: string, sockets: ReadonlySet<string>): Promise<boolean> {
  try {
    for (const fd of await readdir(`/proc/${pid}/fd`)) {
      if (sockets.has(await readlink(`/proc/${pid}/fd/${fd}`))) return true;
    }
  } catch {
    // It ended, or isn't ours to look into.
  }
  return false;
}

async function readOrEmpty(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => "");
}
