/**
 * What an engine may leave behind on a host, as lists of names that can be compared: taken before and after a test,
 * the difference must be empty.
 */
import { execFileSync } from "node:child_process";
import { type Dirent, globSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

export type Inventory = Readonly<Record<Kind, readonly string[]>>;

export type Kind = "mounts" | "cgroups" | "links" | "netns" | "nft" | "processes" | "fds" | "files";

export interface InventoryScope {
  /** Data and run roots: mounts and processes that name them are counted, and the files below them. */
  readonly roots?: readonly string[];
  /** The bridge, in which case links and nft tables of other engines aren't counted. */
  readonly bridge?: string;
  /** The cgroup that all of an engine's lie in, such as `/onggi`: other engines' cgroups and containers aren't counted then. */
  readonly cgroupParent?: string;
  /** A process whose open files are counted, by what they are, since numbers change. */
  readonly pid?: number;
}

/** Takes stock. Needs root to see all processes; a part that this host doesn't have is empty. */
export function hostInventory(scope: InventoryScope = {}): Inventory {
  const processes = listProcesses();
  const ours = processes.filter((process) => isEngineProcess(process.commandLine, scope.roots));
  const cgroups = listCgroups(scope.cgroupParent);
  const members = scope.cgroupParent === undefined ? processes.map(({ pid }) => pid) : [...membersOf(cgroups)];
  return {
    mounts: mountPoints(scope, ours),
    cgroups,
    links: parseLinks(commandOr("ip", ["-json", "link", "show"], "[]"), scope.bridge),
    netns: networkNamespaces(members),
    nft: parseNftObjects(commandOr("nft", ["-json", "list", "ruleset"], '{"nftables":[]}'), scope.bridge),
    processes: ours.map(describeProcess).sort(),
    fds: scope.pid === undefined ? [] : openFiles(scope.pid),
    files: (scope.roots ?? []).flatMap(filesBelow).sort(),
  };
}

/** What `after` has more of than `before`, as `kind: name`; a name that is there twice counts twice. */
export function leaks(before: Inventory, after: Inventory, kinds = Object.keys(after) as readonly Kind[]): string[] {
  return kinds.flatMap((kind) => {
    const rest = [...before[kind]];
    return after[kind].flatMap((name) => {
      const known = rest.indexOf(name);
      if (known === -1) return [`${kind}: ${name}`];
      rest.splice(known, 1);
      return [];
    });
  });
}

/** The mount points of a mountinfo file; its octal escapes are undone. */
export function parseMountPoints(mountinfo: string): string[] {
  return mountinfo
    .split("\n")
    .map((line) => line.split(" ")[4])
    .filter((path) => path !== undefined)
    .map((path) => path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))));
}

/**
 * Links of `ip -json link`. With a bridge: it and what is plugged into it.
 * Without: every link, since a veth whose other end is gone has no name that tells whose it was.
 */
export function parseLinks(json: string, bridge?: string): string[] {
  const links = JSON.parse(json) as { ifname?: string; master?: string }[];
  return links
    .filter(({ ifname, master }) => bridge === undefined || ifname === bridge || master === bridge)
    .map(({ ifname }) => ifname ?? "?")
    .sort();
}

/** Our tables of `nft -json list ruleset` with their chains, rules, sets, maps and each element. */
export function parseNftObjects(json: string, bridge?: string): string[] {
  const { nftables } = JSON.parse(json) as { nftables: Record<string, NftObject>[] };
  const isOurs = (table: string) => (bridge === undefined ? table.includes("onggi") : table.includes(bridge));
  return nftables
    .flatMap((entry) => Object.entries(entry))
    .filter(([kind, object]) => isOurs((kind === "table" ? object.name : object.table) ?? ""))
    .flatMap(([kind, object]) => {
      const name = [
        kind,
        object.table,
        object.chain,
        object.name,
        kind === "rule" ? JSON.stringify(object.expr) : undefined,
      ]
        .filter((part) => part !== undefined)
        .join(" ");
      return [name, ...(object.elem ?? []).map((element) => `${name} ${JSON.stringify(element)}`)];
    })
    .sort();
}

