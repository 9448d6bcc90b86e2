import { OnggiError } from "../base/error.ts";
import type { ErrnoName, Op, OpName, Program, Slot, SlotPatch } from "./op.ts";

/**
 * What a letter of a signature stands for: `x` a number · `d` a slot, `D` one that may be absent · `s` text · `b` bytes ·
 * `l` texts · `g` numbers · `p` places in a netlink message. `executor/protocol.md` says how each is written.
 */
type Field =
  | number
  | bigint
  | boolean
  | string
  | Uint8Array
  | readonly string[]
  | readonly number[]
  | readonly SlotPatch[]
  | undefined;

interface Row<Name extends OpName> {
  readonly code: number;
  readonly signature: string;
  readonly fields: (op: Extract<Op, { op: Name }>) => readonly Field[];
}

/** How each op is written; `native/op.h` has the same rows, and a test compares them. */
export const opRows: { readonly [Name in OpName]: Row<Name> } = {
  open: { code: 1, signature: "dsxx", fields: (op) => [op.slot, op.path, op.flags, op.mode ?? 0] },
  writeSlot: { code: 2, signature: "db", fields: (op) => [op.slot, op.data] },
  closeSlot: { code: 3, signature: "d", fields: (op) => [op.slot] },
  netlinkSocket: { code: 4, signature: "dx", fields: (op) => [op.slot, op.protocol] },
  netlink: { code: 5, signature: "dbp", fields: (op) => [op.slot, op.messages, op.patches ?? []] },
  openProcess: { code: 6, signature: "dxx", fields: (op) => [op.slot, op.pid, op.startTime] },
  unshare: { code: 7, signature: "x", fields: (op) => [op.flags] },
  setns: { code: 8, signature: "dx", fields: (op) => [op.slot, op.flags] },
  setHostname: { code: 9, signature: "s", fields: (op) => [op.name] },
  setDomainname: { code: 10, signature: "s", fields: (op) => [op.name] },
  setRlimit: { code: 11, signature: "xxx", fields: (op) => [op.resource, op.soft, op.hard] },
  prctl: { code: 12, signature: "xxxxx", fields: (op) => [op.option, ...op.args] },
  boundingSet: { code: 13, signature: "x", fields: (op) => [op.keep] },
  capset: { code: 14, signature: "xxx", fields: (op) => [op.effective, op.permitted, op.inheritable] },
  ambientSet: { code: 15, signature: "x", fields: (op) => [op.raise] },
  setUser: { code: 16, signature: "xxg", fields: (op) => [op.uid, op.gid, op.groups] },
  seccomp: { code: 17, signature: "xb", fields: (op) => [op.flags, op.filter] },
  umask: { code: 18, signature: "x", fields: (op) => [op.mask] },
  chdir: { code: 19, signature: "sx", fields: (op) => [op.path, op.create] },
  chroot: { code: 20, signature: "s", fields: (op) => [op.path] },
  oomScoreAdj: { code: 21, signature: "x", fields: (op) => [op.value] },
  exec: { code: 22, signature: "slls", fields: (op) => [op.file, op.argv, op.env, op.searchPath] },
  init: { code: 23, signature: "", fields: () => [] },
  mount: {
    code: 24,
    signature: "sssxsx",
    fields: (op) => [op.source, op.target, op.type, op.flags, op.data, creation(op.create)],
  },
  fsmount: {
    code: 25,
    signature: "sslxsx",
    fields: (op) => [op.type, op.source, op.options, op.attributes, op.target, creation(op.create)],
  },
  openTree: { code: 26, signature: "dsx", fields: (op) => [op.slot, op.path, op.recursive] },
  moveMount: { code: 27, signature: "dsx", fields: (op) => [op.slot, op.target, creation(op.create)] },
  mountAttributes: {
    code: 28,
    signature: "Dsxxxx",
    fields: (op) => [op.slot, op.target, op.set, op.clear, op.propagation, op.recursive],
  },
  umount: { code: 29, signature: "sx", fields: (op) => [op.target, op.flags] },
  pivotRoot: { code: 30, signature: "ss", fields: (op) => [op.newRoot, op.putOld] },
  mask: { code: 31, signature: "s", fields: (op) => [op.path] },
  readonlyPath: { code: 32, signature: "s", fields: (op) => [op.path] },
  mkdir: { code: 33, signature: "sxx", fields: (op) => [op.path, op.mode, op.parents] },
  writeFile: { code: 34, signature: "sbxx", fields: (op) => [op.path, op.data, op.mode, op.exclusive] },
  writeControl: { code: 35, signature: "sb", fields: (op) => [op.path, op.data] },
  symlink: { code: 36, signature: "ss", fields: (op) => [op.target, op.path] },
  link: { code: 37, signature: "ss", fields: (op) => [op.target, op.path] },
  mknod: { code: 38, signature: "sxxx", fields: (op) => [op.path, op.mode, op.major, op.minor] },
  chown: { code: 39, signature: "sxx", fields: (op) => [op.path, op.uid, op.gid] },
  chmod: { code: 40, signature: "sx", fields: (op) => [op.path, op.mode] },
  utimens: { code: 41, signature: "sxx", fields: (op) => [op.path, op.atimeNs, op.mtimeNs] },
  setxattr: { code: 42, signature: "ssb", fields: (op) => [op.path, op.name, op.value] },
  rename: { code: 43, signature: "ss", fields: (op) => [op.from, op.to] },
  remove: { code: 44, signature: "sx", fields: (op) => [op.path, op.onlyFile === true ? 2 : op.recursive] },
  killCgroup: { code: 45, signature: "s", fields: (op) => [op.path] },
  stdio: { code: 46, signature: "xxxx", fields: (op) => [op.terminal, op.stdin, op.rows, op.columns] },
  openTerminal: { code: 47, signature: "s", fields: (op) => [op.path] },
  log: {
    code: 48,
    signature: "ssxxx",
    fields: (op) => [op.directory, op.name, op.format, op.maxBytes, op.maxFiles],
  },
  listen: { code: 49, signature: "s", fields: (op) => [op.path] },
  record: { code: 50, signature: "s", fields: (op) => [op.path] },
  oomWatch: { code: 51, signature: "xsss", fields: (op) => [op.version, op.path, op.peakPath, op.usagePath] },
  clone: { code: 52, signature: "xD", fields: (op) => [op.flags, op.intoCgroup] },
  readFile: { code: 53, signature: "sx", fields: (op) => [op.path, op.maxBytes] },
  createFile: { code: 54, signature: "dsx", fields: (op) => [op.slot, op.path, op.mode] },
  append: { code: 55, signature: "dxb", fields: (op) => [op.slot, op.skip ?? 0, op.data] },
  ioctl: {
    code: 56,
    signature: "sxxbp",
    fields: (op) => [op.path, op.flags, op.request, op.argument, op.patches ?? []],
  },
  jail: { code: 57, signature: "", fields: () => [] },
  openScan: {
    code: 58,
    signature: "sx",
    fields: (op) => [op.path, bits(op.oneFileSystem, op.xattrs, op.follow, op.selfOnly)],
  },
  scan: { code: 59, signature: "x", fields: (op) => [op.maxBytes] },
  readRegular: { code: 60, signature: "sx", fields: (op) => [op.path, op.maxBytes] },
  openRegular: { code: 61, signature: "ds", fields: (op) => [op.slot, op.path] },
  readSlot: { code: 62, signature: "dxx", fields: (op) => [op.slot, op.offset, op.maxBytes] },
  dataExtents: { code: 63, signature: "dxx", fields: (op) => [op.slot, op.offset, op.maxCount] },
  placeFile: {
    code: 64,
    signature: "dsxxxb",
    fields: (op) => [op.from, op.path, op.mode, ownerOf(op.owner), op.mtimeNs, extentsOf(op.size, op.extents)],
  },
  quotactl: { code: 65, signature: "sxxb", fields: (op) => [op.path, op.command, op.id, op.argument] },
};

