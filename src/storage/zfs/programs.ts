import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { isErrno } from "../../base/errno.ts";
import { messageOf, OnggiError } from "../../base/error.ts";

const run = promisify(execFile);
const timeoutMs = 120_000;
const maxBuffer = 64 * 1024 * 1024;

/** The file system lets go of what was just unmounted a moment later (zfs-fuse always does). */
const busyPatienceMs = 5000;
const busyWaitMs = 20;

export type Program = "zfs" | "zpool";

/** Runs `zfs` or `zpool`; the rows and columns of what `-H` lets it print. */
export async function runZfs(program: Program, ...args: readonly string[]): Promise<readonly (readonly string[])[]> {
  try {
    const env = { ...process.env, LC_ALL: "C" };
    const { stdout } = await run(program, args, { env, timeout: timeoutMs, maxBuffer });
    return stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.split("\t"));
  } catch (cause) {
    throw explained([program, ...args], cause);
  }
}

/** Runs a change until what it needs isn't busy any more. */
export async function runZfsWhenFree(program: Program, ...args: readonly string[]): Promise<void> {
  const deadline = performance.now() + busyPatienceMs;
  for (;;) {
    try {
      await runZfs(program, ...args);
      return;
    } catch (error) {
      if (!/is busy/.test(messageOf(error)) || performance.now() > deadline) throw error;
      await sleep(busyWaitMs);
    }
  }
}

/** Why the programs can't be used here; undefined where they can. */
export async function whyNoZfs(): Promise<string | undefined> {
  try {
    await runZfs("zpool", "list", "-H", "-o", "name");
    return undefined;
  } catch (error) {
    if (error instanceof OnggiError && error.code === "unsupported") return error.message;
    const text = messageOf(error);
    if (/connect/i.test(text)) return "the daemon zfs-fuse isn't running (start it, or load the kernel module zfs)";
    return text;
  }
}

function explained(words: readonly string[], cause: unknown): OnggiError {
  const [program = ""] = words;
  if (isErrno(cause, "ENOENT")) {
    return new OnggiError("unsupported", `the program ${program} isn't there`, {
      hint: "Install zfsutils-linux, or zfs-fuse where the kernel has no ZFS.",
      cause,
    });
  }
  const told = cause instanceof Error && "stderr" in cause ? String(cause.stderr).trim() : messageOf(cause);
  const message = `${words.slice(0, 2).join(" ")} failed: ${told.split("\n").join("; ") || messageOf(cause)}`;
  if (/out of space|no space|quota exceeded/i.test(told)) {
    return new OnggiError("exhausted", message, {
      hint: "Free space in the pool (zpool list), or add a device: zpool add.",
      cause,
    });
  }
  return new OnggiError("internal", message, { cause });
}
