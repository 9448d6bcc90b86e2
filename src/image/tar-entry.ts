/** One member of a tar archive, whatever dialect it was written in. */
export interface TarEntry {
  readonly type: TarEntryType;
  /** As written: `./usr/bin/` and `/usr/bin` are not yet the same here. */
  readonly path: string;
  /** Permission bits with setuid, setgid and sticky; no file type. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of content once unpacked, holes included; 0 for all but files. */
  readonly size: number;
  readonly mtimeNs: bigint;
  /** Where a symbolic link points, or the path of the member a hard link shares. */
  readonly linkPath: string;
  readonly major: number;
  readonly minor: number;
  /** Names with raw values: a capability is not text. */
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
}

export type TarEntryType = "file" | "hardlink" | "symlink" | "char" | "block" | "directory" | "fifo";

/** Where the content that is stored lies in a file with holes: offset and length, ascending. */
export type SparseMap = readonly (readonly [offset: number, length: number])[];

export const blockSize = 512;

/** The letter of each type in a header. */
export const typeFlags: Readonly<Record<TarEntryType, string>> = {
  file: "0",
  hardlink: "1",
  symlink: "2",
  char: "3",
  block: "4",
  directory: "5",
  fifo: "6",
};

/** An entry with defaults for what isn't said. */
export function tarEntry(entry: Partial<TarEntry> & Pick<TarEntry, "path" | "type">): TarEntry {
  return {
    mode: entry.type === "directory" ? 0o755 : entry.type === "symlink" ? 0o777 : 0o644,
    uid: 0,
    gid: 0,
    size: 0,
    mtimeNs: 0n,
    linkPath: "",
    major: 0,
    minor: 0,
    xattrs: new Map(),
    ...entry,
  };
}