/** Errno names to numbers, which are the same on x86-64 and arm64. */
const errnoNumbers: Readonly<Record<ErrnoName, number>> = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODATA: 61,
  EISDIR: 21,
  ENODEV: 19,
  ENOTDIR: 20,
  EINVAL: 22,
  EROFS: 30,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  EOPNOTSUPP: 95,
};

const maxSlots = 64;
const maxTolerated = 4;
const absentSlot = 0xffffffff;

/** Numbers the slots of one program, or of all batches of one worker, where a slot that is closed gives its number back. */
export class SlotNumbers {
  readonly #numbers = new Map<Slot, number>();
  readonly #free: number[] = [];

  of(slot: Slot): number {
    const known = this.#numbers.get(slot);
    if (known !== undefined) return known;
    const number = this.#free.pop() ?? this.#numbers.size;
    if (number >= maxSlots) throw new OnggiError("invalid", `more than ${maxSlots} slots are open in one program`);
    this.#numbers.set(slot, number);
    return number;
  }

  release(slot: Slot): void {
    const number = this.#numbers.get(slot);
    if (number === undefined) return;
    this.#numbers.delete(slot);
    this.#free.push(number);
  }
}

/** The payload of LAUNCH: host, child and teardown part, each with its count and size before it. */
export function encodeProgram(program: Program): Buffer {
  const writer = new Writer();
  const slots = new SlotNumbers();
  for (const ops of [program.host, program.child, program.teardown]) {
    const start = writer.reserve(8);
    for (const op of ops) encodeOp(writer, op, slots);
    writer.putU32At(start, ops.length);
    writer.putU32At(start + 4, writer.size - start - 8);
  }
  return writer.bytes();
}