interface NftObject {
  readonly name?: string;
  readonly table?: string;
  readonly chain?: string;
  readonly expr?: unknown;
  readonly elem?: readonly unknown[];
}

/** True for spawners and monitors, and with roots only for those that name one of them. */
export function isEngineProcess(commandLine: string, roots?: readonly string[]): boolean {
  if (!commandLine.includes("onggi-exec")) return false;
  return roots === undefined || roots.length === 0 || roots.some((root) => commandLine.includes(root));
}

/** In the host's mount namespace and, where roots are named, in those of their engine's processes as well. */
function mountPoints({ roots }: InventoryScope, engine: readonly HostProcess[]): string[] {
  const named = roots !== undefined && roots.length > 0;
  const tables = ["self", ...(named ? engine.map(({ pid }) => String(pid)) : [])];
  return tables
    .flatMap((process) => parseMountPoints(readOr(`/proc/${process}/mountinfo`)))
    .filter((path) => isBelow(path, roots) || (!named && isOnggi(path)))
    .filter((path) => !sharedImage.test(path))
    .sort();
}

/** Images are mounted once for all containers, in the executor's own namespace, and go with their images or with it: no container leaves them. */
const sharedImage = /\/snapshots\/erofs\/shared(\/|$)/;

function listCgroups(parent: string | undefined): string[] {
  if (parent === undefined) return globSync("/sys/fs/cgroup/**/*onggi*").sort();
  const tops = globSync(`/sys/fs/cgroup/**${parent}`);
  return tops.flatMap((top) => [top, ...foldersBelow(top)]).sort();
}

/** The processes in cgroups, each once. */
export function membersOf(cgroups: readonly string[]): ReadonlySet<number> {
  const lines = cgroups.flatMap((path) => readOr(join(path, "cgroup.procs")).split("\n"));
  return new Set(lines.filter((line) => line !== "").map(Number));
}

function foldersBelow(top: string): string[] {
  return entriesOf(top)
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => [join(top, name), ...foldersBelow(join(top, name))]);
}

/** With those whose names begin with a dot; links are not followed. */
function filesBelow(root: string): string[] {
  return entriesOf(root).flatMap((entry) => {
    const path = join(root, entry.name);
    return entry.isDirectory() ? [path, ...filesBelow(path)] : [path];
  });
}

function entriesOf(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch {
    return []; // It has gone meanwhile.
  }
}

interface HostProcess {
  readonly pid: number;
  readonly commandLine: string;
}

function listProcesses(): HostProcess[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ({
      pid: Number(name),
      commandLine: `${readOr(`/proc/${name}/comm`).trim()} ${readOr(`/proc/${name}/cmdline`).replaceAll("\0", " ").trim()}`,
    }));
}

function describeProcess({ pid, commandLine }: HostProcess): string {
  return `${pid} ${commandLine}`;
}

function networkNamespaces(pids: readonly number[]): string[] {
  const ofProcesses = pids.map((pid) => linkOr(`/proc/${pid}/ns/net`)).filter((link) => link !== "");
  const named = globSync("/run/netns/*");
  return [...new Set([...ofProcesses, ...named])].sort();
}

function openFiles(pid: number): string[] {
  const ofKind = (target: string) => target.replace(/^(\w+):\[\d+\]$/, "$1");
  return globSync(`/proc/${pid}/fd/*`)
    .map(linkOr)
    .filter((target) => target !== "")
    .map(ofKind)
    .sort();
}

function isBelow(path: string, roots: readonly string[] = []): boolean {
  return roots.some((root) => path === root || path.startsWith(`${root}/`));
}

function isOnggi(path: string): boolean {
  return path.startsWith("/var/lib/onggi") || path.startsWith("/run/onggi");
}

function readOr(path: string): string {
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

function commandOr(command: string, args: readonly string[], otherwise: string): string {
  try {
    return (
      execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"], timeout: 20_000 }) ||
      otherwise
    );
  } catch {
    return otherwise; // Not installed here, so nothing of its kind was made.
  }
}
