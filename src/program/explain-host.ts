import { dirname } from "node:path";
import type { Op, Program } from "./op.ts";
import { command, dataWord, quote } from "./quote.ts";
import { shellOf } from "./shell.ts";

/** The host part: cgroups with their limits, published ports, files. What only the monitor does is told, not done. */
export function explainHost({ host }: Program): string[] {
  return host.flatMap((op) => withTolerance(op, hostLines(op)));
}

function hostLines(op: Op): string[] {
  switch (op.op) {
    case "stdio":
    case "listen":
    case "record":
    case "oomWatch":
    case "clone":
    case "open": // said where it is used
    case "chdir": // for openTree
    case "openTree":
    case "mountAttributes":
    case "setns":
    case "closeSlot":
    case "netlinkSocket":
      return [];
    case "log":
      return [`# The engine keeps the output in ${op.directory}/${op.name}.`];
    case "netlink":
      return [...op.shell];
    default:
      return fileLines(op);
  }
}

/** Steps on files of the host, as whole commands. */
export function fileLines(op: Op): string[] {
  switch (op.op) {
    case "mkdir":
      return [command("mkdir", "-p", "-m", (op.mode & 0o7777).toString(8).padStart(4, "0"), op.path)];
    case "writeFile":
      return [command("mkdir", "-p", dirname(op.path)), `printf %s ${dataWord(op.data)} > ${quote(op.path)}`];
    case "writeControl":
      return [`echo ${quote(op.data.trimEnd())} > ${quote(op.path)}`];
    default:
      return [shellOf(op)];
  }
}

/** The teardown part; each step goes on where the one before failed. */
export function explainTeardown({ teardown }: Program): string[] {
  return teardown.flatMap((op) => teardownLines(op).map((line) => `${line} 2> /dev/null`));
}

function teardownLines(op: Op): string[] {
  switch (op.op) {
    case "killCgroup":
      return [`xargs -r kill -KILL < ${quote(`${op.path}/cgroup.procs`)}`];
    case "remove":
      return [
        op.path.startsWith("/sys/fs/cgroup/")
          ? command("remove_cgroup", op.path)
          : command("rm", op.recursive === true ? "-rf" : "-f", op.path),
      ];
    case "netlinkSocket":
    case "closeSlot":
      return [];
    case "netlink":
      return [...op.shell];
    default:
      return fileLines(op);
  }
}

/** A step that may fail is passed over where it does. */
export function withTolerance(op: Op, lines: readonly string[]): string[] {
  if (op.ignore === undefined || op.ignore.length === 0) return [...lines];
  return lines.map((line) => (line.startsWith("#") ? line : `${line} 2> /dev/null || true`));
}
