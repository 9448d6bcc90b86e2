/** A layer as a plain tar in a file, and what is in it: for drivers that index the archive instead of unpacking it. */
export interface LayerArchive {
  /** The plain tar, on the file system of the data root. Its content never changes; a driver that keeps it makes a hard link of its own. */
  readonly path: string;
  readonly bytes: number;
  /** `sha256:…` of the tar, checked: its diffID. */
  readonly digest: string;
  /** Its members in the archive's order, whiteouts (`.wh.…`) among them under the names that they have there. */
  entries(): Iterable<LayerEntry>;
}

/** One member of a layer's archive. */
export interface LayerEntry {
  readonly type: "file" | "hardlink" | "symlink" | "char" | "block" | "directory" | "fifo";
  /** As written: `./usr/bin/` and `/usr/bin` are not yet the same. */
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
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
  /** Where the content lies: ascending, what is between is a hole. */
  readonly extents: readonly LayerExtent[];
}

export interface LayerExtent {
  /** Offset in the file. */
  readonly offset: number;
  /** Offset in the archive, a multiple of 512. */
  readonly archiveOffset: number;
  readonly length: number;
}
