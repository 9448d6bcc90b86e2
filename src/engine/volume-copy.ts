import { dirname, join } from "node:path";
import { OnggiError } from "../base/error.ts";
import type { Executor } from "../executor/executor.ts";
import { StepFailure } from "../executor/step-failure.ts";
import { CLONE_NEWNS } from "../program/kernel.ts";
import type { Mount } from "../program/mount.ts";
import type { Program } from "../program/op.ts";
import type { HostFacts } from "../runtime/compile/host-facts.ts";
import { rootfs } from "../runtime/compile/rootfs.ts";

const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export interface CopyParts {
  readonly executor: Executor;
  readonly facts: HostFacts;
  /** Two empty directories to mount on, seen by nobody else. */
  readonly staging: string;
  readonly folder: string;
}

/**
 * Copies what an image has at `path` into the directory `to`, with all that belongs to it, the folder's own mode and owner as well.
 *
 * The copying process has the image mounted for itself alone. `path` is resolved inside the image, whose links can't lead out of it; what it
 * names becomes a mount of its own, and only that is copied.
 *
 * @returns whether the image has a folder there
 * @throws OnggiError `exhausted` when the disk is full
 */
export async function copyFromImage(
  { executor, facts, staging, folder }: CopyParts,
  mounts: readonly Mount[],
  path: string,
  to: string,
): Promise<boolean> {
  const argv = ["cp", "--archive", "--reflink=auto", "--sparse=auto", "--no-target-directory", "--", folder, to];
  const program: Program = {
    host: [
      { op: "stdio", terminal: false, stdin: false, rows: 0, columns: 0 },
      { op: "clone", flags: 0 },
    ],
    child: [
      { op: "unshare", flags: CLONE_NEWNS },
      ...rootfs({ root: { path: staging } }, facts, mounts),
      { op: "chdir", path: staging },
      { op: "openTree", slot: "folder", path: path.slice(1), recursive: false },
      { op: "chdir", path: "/" },
      { op: "moveMount", slot: "folder", target: folder },
      { op: "exec", file: "cp", argv, env: ["LC_ALL=C", `PATH=${searchPath}`], searchPath },
    ],
    teardown: [],
  };
  try {
    const { status, said } = await run(executor, program);
    if (status !== 0) throw copyFailure(path, to, said);
    return true;
  } catch (error) {
    if (isAbsent(error)) return false;
    throw error;
  }
}

/** There is nothing, or no folder, at that path of the image. */
function isAbsent(error: unknown): boolean {
  if (!(error instanceof StepFailure)) return false;
  const isPath = error.op?.op === "openTree" || error.op?.op === "moveMount";
  return isPath && ["ENOENT", "ENOTDIR", "ELOOP", "EACCES"].includes(error.errno);
}

async function run(executor: Executor, program: Program): Promise<{ readonly status: number; readonly said: string }> {
  const monitor = await executor.launch(program, { subscribe: true });
  let said = "";
  monitor.subscribe({
    onData: (_stream, data) => {
      if (said.length < 2000) said += Buffer.from(data).toString("utf8");
    },
  });
  const { status } = await monitor.exited;
  await monitor.tornDown;
  return { status, said };
}

function copyFailure(path: string, to: string, said: string): OnggiError {
  const isFull = /No space left on device|Disk quota exceeded/.test(said);
  const [first = ""] = said.split("\n");
  return new OnggiError(
    isFull ? "exhausted" : "internal",
    `copying the image's ${path} into the volume at ${dirname(to)} failed: ${first}`,
    isFull ? { hint: "Free some space, give the volume a larger size, or mount it with nocopy." } : {},
  );
}

export function copyPlaces(runRoot: string): Pick<CopyParts, "staging" | "folder"> {
  return { staging: join(runRoot, "volume-root"), folder: join(runRoot, "volume-folder") };
}
