import { randomBytes } from "node:crypto";
import type { Executor, Worker } from "../executor/executor.ts";
import { StepFailure } from "../executor/step-failure.ts";
import { CLONE_NEWNS } from "../program/kernel.ts";
import type { Mount } from "../program/mount.ts";
import type { HostFacts } from "../runtime/compile/host-facts.ts";
import { rootfs } from "../runtime/compile/rootfs.ts";

export interface MachineIdParts {
  readonly executor: Executor;
  readonly facts: HostFacts;
  /** An empty directory to mount on. */
  readonly staging: string;
}

/** systemd's, and D-Bus's own, which most have as a link to the first: machine-id(5). */
const paths = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
const maxBytes = 4096;

/** The files of a tree that hold a machine's id; an empty one, which is filled at the first boot, isn't among them. */
export async function machineIdFiles(parts: MachineIdParts, mounts: readonly Mount[]): Promise<readonly string[]> {
  return inTree(parts, mounts, async (worker) => {
    const found: string[] = [];
    for (const path of paths) {
      // Links that lead in circles, a directory, a device: nothing that is an id.
      const [bytes] = await worker.run([{ op: "readFile", path, maxBytes }]).catch(noFile);
      if (/^[0-9a-f]{32}\n?$/.test(Buffer.from(bytes ?? []).toString("latin1"))) found.push(path);
    }
    return found;
  });
}

/** Gives a tree an id of its own. Its files are those of {@link machineIdFiles}, in place and of the same length. */
export async function writeMachineId(
  parts: MachineIdParts,
  mounts: readonly Mount[],
  files: readonly string[],
): Promise<void> {
  const data = newMachineId();
  await inTree(parts, mounts, async (worker) => {
    await worker.run(files.map((path) => ({ op: "writeControl", path, data })));
  });
}

/** Random, in the form of a version 4 UUID, as machine-id(5) asks. */
function newMachineId(): string {
  const bytes = randomBytes(16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString("hex");
}

/** In a worker that shows the tree to itself alone and is jailed in it: a link of the image's leads nowhere else. */
async function inTree<T>(
  { executor, facts, staging }: MachineIdParts,
  mounts: readonly Mount[],
  use: (worker: Worker) => Promise<T>,
): Promise<T> {
  const worker = await executor.work([
    { op: "unshare", flags: CLONE_NEWNS },
    ...rootfs({ root: { path: staging } }, facts, mounts),
    { op: "chroot", path: staging },
    { op: "chdir", path: "/" },
  ]);
  try {
    return await use(worker);
  } finally {
    await worker.close();
  }
}

function noFile(error: unknown): readonly Uint8Array[] {
  if (error instanceof StepFailure) return [];
  throw error;
}
