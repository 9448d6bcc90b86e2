import { join } from "node:path";
import { messageOf } from "../../base/error.ts";
import type { DriverTools } from "../snapshotter.ts";
import { baseDataset } from "./pool.ts";
import { whyNoZfs } from "./programs.ts";

/** Why datasets can't be made for a data root; undefined where they can. */
export async function probeZfs(root: string, { options }: DriverTools): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return "making datasets needs root";
  const reason = await whyNoZfs();
  if (reason !== undefined) return reason;
  try {
    if ((await baseDataset(join(root, "zfs"), options?.["zfs.fsname"])) !== undefined) return undefined;
    return "there is no pool for it: the data root doesn't lie on ZFS (make one: onggi storage init zfs --file PATH --size 10G)";
  } catch (error) {
    return messageOf(error);
  }
}
