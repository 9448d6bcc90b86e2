/** A value that describes a mount, until it is performed. `options` without `=` are flags of the file system. */
export interface Mount {
  /** `overlay`, `tmpfs`, …, or `bind`. */
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
  readonly readonly?: boolean;
  /** Where it is mounted instead of the rootfs: a folder for a later mount to stand on, seen in the container's own mount namespace alone. */
  readonly at?: string;
}
