import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MS_BIND, MS_RDONLY, MS_REMOUNT } from "../../src/program/kernel.ts";
import type { Mount } from "../../src/program/mount.ts";

/** mount(2) by number: mount(8) of Debian 12 puts a loop device under an image in a file, unasked. */
const mountCalls: Readonly<Record<string, number>> = { x64: 165, arm64: 40 };
const call = `my ($source, $target, $type, $flags, $data) = @ARGV; syscall($ENV{CALL}, $source, $target, $type, $flags + 0, $data) == 0 or die "mount $type on $target: $!\\n"`;

function mount(source: string, target: string, type: string, flags: number, data: string): void {
  const number = mountCalls[process.arch];
  assert.ok(number !== undefined, `the number of mount(2) on ${process.arch}`);
  const env = { ...process.env, CALL: String(number) };
  execFileSync("perl", ["-e", call, source, target, type, String(flags), data], { env, stdio: "pipe" });
}

/** Mounts in this process's namespace, each where it belongs, looks, and unmounts. */
export function withMounts<T>(mounts: readonly Mount[], look: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), "onggi-merged-"));
  const mounted: string[] = [];
  try {
    for (const { type, source, options, readonly, at = directory } of mounts) {
      const flags = readonly === true ? MS_RDONLY : 0;
      if (type === "bind") mount(source, at, "", MS_BIND, "");
      else mount(source, at, type, flags, options.join(","));
      mounted.push(at);
      if (type === "bind" && flags !== 0) mount("none", at, "", MS_BIND | MS_REMOUNT | flags, "");
    }
    return look(directory);
  } finally {
    for (const at of mounted.reverse()) execFileSync("umount", [at]);
    rmSync(directory, { recursive: true });
  }
}
