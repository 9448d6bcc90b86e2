import { mkdirSync } from "node:fs";
import { open, rm } from "node:fs/promises";
import { dirname, isAbsolute } from "node:path";
import { isErrno } from "../../base/errno.ts";
import { messageOf, OnggiError } from "../../base/error.ts";
import { withUndo } from "../../base/undo.ts";
import { recordedPool, recordPool } from "./pool.ts";
import { runZfs, whyNoZfs } from "./programs.ts";

export interface NewPool {
  readonly name: string;
  /** Absolute path of the sparse file to make. */
  readonly file: string;
  readonly bytes: number;
}

/** ZFS refuses devices below 64 MiB. */
export const smallestPoolBytes = 64 * 1024 * 1024;

/** For file systems of containers; of several values the first that this ZFS knows. zfs-fuse knows only old ones. */
const wishes: readonly (readonly [property: string, ...values: string[]])[] = [
  ["atime", "off"],
  ["compression", "lz4", "on"],
  ["xattr", "sa", "on"],
  ["acltype", "posixacl"],
];

/**
 * Makes a pool on a new sparse file, for the data root whose driver's folder is `directory`.
 *
 * @throws OnggiError `conflict` when the file, the pool or one for this data root is there already
 * @throws OnggiError `unsupported` without ZFS, `invalid` for a name or a size that ZFS refuses
 */
export async function initPool(directory: string, pool: NewPool): Promise<void> {
  check(pool);
  const reason = await whyNoZfs();
  if (reason !== undefined) {
    throw new OnggiError("unsupported", `no pool can be made: ${reason}`, {
      hint: "Install zfsutils-linux, or zfs-fuse where the kernel has no ZFS, and start its daemon.",
    });
  }
  await refuseSecond(directory, pool);
  const { name, file, bytes } = pool;
  await withUndo(async (undo) => {
    await makeSparseFile(file, bytes);
    undo(() => rm(file, { force: true }));
    // No cache file: the driver imports the pool itself when it is opened.
    await runZfs("zpool", "create", "-o", "ashift=12", "-o", "cachefile=none", "-O", "mountpoint=none", name, file);
    undo(async () => void (await runZfs("zpool", "destroy", "-f", name)));
    for (const [property, ...values] of wishes) await setFirst(name, property, values);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    await recordPool(directory, { pool: name, file });
  });
}

function check({ name, file, bytes }: NewPool): void {
  if (!/^[A-Za-z][\w.:-]*$/.test(name) || /^(mirror|raidz|draid|spare|log)|^c\d/.test(name)) {
    throw new OnggiError("invalid", `"${name}" is no name for a pool`, {
      hint: "Letters, digits and _ . : - are allowed, a letter first; mirror, raidz, draid, spare, log and c0 to c9 are ZFS's own.",
    });
  }
  if (!isAbsolute(file)) {
    throw new OnggiError("invalid", `the path of the pool's file must be absolute, not "${file}"`);
  }
  if (!Number.isSafeInteger(bytes) || bytes < smallestPoolBytes) {
    throw new OnggiError("invalid", `a pool of ${bytes} bytes is too small`, { hint: "ZFS needs 64 MiB at least." });
  }
}

async function refuseSecond(directory: string, { name }: NewPool): Promise<void> {
  const own = recordedPool(directory);
  if (own !== undefined) {
    throw new OnggiError("conflict", `this data root has a pool already: "${own.pool}" in ${own.file}`, {
      hint: `Add to it with zpool add, or, once nothing needs it, zpool destroy ${own.pool} and delete ${directory}.`,
    });
  }
  const pools = await runZfs("zpool", "list", "-H", "-o", "name");
  if (pools.some(([other]) => other === name)) {
    throw new OnggiError("conflict", `there is a pool "${name}" already`, { hint: "Give another name: --name." });
  }
}

async function makeSparseFile(file: string, bytes: number): Promise<void> {
  try {
    mkdirSync(dirname(file), { recursive: true });
    const handle = await open(file, "wx", 0o600);
    try {
      await handle.truncate(bytes);
    } finally {
      await handle.close();
    }
  } catch (cause) {
    if (isErrno(cause, "EEXIST")) {
      throw new OnggiError("conflict", `the file ${file} is there already`, {
        hint: "It is never overwritten: give another path.",
        cause,
      });
    }
    throw new OnggiError("invalid", `the file ${file} can't be made: ${messageOf(cause)}`, { cause });
  }
}

async function setFirst(pool: string, property: string, values: readonly string[]): Promise<void> {
  for (const value of values) {
    const isSet = await runZfs("zfs", "set", `${property}=${value}`, pool).then(
      () => true,
      () => false,
    );
    if (isSet) return;
  }
}