/** The payload of WORK and BATCH: a count, then the ops. */
export function encodeOps(ops: readonly Op[], slots: SlotNumbers = new SlotNumbers()): Buffer {
  const writer = new Writer();
  writer.putU32(ops.length);
  for (const op of ops) {
    encodeOp(writer, op, slots);
    if (op.op === "closeSlot") slots.release(op.slot);
  }
  return writer.bytes();
}

function encodeOp(writer: Writer, op: Op, slots: SlotNumbers): void {
  const row = opRows[op.op] as Row<OpName>;
  const start = writer.reserve(8);
  writer.putU16At(start, row.code);
  writer.putU16At(start + 2, 0);
  encodeTolerance(writer, op);
  const fields = row.fields(op as never);
  for (let i = 0; i < fields.length; i++) putField[row.signature[i] ?? ""]?.(writer, fields[i], slots);
  writer.putU32At(start + 4, writer.size - start - 8);
}

function encodeTolerance(writer: Writer, { op, ignore = [] }: Op): void {
  if (ignore.length > maxTolerated)
    throw new OnggiError("invalid", `op ${op} tolerates more than ${maxTolerated} errnos`);
  const at = writer.reserve(2 * maxTolerated);
  for (let i = 0; i < maxTolerated; i++) {
    const name = ignore[i];
    writer.putU16At(at + 2 * i, name === undefined ? 0 : errnoNumbers[name]);
  }
}

type PutField = (writer: Writer, value: Field, slots: SlotNumbers) => void;

/** By letter; a row's field is of the kind its letter says. */
const putField: Readonly<Record<string, PutField>> = {
  x: (writer, value) => writer.putU64(typeof value === "bigint" ? value : Number(value ?? 0)),
  d: (writer, value, slots) => writer.putU64(slots.of(value as Slot)),
  D: (writer, value, slots) => writer.putU64(value === undefined ? absentSlot : slots.of(value as Slot)),
  s: (writer, value) => writer.putText(value as string),
  b: (writer, value) => writer.putBytes(typeof value === "string" ? Buffer.from(value) : (value as Uint8Array)),
  l: (writer, value) => putAll(writer, value as readonly string[], (text) => writer.putText(text)),
  g: (writer, value) => putAll(writer, value as readonly number[], (number) => writer.putU32(number)),
  p: (writer, value, slots) =>
    putAll(writer, value as readonly SlotPatch[], ({ offset, slot }) => {
      writer.putU32(offset);
      writer.putU32(slots.of(slot));
    }),
};

function putAll<Item>(writer: Writer, items: readonly Item[], put: (item: Item) => void): void {
  writer.putU32(items.length);
  for (const item of items) put(item);
}

