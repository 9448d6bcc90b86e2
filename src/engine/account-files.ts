import type { Executor } from "../executor/executor.ts";
import { CLONE_NEWNS } from "../program/kernel.ts";
import type { Mount } from "../program/mount.ts";
import type { Op } from "../program/op.ts";
import type { HostFacts } from "../runtime/compile/host-facts.ts";
import { rootfs } from "../runtime/compile/rootfs.ts";
import type { AccountFiles } from "./user.ts";

const maxBytes = 1024 * 1024;

const readAccounts: readonly Op[] = [
  { op: "readFile", path: "/etc/passwd", maxBytes, ignore: ["ENOENT", "ENOTDIR"] },
  { op: "readFile", path: "/etc/group", maxBytes, ignore: ["ENOENT", "ENOTDIR"] },
];

/** Reads the account files of a root that isn't mounted anywhere: a worker shows it to itself alone, and is jailed in it. */
export async function accountFilesOf(
  { executor, facts, staging }: { readonly executor: Executor; readonly facts: HostFacts; readonly staging: string },
  mounts: readonly Mount[],
): Promise<AccountFiles> {
  return readWith(executor, [
    { op: "unshare", flags: CLONE_NEWNS },
    ...rootfs({ root: { path: staging } }, facts, mounts),
    { op: "chroot", path: staging },
    { op: "chdir", path: "/" },
  ]);
}

/** Reads the account files of a container that runs, as its processes see them. */
export async function accountFilesIn(executor: Executor, pid: number, startTime: bigint): Promise<AccountFiles> {
  return readWith(executor, [
    { op: "openProcess", slot: "process", pid, startTime },
    { op: "setns", slot: "process", flags: CLONE_NEWNS },
  ]);
}

async function readWith(executor: Executor, prelude: readonly Op[]): Promise<AccountFiles> {
  const worker = await executor.work(prelude);
  try {
    // Apart, since a file that isn't there gives no answer.
    const [passwd, group] = (await Promise.all(readAccounts.map((op) => worker.run([op])))).map(([text]) => text);
    return { passwd: textOf(passwd), group: textOf(group) };
  } finally {
    await worker.close();
  }
}

function textOf(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString("utf8");
}
