import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { OnggiError } from "../base/error.ts";
import { CLONE_NEWNS, O_RDONLY } from "../program/kernel.ts";
import type { Op } from "../program/op.ts";
import { readMountTable } from "../storage/mount-table.ts";
import { unmountElsewhere } from "../storage/unmount-elsewhere.ts";
import type { VolumeMeans } from "./volume-options.ts";

const run = promisify(execFile);

/** Performs operations where the executor's processes are. */
export type Perform = (ops: readonly Op[]) => Promise<readonly Uint8Array[]>;

type MountMeans = Extract<VolumeMeans, { readonly kind: "mount" }>;

/**
 * Mounts what a volume's options name on a directory, for the host and for the executor; nothing where that is done.
 *
 * By mount(8), which knows the helpers of network file systems, the names of options, and UUIDs.
 *
 * @throws OnggiError `invalid` with what mount(8) says
 */
export async function mountVolume(name: string, means: MountMeans, target: string, perform: Perform): Promise<void> {
  if (!isMounted(target)) {
    await unmountVolume(target, perform); // What an executor may still have of a mount before.
    const options = means.options === "" ? [] : ["-o", means.options];
    try {
      await run("mount", ["-t", means.type, ...options, "--", means.device, target], {
        env: { ...process.env, LC_ALL: "C" },
      });
    } catch (cause) {
      const said = (cause as { stderr?: string }).stderr?.trim().split("\n")[0] ?? String(cause);
      throw new OnggiError("invalid", `failed to mount local volume ${name}: ${said}`, {
        hint: `Try by hand: mount -t ${means.type} ${[...options, means.device].join(" ")} /mnt`,
        cause,
      });
    }
  }
  if (!(await executorSees(target, perform))) await showToExecutor(target, perform);
}

/** Takes it away, for all that would hold on to it; containers that run keep what they have. */
export async function unmountVolume(target: string, perform: Perform): Promise<void> {
  while (isMounted(target)) await run("umount", [target]).catch(() => run("umount", ["--lazy", target]));
  await unmountElsewhere(target, perform);
}

export function isMounted(target: string): boolean {
  return readMountTable().some(({ mountPoint }) => mountPoint === target);
}

async function executorSees(target: string, perform: Perform): Promise<boolean> {
  const [table] = await perform([{ op: "readFile", path: "/proc/self/mountinfo", maxBytes: 4 << 20 }]);
  return Buffer.from(table ?? [])
    .toString("utf8")
    .includes(` ${target} `);
}

/** Where the host's mounts are private, the executor's namespace doesn't learn of new ones: it is handed this very mount. */
async function showToExecutor(target: string, perform: Perform): Promise<void> {
  await perform([
    { op: "open", slot: "own", path: "/proc/self/ns/mnt", flags: O_RDONLY },
    { op: "open", slot: "engine", path: `/proc/${process.pid}/ns/mnt`, flags: O_RDONLY },
    { op: "setns", slot: "engine", flags: CLONE_NEWNS },
    { op: "openTree", slot: "volume", path: target, recursive: true },
    { op: "setns", slot: "own", flags: CLONE_NEWNS },
    { op: "moveMount", slot: "volume", target },
  ]);
}
