import type { Executor } from "../executor/executor.ts";
import { CLONE_NEWNS, MS_BIND, MS_PRIVATE, MS_REC } from "../program/kernel.ts";
import type { Mount } from "../program/mount.ts";
import type { Op } from "../program/op.ts";
import type { AccountFiles } from "./user.ts";

const maxBytes = 1024 * 1024;

const readAccounts: readonly Op[] = [
  { op: "readFile", path: "/etc/passwd", maxBytes, ignore: ["ENOENT", "ENOTDIR"] },
  { op: "readFile", path: "/etc/group", maxBytes, ignore: ["ENOENT", "ENOTDIR"] },
];

/** Reads the account files of a root that isn't mounted anywhere: a worker shows it to itself alone, and is jailed in it. */
export async function accountFilesOf(
  executor: Executor,
  rootfs: readonly Mount[],
  staging: string,
): Promise<AccountFiles> {
  const show: Op[] = rootfs.map((mount) =>
    mount.type === "bind"
      ? { op: "mount", source: mount.source, target: staging, type: "", flags: MS_BIND, data: "" }
      : {
          op: "fsmount",
          type: mount.type,
          source: mount.source,
          options: mount.options,
          attributes: 0,
          target: staging,
        },
  );
  return readWith(executor, [
    { op: "unshare", flags: CLONE_NEWNS },
    { op: "mount", source: "", target: "/", type: "", flags: MS_PRIVATE | MS_REC, data: "" },
    ...show,
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
    const [passwd, group] = await worker.run(readAccounts);
    return { passwd: textOf(passwd), group: textOf(group) };
  } finally {
    await worker.close();
  }
}

function textOf(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString("utf8");
}
