import { erofsLines } from "./explain-erofs.ts";
import { withTolerance } from "./explain-host.ts";
import type { SlotTable } from "./explain-slots.ts";
import { MOUNT_ATTR_RDONLY, MS_BIND, MS_REC, MS_REMOUNT } from "./kernel.ts";
import type { Op, OpName, Program } from "./op.ts";
import { command, quote } from "./quote.ts";
import { attributeNames, mountOptionNames, namespaceFlags, propagationName, shellOf } from "./shell.ts";

export interface ExplainedContainer {
  /** Where the tree is mounted. */
  readonly root: string;
  /** What the first process does before the last namespaces are made. */
  readonly enter: readonly string[];
  /** What it does then, up to pivot_root. */
  readonly container: readonly string[];
  readonly namespaces: { readonly prefix: string; readonly flags: readonly string[] };
  readonly usesTerminal: boolean;
}

/** Said by the last mile, after pivot_root. */
const later: ReadonlySet<OpName> = new Set([
  "umask",
  "pivotRoot",
  "umount",
  "setRlimit",
  "boundingSet",
  "prctl",
  "capset",
  "ambientSet",
  "setUser",
  "seccomp",
  "init",
  "exec",
  "openTerminal",
  "closeSlot",
  "netlinkSocket",
]);

/** The child part up to pivot_root: what the program does after it on `/path` is done here on the path below the root. */
export function explainContainer(program: Program, slots: SlotTable): ExplainedContainer {
  const { host, child } = program;
  const pivot = child.findIndex(({ op }) => op === "pivotRoot");
  const staged = child.findLastIndex((op, index) => index < pivot && op.op === "chdir");
  const stage = child[staged];
  const root = stage?.op === "chdir" ? stage.path : "/";
  const isMaking = (op: Op) => op.op === "unshare" || op.op === "setns";
  const first = child.findIndex(isMaking);
  const outside = child.slice(0, staged);
  const before = first < 0 ? [] : outside.slice(0, first);
  const after = (first < 0 ? outside : outside.slice(first)).filter((op) => !isMaking(op));
  const enter = [...intoCgroup(host, slots), ...lines(before, slots, root, false)];
  return {
    root,
    enter: [...enter, child.some(isMaking) ? makeNamespaces(child.filter(isMaking), slots) : "container"],
    container: [...lines(after, slots, root, false), ...lines(child.slice(staged), slots, root, true)],
    namespaces: outerNamespaces(host, slots),
    usesTerminal: child.some(({ op }) => op === "openTerminal"),
  };
}

function intoCgroup(host: readonly Op[], { paths }: SlotTable): string[] {
  const clone = host.findLast((op) => op.op === "clone");
  const path = clone?.op === "clone" && clone.intoCgroup !== undefined ? paths.get(clone.intoCgroup) : undefined;
  return path === undefined ? [] : [`echo 0 > ${quote(`${path}/cgroup.procs`)}`];
}

function outerNamespaces(host: readonly Op[], { paths }: SlotTable): ExplainedContainer["namespaces"] {
  const clone = host.findLast((op) => op.op === "clone");
  const joined = host.findLast((op) => op.op === "setns");
  const path = joined?.op === "setns" ? paths.get(joined.slot) : undefined;
  const isPid = joined?.op === "setns" && namespaceFlags(joined.flags).includes("--pid");
  return {
    prefix: path === undefined || !isPid ? "" : `nsenter --pid=${quote(path)} `,
    flags: clone?.op === "clone" ? namespaceFlags(clone.flags) : [],
  };
}

/** The namespaces that the first process makes itself, now that it is where they shall begin. */
function makeNamespaces(ops: readonly Op[], { paths }: SlotTable): string {
  const made = ops.flatMap((op) => (op.op === "unshare" ? namespaceFlags(op.flags) : []));
  const joined = ops.flatMap((op) =>
    op.op === "setns" ? namespaceFlags(op.flags).map((flag) => `${flag}=${quote(paths.get(op.slot) ?? "")}`) : [],
  );
  const words = [
    ...(joined.length === 0 ? [] : ["nsenter", ...joined]),
    ...(made.length === 0 ? [] : ["unshare", ...made]),
  ];
  return `exec ${words.join(" ")} bash -c container`;
}

