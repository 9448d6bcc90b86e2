import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, it } from "node:test";
import { explain } from "./explain.ts";
import { CLONE_NEWCGROUP, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, MNT_DETACH } from "./kernel.ts";
import type { Op, Program } from "./op.ts";

const aProgram = (child: readonly Op[] = [], host: readonly Op[] = []): Program => ({
  host: [
    { op: "mkdir", path: "/sys/fs/cgroup/x", mode: 0o755 },
    { op: "open", slot: "cgroup", path: "/sys/fs/cgroup/x", flags: 0 },
    { op: "openTree", slot: "/srv/it's", path: "/home/a b", recursive: true },
    ...host,
    { op: "clone", flags: CLONE_NEWNS | CLONE_NEWPID, intoCgroup: "cgroup" },
  ],
  child: [
    { op: "unshare", flags: CLONE_NEWCGROUP },
    { op: "unshare", flags: CLONE_NEWNET },
    { op: "mount", source: "overlay", target: "/run/root", type: "overlay", flags: 0, data: "lowerdir=/l" },
    { op: "chdir", path: "/run/root" },
    { op: "pivotRoot", newRoot: ".", putOld: "." },
    { op: "umount", target: ".", flags: MNT_DETACH },
    { op: "chdir", path: "/" },
    { op: "mount", source: "proc", target: "/proc", type: "proc", flags: 0, data: "", create: "dir" },
    { op: "moveMount", slot: "/srv/it's", target: "/srv/it's", create: "like" },
    ...child,
    { op: "exec", file: "sh", argv: ["sh", "-c", "echo 'hi' \\"], env: ["A=b=c"], searchPath: "/bin" },
  ],
  teardown: [{ op: "remove", path: "/sys/fs/cgroup/x" }],
});
const meta = { id: "0123456789abcdef", name: "probe\nrm -rf /", image: "host" };
const linesOf = (program: Program) =>
  explain(program, meta)
    .split("\n")
    .map((line) => line.trim());

describe("explain", () => {
  it("is bash that bash can read, whatever the words are", () => {
    const script = explain(aProgram(), meta);
    const { status, stderr } = spawnSync("bash", ["-n"], { input: script, encoding: "utf8" });

    assert.equal(status, 0, stderr);
    assert.ok(!script.includes("\nrm -rf /"));
  });

  it("makes its mounts below the root, before the pivot", () => {
    const lines = linesOf(aProgram());

    assert.ok(lines.includes('mount -t overlay overlay "$root" -o lowerdir=/l'));
    assert.ok(lines.includes('mount -t proc proc "$root"/proc'));
    assert.ok(lines.includes(`mount --rbind '/home/a b' "$(at '/srv/it'\\''s')"`));
    assert.ok(lines.indexOf("# pivot_root . .") > lines.findIndex((line) => line.startsWith("mount -t proc")));
  });

  it("joins the cgroup before it makes the last namespaces", () => {
    const lines = linesOf(aProgram());

    const joined = lines.indexOf("echo 0 > /sys/fs/cgroup/x/cgroup.procs");
    assert.ok(joined >= 0);
    assert.equal(lines[joined + 1], "exec unshare --cgroup --net bash -c container");
    assert.ok(lines.includes("unshare --mount --pid --fork bash -c enter"));
  });

  it("runs the host's end of a cable in the host's network", () => {
    const netlink = (slot: string, shell: string): Op => ({
      op: "netlink",
      slot,
      messages: new Uint8Array(),
      shell: [shell],
    });
    const { child, ...rest } = aProgram([], [{ op: "netlinkSocket", slot: "out", protocol: 0 }]);
    const cable = [
      netlink("out", "ip link add x netns $pid"),
      { op: "netlinkSocket", slot: "in", protocol: 0 } as const,
      netlink("in", "ip link set lo up"),
    ];
    const lines = linesOf({ ...rest, child: [...child.slice(0, 2), ...cable, ...child.slice(2)] });

    assert.ok(lines.includes("nsenter --net=/proc/self/fd/9 ip link add x netns $$"));
    assert.ok(lines.includes("ip link set lo up"));
  });

  it("passes over what the program passes over", () => {
    const lines = linesOf(aProgram([{ op: "mkdir", path: "/x", mode: 0o755, ignore: ["EEXIST"] }]));

    assert.ok(lines.includes('mkdir -p "$(at /x)" 2> /dev/null || true'));
  });

  it("does as perl what no command can do", () => {
    const ops: Op[] = [
      { op: "boundingSet", keep: 1n },
      { op: "setUser", uid: 5, gid: 6, groups: [7] },
      { op: "capset", effective: 1n << 33n, permitted: 1n << 33n, inheritable: 0n },
      { op: "seccomp", flags: 0, filter: new Uint8Array([6, 0, 0, 0, 0, 0, 255, 127]) },
      { op: "init" },
    ];
    const script = explain(aProgram(ops), meta);
    const perl = script.slice(script.indexOf("use strict"), script.indexOf("\nLAST_MILE\n"));
    const { status, stderr } = spawnSync("perl", ["-c", "-e", perl], { encoding: "utf8" });

    assert.equal(status, 0, stderr);
    assert.ok(perl.includes('pack("L6", 0, 0, 0, 2, 2, 0)'));
    assert.ok(perl.includes("060000000000ff7f"));
    assert.ok(perl.includes(`'echo \\'hi\\' \\\\'`));
    assert.ok(perl.includes("'A' => 'b=c'"));
  });
});
