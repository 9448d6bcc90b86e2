import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { writeFileAtomic } from "../../base/atomic-file.ts";
import { isErrno } from "../../base/errno.ts";
import { OnggiError } from "../../base/error.ts";
import { readMountTable } from "../mount-table.ts";
import { runZfs } from "./programs.ts";

/** A pool that was made for a data root. */
export interface OwnPool {
  readonly pool: string;
  /** The file it lies in. */
  readonly file: string;
}

/** The record of a data root's own pool, in the driver's folder. */
const recordName = "pool.json";

export async function recordPool(directory: string, { pool, file }: OwnPool): Promise<void> {
  await writeFileAtomic(join(directory, recordName), `${JSON.stringify({ pool, file })}\n`, 0o600);
}

export function recordedPool(directory: string): OwnPool | undefined {
  try {
    const { pool, file } = JSON.parse(readFileSync(join(directory, recordName), "utf8"));
    return typeof pool === "string" && typeof file === "string" ? { pool, file } : undefined;
  } catch (error) {
    if (isErrno(error, "ENOENT") || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/**
 * The dataset below which a data root has its own: the one that was named, else that of the pool made for this root, else that on
 * which the root lies. Undefined where there is none.
 *
 * @throws OnggiError `not_found` when it is known but isn't there
 */
export async function baseDataset(directory: string, named: string | undefined): Promise<string | undefined> {
  if (named !== undefined) return existing(named, "Make it: zfs create -o mountpoint=none");
  const own = recordedPool(directory);
  if (own !== undefined) {
    await importPool(own);
    return `${own.pool}/onggi`;
  }
  const around = datasetAt(directory);
  return around === undefined ? undefined : `${around}/onggi`;
}

async function existing(name: string, hint: string): Promise<string> {
  try {
    await runZfs("zfs", "list", "-H", "-o", "name", name);
    return name;
  } catch (cause) {
    throw new OnggiError("not_found", `there is no dataset "${name}"`, { hint: `${hint} ${name}`, cause });
  }
}

async function importPool({ pool, file }: OwnPool): Promise<void> {
  const pools = await runZfs("zpool", "list", "-H", "-o", "name");
  if (pools.some(([name]) => name === pool)) return;
  try {
    await runZfs("zpool", "import", "-d", dirname(file), pool);
  } catch (cause) {
    throw new OnggiError("not_found", `the pool "${pool}", which lies in ${file}, can't be imported`, {
      hint: `Is the file there? zpool import -d ${dirname(file)} says more.`,
      cause,
    });
  }
}

/** The dataset whose file system holds a directory. */
function datasetAt(directory: string): string | undefined {
  const holds = ({ mountPoint }: { readonly mountPoint: string }) =>
    mountPoint === "/" || directory === mountPoint || directory.startsWith(`${mountPoint}/`);
  const mounts = readMountTable().filter(holds);
  const nearest = mounts.reduce((best, mount) => (mount.mountPoint.length >= best.mountPoint.length ? mount : best), {
    mountPoint: "",
    type: "",
    source: "",
  });
  return nearest.type === "zfs" || nearest.type === "fuse.zfs" ? nearest.source : undefined;
}
