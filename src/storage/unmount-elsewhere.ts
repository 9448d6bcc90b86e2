import { CLONE_NEWNS, MNT_DETACH, O_RDONLY } from "../program/kernel.ts";
import { namespacesWith } from "./mount-table.ts";
import type { DriverTools } from "./snapshotter.ts";

/** A process may end before it is entered, while others of its namespace go on: another round finds one of those. */
const rounds = 10;

/**
 * Takes a mount away from the executor's own namespace and from those of executors before it, which their monitors keep. Containers that run
 * keep what they have.
 */
export async function unmountElsewhere(place: string, perform: DriverTools["perform"]): Promise<void> {
  await perform([{ op: "umount", target: place, flags: MNT_DETACH, ignore: ["EINVAL", "ENOENT"] }]);
  for (let round = 0; round < rounds; round++) {
    const pids = namespacesWith(place);
    if (pids.length === 0) return;
    for (const pid of pids) {
      await perform([
        { op: "open", slot: "namespace", path: `/proc/${pid}/ns/mnt`, flags: O_RDONLY },
        { op: "setns", slot: "namespace", flags: CLONE_NEWNS },
        { op: "umount", target: place, flags: MNT_DETACH, ignore: ["EINVAL", "ENOENT"] },
      ]).catch(() => {});
    }
  }
}
