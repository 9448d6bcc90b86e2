/** What a program or library says of what it needs, read from the file itself. */
export interface Elf {
  /** Class and machine: a library fits a program when both are the same. */
  readonly kind: string;
  /** The dynamic loader; undefined in a library or a static program. */
  readonly interpreter: string | undefined;
  readonly needed: readonly string[];
  /** Directories of DT_RPATH and DT_RUNPATH, `$ORIGIN` not yet replaced. */
  readonly rpath: readonly string[];
  readonly runpath: readonly string[];
}

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const DT_NULL = 0;
const DT_NEEDED = 1;
const DT_STRTAB = 5;
const DT_RPATH = 15;
const DT_RUNPATH = 29;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly size: number;
}

/**
 * Reads the dynamic section of an ELF file.
 *
 * @returns undefined for what isn't a little-endian ELF file, or is cut short
 * @see elf(5)
 */
export function parseElf(file: Buffer): Elf | undefined {
  if (file.length < 52 || file.readUInt32BE(0) !== 0x7f454c46 || file[5] !== 1) return undefined;
  const wide = file[4] === 2;
  try {
    const segments = readSegments(file, wide);
    const interp = segments.find(({ type }) => type === PT_INTERP);
    const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
    const tags = dynamic === undefined ? [] : readDynamic(file, dynamic, wide);
    const strings = offsetOf(segments, tags.find(([tag]) => tag === DT_STRTAB)?.[1]);
    const texts = (wanted: number) =>
      tags
        .filter(([tag]) => tag === wanted && strings !== undefined)
        .map(([, at]) => textAt(file, (strings ?? 0) + at));
    return {
      kind: `${file[4]}-${file.readUInt16LE(18)}`,
      interpreter: interp === undefined ? undefined : textAt(file, interp.offset),
      needed: texts(DT_NEEDED),
      rpath: texts(DT_RPATH).flatMap((text) => text.split(":")),
      runpath: texts(DT_RUNPATH).flatMap((text) => text.split(":")),
    };
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function readSegments(file: Buffer, wide: boolean): Segment[] {
  const start = word(file, wide ? 32 : 28, wide);
  const entrySize = file.readUInt16LE(wide ? 54 : 42);
  const count = file.readUInt16LE(wide ? 56 : 44);
  return Array.from({ length: count }, (_, index) => {
    const at = start + index * entrySize;
    return {
      type: file.readUInt32LE(at),
      offset: word(file, at + (wide ? 8 : 4), wide),
      address: word(file, at + (wide ? 16 : 8), wide),
      size: word(file, at + (wide ? 32 : 16), wide),
    };
  });
}

function readDynamic(file: Buffer, { offset, size }: Segment, wide: boolean): [tag: number, value: number][] {
  const width = wide ? 8 : 4;
  const tags: [number, number][] = [];
  for (let at = offset; at < offset + size; at += 2 * width) {
    const tag = word(file, at, wide);
    if (tag === DT_NULL) break;
    tags.push([tag, word(file, at + width, wide)]);
  }
  return tags;
}

/** The dynamic section speaks in addresses; the loaded segments say where those lie in the file. */
function offsetOf(segments: readonly Segment[], address: number | undefined): number | undefined {
  if (address === undefined) return undefined;
  const segment = segments.find(
    (one) => one.type === PT_LOAD && address >= one.address && address < one.address + one.size,
  );
  return segment === undefined ? undefined : address - segment.address + segment.offset;
}

function word(file: Buffer, at: number, wide: boolean): number {
  return wide ? Number(file.readBigUInt64LE(at)) : file.readUInt32LE(at);
}

function textAt(file: Buffer, at: number): string {
  const end = file.indexOf(0, at);
  if (at >= file.length || end === -1) throw new RangeError("text runs past the end of the file");
  return file.toString("utf8", at, end);
}
