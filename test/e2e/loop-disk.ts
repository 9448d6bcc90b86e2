import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A file system in a sparse file, mounted for a test. */
export interface LoopDisk {
  /** Where it is mounted. */
  readonly directory: string;
  /** The file it lies in: a copy of that is what a power cut would leave. */
  readonly image: string;
  /** Unmounts it, also while something hangs on to it, and deletes the file. */
  remove(): void;
}

/** The program that makes the file system, or undefined where the host hasn't got it. */
export function formatterOf(type: string): string | undefined {
  return [`/usr/sbin/mkfs.${type}`, `/sbin/mkfs.${type}`].find((path) => existsSync(path));
}

/** @param type - as `mkfs.TYPE` has it, with its `options`; `mountOptions` are what is said when it is mounted */
export function makeLoopDisk(
  type: string,
  bytes: number,
  options: readonly string[] = [],
  mountOptions: readonly string[] = [],
): LoopDisk {
  const folder = mkdtempSync(join(tmpdir(), `onggi-disk-${type}-`));
  const image = join(folder, "image");
  const directory = join(folder, "mounted");
  writeFileSync(image, "");
  truncateSync(image, bytes);
  mkdirSync(directory);
  const remove = () => {
    if (existsSync(directory)) execFileSync("umount", ["--quiet", "--lazy", directory], { stdio: "ignore" });
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    execFileSync(formatterOf(type) ?? `mkfs.${type}`, [...options, image], { stdio: "ignore" });
    execFileSync("mount", ["-o", ["loop", ...mountOptions].join(","), image, directory]);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  return { directory, image, remove };
}
