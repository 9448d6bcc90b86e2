import { join } from "node:path";
import type { Mount } from "../program/mount.ts";
import type { Op, Program } from "../program/op.ts";

/** A place of the script's own for what the engine keeps of a container: the writable layer, the files for /etc, socket and record. */
export interface Scratch {
  readonly directory: string;
  readonly rootfs: readonly Mount[];
  /** What else it makes there, empty. */
  readonly folders?: readonly string[];
}

/**
 * The root file system of a container that a script makes: the image's layers below, directories of the script's own on top, so that
 * it never writes to a container's that exists.
 *
 * @param view - the mounts that show the image read-only: one bind mount, one overlay, or an image in a file
 */
export function scratchIn(directory: string, view: readonly Mount[]): Scratch {
  const at = join(directory, "lower");
  const images = view.filter(({ type }) => type === "erofs").map((mount) => ({ ...mount, at }));
  const lower = view.flatMap((mount) => {
    if (mount.type === "bind") return [`lowerdir=${mount.source}`];
    if (mount.type === "erofs") return [`lowerdir=${at}`];
    return mount.options.filter((option) => option.startsWith("lowerdir"));
  });
  const options = [...lower, `upperdir=${join(directory, "upper")}`, `workdir=${join(directory, "work")}`];
  return { directory, rootfs: [...images, { type: "overlay", source: "overlay", options }] };
}

/** The program with the steps before and after it that the engine does itself when it runs one. */
export function withScratch(
  program: Program,
  { directory, rootfs, folders: more = [] }: Scratch,
  files: Readonly<Record<string, string>>,
): Program {
  const own = ["", "upper", "work", "root", "log"].map((name) => join(directory, name));
  const below = rootfs.flatMap(({ at = [] }) => at);
  const folders = [...own, ...below, ...more].map((path): Op => ({ op: "mkdir", path, mode: 0o755, parents: true }));
  const contents = Object.entries(files).map(([path, data]): Op => ({ op: "writeFile", path, data, mode: 0o644 }));
  return {
    host: [...folders, ...contents, ...program.host],
    child: program.child,
    teardown: [...program.teardown, { op: "remove", path: directory, recursive: true }],
  };
}
