import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const startTimeoutMs = 10_000;
const stopTimeoutMs = 10_000;
const program = "/usr/sbin/zfs-fuse";

/** Why ZFS can't be tested here, or false. */
export const zfsMissing =
  hasKernelZfs() || existsSync(program) ? false : "needs zfs-fuse (package zfs-fuse) or the kernel module zfs";

/** ZFS, by a daemon of this test's own where the kernel hasn't got it. */
export interface ZfsHost {
  /** The name of a pool that nobody else has. */
  readonly pool: string;
  /** The sparse file for it; not made yet. */
  readonly file: string;
  /** Makes the pool, for who doesn't test that. */
  makePool(bytes: number): void;
  /** Destroys the pool and ends the daemon. */
  remove(): Promise<void>;
}

export async function startZfs(): Promise<ZfsHost> {
  const folder = mkdtempSync(join(tmpdir(), "onggi-zfs-"));
  const pool = `ogt${randomBytes(4).toString("hex")}`;
  const file = join(folder, "pool");
  const daemon = hasKernelZfs() || answers() ? undefined : await startDaemon();
  return {
    pool,
    file,
    makePool(bytes) {
      writeFileSync(file, "");
      truncateSync(file, bytes);
      execFileSync("zpool", ["create", "-o", "cachefile=none", "-O", "mountpoint=none", pool, file]);
    },
    async remove() {
      try {
        await destroyPool(pool);
      } finally {
        await end(daemon);
        rmSync(folder, { recursive: true, force: true });
      }
    },
  };
}

/** What was unmounted a moment ago keeps the pool busy. */
async function destroyPool(pool: string): Promise<void> {
  const deadline = performance.now() + stopTimeoutMs;
  while (hasPool(pool)) {
    try {
      execFileSync("zpool", ["destroy", "-f", pool], { stdio: "pipe" });
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await sleep(100);
    }
  }
}

async function startDaemon(): Promise<ChildProcess> {
  // Without -x it keeps no extended attributes.
  const daemon = spawn(program, ["--no-kstat-mount", "--no-daemon", "-x"], { stdio: "ignore" });
  process.once("exit", () => daemon.kill("SIGKILL"));
  const deadline = performance.now() + startTimeoutMs;
  while (!answers()) {
    if (performance.now() > deadline || daemon.exitCode !== null) throw new Error("zfs-fuse doesn't answer");
    await sleep(50);
  }
  return daemon;
}

async function end(daemon: ChildProcess | undefined): Promise<void> {
  if (daemon === undefined || daemon.exitCode !== null) return;
  const ended = new Promise((resolve) => daemon.once("exit", resolve));
  daemon.kill("SIGTERM");
  await Promise.race([ended, sleep(stopTimeoutMs, undefined, { ref: false }).then(() => daemon.kill("SIGKILL"))]);
}

function hasKernelZfs(): boolean {
  return existsSync("/dev/zfs");
}

function answers(): boolean {
  try {
    execFileSync("zpool", ["list"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

function hasPool(pool: string): boolean {
  return execFileSync("zpool", ["list", "-H", "-o", "name"], { encoding: "utf8" }).split("\n").includes(pool);
}
