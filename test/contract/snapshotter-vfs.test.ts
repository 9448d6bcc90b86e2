import { vfsCandidate } from "../../src/storage/vfs/driver.ts";
import { snapshotterContract } from "./snapshotter.ts";

snapshotterContract("vfs", {
  candidate: vfsCandidate,
  // Its mounts are binds of one directory: what they show is what lies there.
  withMounts: (mounts, look) => look(mounts[0]?.source ?? ""),
});
