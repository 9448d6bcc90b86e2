import { readFileSync } from "node:fs";
import { fileSystemOf } from "../file-system.ts";

/** Why subvolumes can't be made below a directory; undefined where they can. */
export function probeBtrfs(directory: string): string | undefined {
  if (process.getuid?.() !== 0) return "making subvolumes of others' files needs root";
  const fileSystem = fileSystemOf(directory);
  if (fileSystem === "btrfs") return undefined;
  const kernel = /\bbtrfs$/m.test(readFileSync("/proc/filesystems", "utf8"))
    ? ""
    : ", and the kernel has no btrfs loaded";
  return `the data root lies on ${fileSystem}, not on btrfs${kernel}`;
}
