import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CLONE_NEWNET, CLONE_NEWNS, MNT_DETACH, MS_NODEV, MS_NOSUID, MS_PRIVATE, MS_REC } from "./kernel.ts";
import { quote } from "./quote.ts";
import { shellOf } from "./shell.ts";

describe("shellOf", () => {
  it("says a mount as mount(8) has it", () => {
    const flags = MS_NOSUID | MS_NODEV;
    const base = { op: "mount", source: "proc", target: "/proc", type: "proc", data: "" } as const;

    assert.equal(shellOf({ ...base, flags: 0 }), "mount -t proc proc /proc");
    assert.equal(shellOf({ ...base, flags, data: "hidepid=2" }), "mount -t proc proc /proc -o nosuid,nodev,hidepid=2");
    assert.equal(shellOf({ ...base, flags: MS_PRIVATE | MS_REC, target: "/" }), "mount --make-rprivate /");
  });

  it("names namespaces as unshare(1) does", () => {
    assert.equal(shellOf({ op: "clone", flags: CLONE_NEWNET | CLONE_NEWNS }), "unshare --mount --net --fork");
  });

  it("says a lazy umount and a pivot", () => {
    assert.equal(shellOf({ op: "umount", target: ".", flags: MNT_DETACH }), "umount -l .");
    assert.equal(shellOf({ op: "pivotRoot", newRoot: ".", putOld: "." }), "pivot_root . .");
  });

  it("quotes what a shell would take apart", () => {
    assert.equal(shellOf({ op: "mkdir", path: "/a b", mode: 0o755 }), "mkdir -m 0755 '/a b'");
    assert.equal(shellOf({ op: "symlink", target: "it's", path: "x" }), "ln -s 'it'\\''s' x");
    assert.equal(quote(""), "''");
  });

  it("says an ioctl by its number, or as the command that its caller knows", () => {
    const op = { op: "ioctl", path: "/a b", flags: 0, request: 0x9408, argument: new Uint8Array() } as const;

    assert.equal(shellOf(op), "ioctl '/a b' 0x9408");
    assert.equal(shellOf({ ...op, shell: "btrfs filesystem sync '/a b'" }), "btrfs filesystem sync '/a b'");
  });

  it("shows control bytes of data as question marks and cuts what is long", () => {
    const op = { op: "writeFile", path: "f", mode: 0o644, data: `\u0007${"x".repeat(100)}` } as const;

    assert.equal(shellOf(op), `printf %s '?${"x".repeat(59)}…' > f`);
  });
});
