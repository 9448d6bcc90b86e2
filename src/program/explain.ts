import { explainContainer } from "./explain-container.ts";
import { explainHost, explainTeardown } from "./explain-host.ts";
import { lastMile } from "./explain-last-mile.ts";
import { slotsOf } from "./explain-slots.ts";
import type { Program } from "./op.ts";
import { quote } from "./quote.ts";

export interface ExplainMeta {
  readonly id: string;
  readonly name: string;
  readonly image: string;
  /** How storage makes the container's tree, where that takes more than a mount. */
  readonly tree?: TreeCommands | undefined;
}

/** Commands that make a tree, and those that take it away. */
export interface TreeCommands {
  readonly make: readonly string[];
  readonly drop: readonly string[];
}

/**
 * Says a container's program as a bash script that makes the same container with the host's own commands.
 *
 * It needs what Debian has by default: bash, coreutils, util-linux, iproute2, and perl-base for the steps that no command can
 * do once the host's root is gone. Ports need nft, as the engine does.
 *
 * @param meta - for the comment at the head
 */
export function explain(program: Program, { id, name, image, tree }: ExplainMeta): string {
  const slots = slotsOf(program);
  const { root, enter, container, namespaces, usesTerminal } = explainContainer(program, slots);
  const lines = [
    "#!/bin/bash",
    `# The container ${comment(name)} (${comment(id.slice(0, 12))}) of the image ${comment(image)}, made by hand: run this as root.`,
    "#",
    "# The engine does the same, with system calls of its own and in another order: it mounts after pivot_root, so that a",
    "# symbolic link in an image can't lead to the host. Here mount(8) is needed, which the image may not have, so mounts",
    "# are made before, and the function `at` follows the links.",
    ...(usesTerminal
      ? ["# The engine gives the container a terminal of its own devpts as well; here it borrows the one you type on."]
      : []),
    "set -euo pipefail",
    "",
    "# Where the container's tree is mounted, in its own mount namespace: nobody else sees it.",
    `root=${quote(root)}`,
    'mkdir -p "$root"',
    "",
    "# What lies in a cgroup's folder are controls, which go with it; a process that was killed may take a moment to go.",
    "remove_cgroup() {",
    '  for _ in 1 2 3 4 5 6 7 8 9; do [ -d "$1" ] && ! rmdir "$1" || break; sleep 0.1; done',
    "}",
    "",
    "# Takes back what the kernel doesn't free by itself when the last process has ended.",
    "teardown() {",
    "  set +e",
    ...indent(tree?.drop ?? []),
    ...indent(explainTeardown(program)),
    "}",
    "trap teardown EXIT",
    "",
    "# --- on the host ---",
    ...explainHost(program),
    ...(tree?.make ?? []),
    "",
    ...functions,
    "# --- the first process, in new namespaces ---",
    "enter() {",
    "  set -euo pipefail",
    ...indent(enter),
    "}",
    "",
    "container() {",
    "  set -euo pipefail",
    ...indent(container),
    "",
    "  # From here on no program of the host can be reached: one that runs already does the rest.",
    '  exec perl -e "$last_mile"',
    "}",
    "",
    "last_mile=$(cat <<'LAST_MILE'",
    ...lastMile(program),
    "LAST_MILE",
    ")",
    "",
    "export root last_mile",
    "export -f enter container at like remount mask readonly_path",
    "# The host's network namespace, for the host's end of the cable.",
    "exec 9</proc/self/ns/net",
    `${namespaces.prefix}unshare ${namespaces.flags.join(" ")} --fork bash -c enter`,
    "",
  ];
  return lines.join("\n");
}

const functions = `
# at PATH: where a path of the container lies now; links are followed as if its root were / already.
at() {
  local rest=$1 here='' part link count=0
  while [ -n "$rest" ]; do
    IFS=/ read -r part rest <<< "$rest"
    case $part in '' | .) continue ;; ..) here=$(dirname "/$here") && continue ;; esac
    if link=$(readlink -- "$root/$here/$part"); then
      if [ $((count += 1)) -gt 40 ]; then echo "$1: too many links" >&2; return 1; fi
      case $link in /*) here='' ;; esac
      rest=$link/$rest
    else
      here=$here/$part
    fi
  done
  printf %s "$root$here"
}

# like SOURCE TARGET: makes the target a folder or an empty file, as the source is, if it isn't there.
like() {
  if [ -e "$2" ]; then return; fi
  if [ -d "$1" ]; then mkdir -p "$2"; else mkdir -p "$(dirname "$2")" && : > "$2"; fi
}

# remount [-R] OPTIONS TARGET: adds options to a mount (-R: and to all below it); those that it has stay.
remount() {
  local below='' path options
  if [ "$1" = -R ]; then below=-R; shift; fi
  findmnt $below -nro TARGET,VFS-OPTIONS --mountpoint "$2" | { if [ -z "$below" ]; then tail -n 1; else cat; fi; } |
    while read -r path options; do mount -o "remount,bind,$options,$1" "$(printf %b "$path")"; done
}

# mask PATH: hides a file of the kernel's behind /dev/null, a folder behind an empty one.
mask() {
  if [ -d "$root$1" ]; then mount -t tmpfs tmpfs "$root$1" -o ro,nosuid,nodev,noexec,size=0,mode=755
  elif [ -e "$root$1" ]; then mount --bind "$root/dev/null" "$root$1"; fi
}

# readonly_path PATH: what lies there can be read only.
readonly_path() {
  if [ -e "$root$1" ]; then mount --rbind "$root$1" "$root$1" && remount -R ro "$root$1"; fi
}
`.split("\n");

function indent(lines: readonly string[]): string[] {
  return lines.length === 0 ? ["  :"] : lines.map((line) => (line === "" ? "" : `  ${line}`));
}

/** Nothing that a comment could end with. */
function comment(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, "?");
}
