import { MNT_DETACH } from "./kernel.ts";
import type { Op, Program } from "./op.ts";
import { capabilitiesOf, shellOf } from "./shell.ts";

/**
 * The steps that no command of the host can do, as a perl program: once the root has changed only what runs already can go on,
 * and what a command may do to itself ends with it.
 */
export function lastMile({ child }: Program): string[] {
  const pivot = child.findIndex(({ op }) => op === "pivotRoot");
  const kept = child.filter((op, index) => index >= pivot || op.op === "umask");
  const umask = kept.find((op) => op.op === "umask");
  const ops = kept.filter((op) => op !== umask && op.op !== "exec");
  const exec = kept.find((op) => op.op === "exec");
  return [
    ...prelude,
    ...ops.flatMap(perlLines),
    ...(umask?.op === "umask" ? [`umask 0${umask.mask.toString(8)};`] : []),
    ...(exec?.op === "exec" ? execLines(exec) : []),
  ];
}

const prelude = String.raw`
use strict;
use POSIX ();
my %call = (POSIX::uname())[4] eq "aarch64"
  ? (pivot_root => 41, umount2 => 39, prctl => 167, capset => 91, setgroups => 159, setresgid => 149, setresuid => 147, seccomp => 277, prlimit64 => 261)
  : (pivot_root => 155, umount2 => 166, prctl => 157, capset => 126, setgroups => 116, setresgid => 119, setresuid => 117, seccomp => 317, prlimit64 => 302);
sub call { my ($name, @arguments) = @_; syscall($call{$name}, @arguments) != -1 or die "$name: $!\n" }
sub enter { chdir $_[0] or die "$_[0]: $!\n" }
POSIX::close(9);`
  .trim()
  .split("\n");

function perlLines(op: Op): string[] {
  const said = perlOf(op);
  return said === undefined ? [] : [`# ${oneLine(shellOf(op))}`, ...said];
}

function perlOf(op: Op): string[] | undefined {
  switch (op.op) {
    case "pivotRoot":
      return [`enter($ENV{root});`, `call("pivot_root", ${text(op.newRoot)}, ${text(op.putOld)});`];
    case "umount":
      return [`call("umount2", ${text(op.target)}, ${MNT_DETACH});`];
    case "chdir":
      return [`enter(${text(op.path)});`];
    case "setRlimit":
      return [`call("prlimit64", 0, ${op.resource}, pack("Q2", ${op.soft}, ${op.hard}), 0);`];
    case "boundingSet":
      return [
        `for my $number (0 .. 63) { next if ${op.keep} >> $number & 1; last if syscall($call{prctl}, 24, $number, 0, 0, 0) == -1 }`,
      ];
    case "prctl":
      return [`call("prctl", ${op.option}, ${op.args.join(", ")});`];
    case "setUser":
      return [
        // Its pipes and terminal are made over to the user, so that it may open /dev/stdout.
        ...(op.uid === 0 ? [] : [`for (*STDIN, *STDOUT, *STDERR) { chown ${op.uid}, -1, $_ if -p $_ || -t $_ }`]),
        `call("setgroups", ${op.groups.length}, pack("L*", ${op.groups.join(", ")}));`,
        `call("setresgid", ${op.gid}, ${op.gid}, ${op.gid});`,
        `call("setresuid", ${op.uid}, ${op.uid}, ${op.uid});`,
      ];
    case "capset": {
      const words = [0n, 32n].flatMap((shift) =>
        [op.effective, op.permitted, op.inheritable].map((set) => (set >> shift) & 0xffffffffn),
      );
      return [`call("capset", pack("Ll", 0x20080522, 0), pack("L6", ${words.join(", ")}));`];
    }
    case "ambientSet":
      return capabilitiesOf(op.raise).length === 0
        ? []
        : [`for my $number (0 .. 63) { call("prctl", 47, 2, $number, 0, 0) if ${op.raise} >> $number & 1 }`];
    case "seccomp":
      return [
        `my $filter = pack("H*", ${text(Buffer.from(op.filter).toString("hex"))});`,
        `call("seccomp", 1, ${op.flags}, pack("S x6 P", ${op.filter.length / 8}, $filter));`,
      ];
    case "init":
      return initLines;
    default:
      return undefined;
  }
}

/** PID 1 forwards signals, reaps, and ends as the program does. */
const initLines = `
if (my $program = fork) {
  for my $name (qw(HUP INT QUIT TERM USR1 USR2 WINCH)) { $SIG{$name} = sub { kill $name, $program } }
  for (;;) {
    my $ended = waitpid(-1, 0);
    exit($? & 127 ? 128 + ($? & 127) : $? >> 8) if $ended == $program;
  }
}`
  .trim()
  .split("\n");

function execLines({ file, argv, env, searchPath }: Extract<Op, { op: "exec" }>): string[] {
  const folders = file.includes("/") ? [] : searchPath.split(":");
  return [
    "# The program.",
    `%ENV = (${env.map((entry) => [entry.slice(0, entry.indexOf("=")), entry.slice(entry.indexOf("=") + 1)].map(text).join(" => ")).join(", ")});`,
    `my @words = (${argv.map(text).join(", ")});`,
    ...(folders.length === 0
      ? [`exec { ${text(file)} } @words;`]
      : [
          `for my $folder (${folders.map((folder) => text(folder === "" ? "." : folder)).join(", ")}) { exec { "$folder/" . ${text(file)} } @words }`,
        ]),
    `print STDERR ${text(`exec: ${file}: `)}, "$!\\n";`,
    "exit($!{ENOENT} ? 127 : 126);",
  ];
}

/** A string of perl's, in single quotes. */
function text(value: string): string {
  return `'${value.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

function oneLine(value: string): string {
  return value.replaceAll("\n", "\\n");
}
