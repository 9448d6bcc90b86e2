import { readFileSync } from "node:fs";
import { OnggiError } from "../../base/error.ts";
import type { DriverCandidate } from "../snapshotter.ts";

/** Listed so that who looks for it is told what does its work now. Linux never took aufs in; overlay came with 3.18. */
export const aufsCandidate: DriverCandidate = {
  name: "aufs",
  async probe() {
    const patched = /\baufs$/m.test(readFileSync("/proc/filesystems", "utf8"));
    return patched
      ? "the kernel has aufs, but overlay, which merges layers in the same way and is part of Linux itself, does its work"
      : "the kernel has no aufs; overlay, which merges layers in the same way and is part of Linux itself, does its work";
  },
  async open() {
    throw new OnggiError("unsupported", "aufs can't be used", { hint: "Choose --storage-driver overlay." });
  },
};
