import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Mount } from "../../src/program/mount.ts";

/** Binds what a driver's only mount shows in this process's namespace, looks, and unmounts. */
export function withBoundMount<T>(mounts: readonly Mount[], look: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), "onggi-bound-"));
  const [mount] = mounts;
  assert.ok(mount?.type === "bind" && mounts.length === 1);
  execFileSync("mount", ["--bind", mount.source, directory]);
  if (mount.readonly) execFileSync("mount", ["-o", "remount,bind,ro", directory]);
  try {
    return look(directory);
  } finally {
    execFileSync("umount", [directory]);
    rmSync(directory, { recursive: true });
  }
}