interface Heading {
  readonly text: string;
  readonly ops: readonly OpName[];
  /** Paths that the heading is about; all, where absent. */
  readonly of?: RegExp;
}

const headings: readonly Heading[] = [
  { text: "Limits: the process joins its cgroups.", ops: ["writeSlot"] },
  { text: "A name of its own.", ops: ["setHostname", "setDomainname"] },
  { text: "Devices.", ops: ["mknod", "symlink"] },
  { text: "Parameters of the kernel that belong to its namespaces.", ops: ["writeControl"], of: /^\/proc\/sys\// },
  { text: "What of the kernel's no container may see.", ops: ["mask"] },
  { text: "What of the kernel's no container may change.", ops: ["readonlyPath"] },
  { text: "Files and folders of the host.", ops: ["moveMount"] },
];

function lines(ops: readonly Op[], slots: SlotTable, root: string, isInside: boolean): string[] {
  const all: string[] = [];
  let heading: string | undefined;
  const terminal = ops.findIndex(({ op }) => op === "openTerminal");
  for (const [index, op] of ops.entries()) {
    if (later.has(op.op) || (op.op === "open" && !isInside)) continue;
    if (terminal >= 0 && index === terminal + 1) continue; // the console is a terminal that isn't there
    const said = withTolerance(op, isInside ? insideLines(op, slots) : outsideLines(op, slots, root));
    if (said.length === 0) continue;
    const next = headingOf(op, root);
    if (next !== undefined && next !== heading) all.push("", `# ${next}`);
    heading = next ?? heading;
    all.push(...said);
  }
  return all;
}

function headingOf(op: Op, root: string): string | undefined {
  const path = "path" in op ? op.path : "";
  const found = headings.find(({ ops, of }) => ops.includes(op.op) && (of === undefined || of.test(path)));
  if (found !== undefined) return found.text;
  if (op.op === "netlink") {
    const isCable = op.shell.some((line) => line.includes(" veth "));
    return isCable ? "A cable: one end in the container, named eth0, the other on the host's bridge." : "Its network.";
  }
  if (op.op !== "mount" && op.op !== "fsmount") return undefined;
  if (op.target === "/" || op.target === root) return "The container's tree: the image below, its own changes on top.";
  return /^\/(proc|sys|dev)(\/|$)/.test(op.target)
    ? "The kernel's file systems, new ones for the new namespaces."
    : undefined;
}

/** Before the tree is entered: paths are the host's. */
function outsideLines(op: Op, { paths, hostSockets }: SlotTable, root: string): string[] {
  switch (op.op) {
    case "writeSlot":
      return [`echo ${quote(String(op.data))} > ${quote(paths.get(op.slot) ?? "")}`];
    case "netlink": {
      const isHosts = hostSockets.has(op.slot);
      return op.shell.map((line) =>
        isHosts ? `nsenter --net=/proc/self/fd/9 ${line.replaceAll("$pid", () => "$$")}` : line,
      );
    }
    case "setDomainname":
      return [`echo ${quote(op.name)} > /proc/sys/kernel/domainname`];
    case "mount":
    case "fsmount":
      return mountLines(op, op.target === root ? '"$root"' : quote(op.target));
    case "mountAttributes":
      return attributeLines(op, op.target === root ? '"$root"' : quote(op.target));
    default:
      return [shellOf(op)];
  }
}

/** After it: paths are the container's. */
function insideLines(op: Op, { trees }: SlotTable): string[] {
  switch (op.op) {
    case "open":
      return [`[ ! -L ${inside(op.path)} ] || { echo ${quote(`${op.path} is a link`)} >&2; exit 1; }`];
    case "chdir":
      return op.create === true ? [`mkdir -p ${inside(op.path)}`] : [];
    case "mkdir":
      return [`mkdir -p ${inside(op.path)}`];
    case "mknod":
    case "symlink":
    case "chown":
    case "chmod":
      return [commandOn(op)];
    case "writeControl":
      return [`echo ${quote(op.data)} > ${inside(op.path)}`];
    case "mask":
      return [command("mask", op.path)];
    case "readonlyPath":
      return [command("readonly_path", op.path)];
    case "mountAttributes":
      return attributeLines(op, inside(op.target));
    case "mount":
    case "fsmount": {
      const target = inside(op.target);
      const make = op.create === "dir" && !/^\/(proc|sys|dev)$/.test(op.target) ? [`mkdir -p ${target}`] : [];
      return [...make, ...mountLines(op, target)];
    }
    case "moveMount": {
      const tree = trees.get(op.slot);
      if (tree === undefined) return [];
      const target = inside(op.target);
      const how = tree.recursive ? "--rbind" : "--bind";
      return [
        `like ${quote(tree.source)} ${target}`,
        `mount ${how} ${quote(tree.source)} ${target}`,
        ...tree.changes.flatMap((change) => attributeLines(change, target)),
      ];
    }
    default:
      return [`${shellOf(op)} # not said`];
  }
}

/** A link is a target's own business in /proc, /sys and /dev: they are real, or were refused. */
function inside(path: string): string {
  if (path === "/") return '"$root"';
  return /^\/(proc|sys|dev)(\/|$)/.test(path) ? `"$root"${quote(path)}` : `"$(at ${quote(path)})"`;
}

/** The op's command with its path, which comes last but for nodes, below the root. */
function commandOn(op: Extract<Op, { op: "mknod" | "symlink" | "chown" | "chmod" }>): string {
  const marker = "/onggi-explain-path";
  return shellOf({ ...op, path: marker }).replace(marker, () => inside(op.path));
}

function mountLines(op: Extract<Op, { op: "mount" | "fsmount" }>, target: string): string[] {
  if (op.type === "erofs" && op.source.startsWith("/")) {
    return erofsLines(op.source, target, op.op === "fsmount" ? op.options : op.data.split(","));
  }
  if (op.op === "fsmount") {
    return [mountType(op.type, op.source, target, [...attributeNames(op.attributes), ...joinLayers(op.options)])];
  }
  const propagation = propagationName(op.flags);
  if (propagation !== undefined) return [`mount --make-${propagation} ${target}`];
  const options = [...mountOptionNames(op.flags), ...(op.data === "" ? [] : [op.data])];
  if ((op.flags & MS_REMOUNT) !== 0) return [`mount -o ${quote(["remount", "bind", ...options].join(","))} ${target}`];
  if ((op.flags & MS_BIND) !== 0) {
    const source = quote(op.source) === target ? target : quote(op.source);
    return [`mount ${(op.flags & MS_REC) !== 0 ? "--rbind" : "--bind"} ${source} ${target}`];
  }
  return [mountType(op.type, op.source, target, options)];
}

function mountType(type: string, source: string, target: string, options: readonly string[]): string {
  const choices = options.length === 0 ? "" : ` -o ${quote(options.join(","))}`;
  return `${command("mount", "-t", type, source)} ${target}${choices}`;
}

/** mount(8) before 2.39 has no `lowerdir+`. */
function joinLayers(options: readonly string[]): string[] {
  const added = options
    .filter((option) => option.startsWith("lowerdir+="))
    .map((option) => option.slice("lowerdir+=".length));
  if (added.length === 0) return [...options];
  return [`lowerdir=${added.join(":")}`, ...options.filter((option) => !option.startsWith("lowerdir+="))];
}

function attributeLines(op: Extract<Op, { op: "mountAttributes" }>, target: string): string[] {
  const all: string[] = [];
  const propagation = propagationName(op.propagation | (op.recursive ? MS_REC : 0));
  if (propagation !== undefined) all.push(`mount --make-${propagation} ${target}`);
  const set = attributeNames(Number(op.set));
  if (set.length > 0) all.push(`remount ${op.recursive ? "-R " : ""}${quote(set.join(","))} ${target}`);
  if ((Number(op.clear) & MOUNT_ATTR_RDONLY) !== 0) all.push(`remount rw ${target}`);
  return all;
}
