/** What a writable tree may take at most: beyond it, writing fails with ENOSPC or EDQUOT. */
export interface StorageLimit {
  readonly bytes?: number;
  readonly inodes?: number;
}
