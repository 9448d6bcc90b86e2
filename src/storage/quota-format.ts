/** Arguments of quotactl(2) and of the ioctl that sets a directory's project: `linux/quota.h`, `linux/dqblk_xfs.h`, `linux/fs.h`. */

const PRJQUOTA = 2;
export const Q_GETQUOTA = 0x800007;
export const Q_SETQUOTA = 0x800008;
/** Of xfs by its history; the kernel answers it for every file system. */
export const Q_XGETQSTATV = 0x5808;

/** QCMD() for projects. */
export const quotaCommand = (command: number): number => command * 256 + PRJQUOTA;

export const FS_IOC_FSSETXATTR = 0x401c5820;
const FS_XFLAG_PROJINHERIT = 0x200;

/** struct fsxattr of a directory that hands its project on. */
export function encodeProject(project: number): Uint8Array {
  const attributes = Buffer.alloc(28);
  attributes.writeUInt32LE(FS_XFLAG_PROJINHERIT, 0);
  attributes.writeUInt32LE(project, 12);
  return attributes;
}

/** Bytes of struct if_dqblk. */
export const quotaSize = 72;
const QIF_BLIMITS = 1;
const QIF_ILIMITS = 4;
/** Limits of bytes count in these. */
const blockBytes = 1024;

/** struct if_dqblk that sets both limits, none where there is none. */
export function encodeLimit({
  bytes,
  inodes,
}: {
  readonly bytes?: number | undefined;
  readonly inodes?: number | undefined;
}): Uint8Array {
  const quota = Buffer.alloc(quotaSize);
  const blocks = BigInt(Math.ceil((bytes ?? 0) / blockBytes));
  quota.writeBigUInt64LE(blocks, 0);
  quota.writeBigUInt64LE(blocks, 8);
  quota.writeBigUInt64LE(BigInt(inodes ?? 0), 24);
  quota.writeBigUInt64LE(BigInt(inodes ?? 0), 32);
  quota.writeUInt32LE(QIF_BLIMITS | QIF_ILIMITS, 64);
  return quota;
}

/** What is charged to a project, and its limits: 0 for none. */
export interface QuotaUse {
  readonly bytes: number;
  readonly inodes: number;
  readonly maxBytes: number;
  readonly maxInodes: number;
}

export function decodeQuota(data: Uint8Array): QuotaUse {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const number = (offset: number) => Number(view.getBigUint64(offset, true));
  return { maxBytes: number(0) * blockBytes, bytes: number(16), maxInodes: number(24), inodes: number(40) };
}

const FS_QSTATV_VERSION1 = 1;
const FS_QUOTA_PDQ_ENFD = 1 << 5;

/** struct fs_quota_statv, with room for what later kernels add. */
export function stateRequest(): Uint8Array {
  const state = Buffer.alloc(256);
  state.writeInt8(FS_QSTATV_VERSION1, 0);
  return state;
}

export function isEnforced(state: Uint8Array): boolean {
  return (Buffer.from(state).readUInt16LE(2) & FS_QUOTA_PDQ_ENFD) !== 0;
}
