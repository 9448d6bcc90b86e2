import { aufsCandidate } from "./aufs/driver.ts";
import { btrfsCandidate } from "./btrfs/driver.ts";
import { devicemapperCandidate } from "./devicemapper/driver.ts";
import { erofsCandidate } from "./erofs/driver.ts";
import { overlayCandidate } from "./overlay/driver.ts";
import type { DriverCandidate } from "./snapshotter.ts";
import { vfsCandidate } from "./vfs/driver.ts";
import { zfsCandidate } from "./zfs/driver.ts";

/** All drivers, the best first: the first that is usable is taken where none is named. */
export const storageDrivers: readonly DriverCandidate[] = [
  erofsCandidate,
  overlayCandidate,
  btrfsCandidate,
  zfsCandidate,
  devicemapperCandidate,
  vfsCandidate,
  aufsCandidate,
];