/** The numbers of `enum make` in `native/resolve.h`. */
function creation(create: "dir" | "file" | "like" | undefined): number {
  return create === undefined ? 0 : { dir: 1, file: 2, like: 3 }[create];
}

/** Bit n is set where choice n is true. */
function bits(...choices: readonly (boolean | undefined)[]): number {
  return choices.reduce((sum, choice, bit) => sum | (choice === true ? 1 << bit : 0), 0);
}

/** uid, and gid above it; all ones leave them as they are. */
function ownerOf(owner: readonly [uid: number, gid: number] | undefined): bigint {
  return owner === undefined ? -1n : BigInt(owner[0]) | (BigInt(owner[1]) << 32n);
}

/** A file's size, then its extents, three u64 each. */
function extentsOf(size: number, extents: readonly number[]): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(8 + 8 * extents.length));
  const put = (at: number, value: number) => {
    bytes.setUint32(at, value >>> 0, true);
    bytes.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
  };
  put(0, size);
  for (const [index, value] of extents.entries()) put(8 + 8 * index, value);
  return new Uint8Array(bytes.buffer);
}

/** A buffer that grows; numbers are little endian. */
class Writer {
  #buffer: Buffer = Buffer.allocUnsafeSlow(8192);
  #view: DataView = viewOf(this.#buffer);
  size = 0;

  /** Makes room for `count` bytes that are written later, and returns where. */
  reserve(count: number): number {
    const at = this.size;
    this.#makeRoom(count);
    this.size += count;
    return at;
  }

  putU16At(at: number, value: number): void {
    this.#view.setUint16(at, value, true);
  }

  putU32At(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
  }

  putU32(value: number): void {
    this.putU32At(this.reserve(4), value);
  }

  /** Negative numbers in two's complement. */
  putU64(value: number | bigint): void {
    const at = this.reserve(8);
    if (typeof value === "bigint") {
      this.#view.setBigUint64(at, BigInt.asUintN(64, value), true);
      return;
    }
    if (!Number.isSafeInteger(value)) throw new OnggiError("invalid", `${value} is no whole number`);
    this.#view.setUint32(at, value >>> 0, true);
    this.#view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000) >>> 0, true);
  }

  putBytes(bytes: Uint8Array): void {
    this.putU32(bytes.length);
    const at = this.reserve(bytes.length);
    this.#buffer.set(bytes, at);
  }

  /** Length, bytes, NUL. Most texts are short and ASCII, which a loop writes faster than the encoder. */
  putText(text: string): void {
    const length = text.length;
    this.#makeRoom(length * 3 + 5);
    const from = this.size + 4;
    let at = from;
    if (length < 48) {
      for (let i = 0; i < length; i++) {
        const code = text.charCodeAt(i);
        if (code === 0) throw nulInside(text);
        if (code > 0x7f) break;
        this.#buffer[at++] = code;
      }
    }
    if (at - from < length) {
      if (text.includes("\0")) throw nulInside(text);
      at = from + (text.isWellFormed() ? this.#buffer.write(text, from, "utf8") : this.#putEscaped(text, from));
    }
    this.#buffer[at] = 0;
    this.putU32At(this.size, at - from);
    this.size = at + 1;
  }

  /** A lone surrogate U+DC80 to U+DCFF is a byte that is no UTF-8, as in Python's `surrogateescape`: names in archives are bytes. */
  #putEscaped(text: string, from: number): number {
    let at = from;
    for (const character of text) {
      const code = character.codePointAt(0) ?? 0;
      if (code >= 0xdc80 && code <= 0xdcff) this.#buffer[at++] = code & 0xff;
      else at += this.#buffer.write(character, at, "utf8");
    }
    return at - from;
  }

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.size);
  }

  #makeRoom(count: number): void {
    const needed = this.size + count;
    if (needed <= this.#buffer.length) return;
    let length = this.#buffer.length * 2;
    while (length < needed) length *= 2;
    const grown = Buffer.allocUnsafeSlow(length);
    grown.set(this.#buffer.subarray(0, this.size));
    this.#buffer = grown;
    this.#view = viewOf(grown);
  }
}

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

function nulInside(text: string): OnggiError {
  return new OnggiError("invalid", `${JSON.stringify(text)} has a NUL character in it`);
}
