/** A value that describes a mount, until it is performed. `options` without `=` are flags of the file system. */
export interface Mount {
  /** `overlay`, `tmpfs`, …, or `bind`. */
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
  readonly readonly?: boolean;
}
