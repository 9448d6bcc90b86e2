import { posix } from "node:path";
import { OnggiError } from "../base/error.ts";

/** One side of a copy, as `CONTAINER:PATH`, a path of this machine, or `-` for an archive. */
export interface CopySide {
  /** Undefined for this machine. */
  readonly container: string | undefined;
  readonly path: string;
}

export interface CopySource {
  readonly path: string;
  readonly isDirectory: boolean;
  /** The name that was asked for, where following a link changed it. */
  readonly name?: string;
}

export interface CopyTarget {
  readonly path: string;
  readonly kind: "directory" | "other" | "missing";
}

/** Docker's reading: what begins with a slash or a dot is a path of this machine, whatever colons are in it. */
export function parseCopySide(text: string): CopySide {
  const colon = text.indexOf(":");
  if (colon <= 0 || text.startsWith("/") || text.startsWith(".")) return { container: undefined, path: text };
  return { container: text.slice(0, colon), path: text.slice(colon + 1) };
}

/** A path's folder and the entry in it that is meant: `.` where all that is in a folder is meant, not the folder. */
export function splitEntry(path: string): { readonly folder: string; readonly name: string } {
  const clean = posix.normalize(path).replace(/(?<=.)\/$/, "");
  if (meansContents(path)) return { folder: clean, name: "." };
  return { folder: posix.dirname(clean), name: posix.basename(clean) || "/" };
}

/** `PATH/.` */
export function meansContents(path: string): boolean {
  return path === "." || path.endsWith("/.");
}

/** `PATH/` or `PATH/.` */
export function assertsDirectory(path: string): boolean {
  return path.endsWith("/") || meansContents(path);
}

/** Cleans a path, but keeps what it says by its end. */
export function keepEnding(clean: string, written: string): string {
  if (meansContents(written) && !meansContents(clean)) return clean.endsWith("/") ? `${clean}.` : `${clean}/.`;
  return written.endsWith("/") && !clean.endsWith("/") ? `${clean}/` : clean;
}

/** Where a link led, with the ending of what was asked for, and the name under which it was. */
export function renamed(asked: string, resolved: string): { readonly path: string; readonly name?: string } {
  const path = keepEnding(resolved, asked);
  const [before, after] = [splitEntry(asked).name, splitEntry(path).name];
  return before === after ? { path } : { path, name: before };
}

/**
 * Where a copy is unpacked, and what its topmost entry is called there; undefined: as at its source.
 *
 * @throws OnggiError `invalid` in Docker's words
 */
export function planCopy(
  source: CopySource,
  target: CopyTarget,
): { readonly folder: string; readonly name: string | undefined } {
  if (target.kind === "directory") return { folder: target.path, name: source.name };
  if (target.kind === "other" && source.isDirectory) throw new OnggiError("invalid", "cannot copy directory");
  if (target.kind === "missing" && !source.isDirectory && assertsDirectory(target.path))
    throw new OnggiError("invalid", "no such directory");
  const { folder, name } = splitEntry(target.path);
  return { folder, name };
}
