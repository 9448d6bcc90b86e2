import type { LayerOps } from "./layer-ops.ts";
import type { TarEntry } from "./tar-entry.ts";
import type { TarVisitor } from "./tar-reader.ts";
import type { TarRecorder } from "./tar-record.ts";

/** A member with the places of its content; attributes are left out where there are none, since it goes to another thread. */
export interface IndexedEntry extends Omit<TarEntry, "xattrs"> {
  readonly xattrs?: TarEntry["xattrs"];
  /** Offset in the file, offset in the tar, length: three numbers a piece. */
  readonly extents: readonly number[];
}

/** Passes on what a reader tells, and keeps members with the places of their content where those are wanted. */
export class Members implements TarVisitor {
  readonly #ops: LayerOps;
  readonly #keeps: boolean;
  readonly #recorder: TarRecorder | undefined;
  readonly #gone: ReadonlySet<number>;
  #entries: IndexedEntry[] = [];
  #current: TarEntry | undefined;
  #extents: number[] = [];
  #offset = 0;

  constructor(ops: LayerOps, keeps: boolean, recorder: TarRecorder | undefined, gone: ReadonlySet<number> = new Set()) {
    this.#ops = ops;
    this.#keeps = keeps;
    this.#recorder = recorder;
    this.#gone = gone;
  }

  get waiting(): number {
    return this.#entries.length;
  }

  /** Hands out the members that are whole. */
  take(): readonly IndexedEntry[] {
    const entries = this.#entries;
    this.#entries = [];
    return entries;
  }

  entry(entry: TarEntry): void {
    this.#ops.entry(entry);
    this.#extents = [];
    this.#offset = 0;
    if (this.#keeps) this.#current = entry;
  }

  data(bytes: Buffer, hole: number, at: number): void {
    this.#ops.data(bytes, hole, at);
    if (at < 0) return;
    const file = this.#ops.file;
    if (this.#recorder !== undefined && file !== undefined && !this.#gone.has(file.ordinal)) {
      this.#recorder.content(at, bytes.length, file.path, file.offset - bytes.length);
    }
    if (this.#keeps) this.#extent(bytes.length, hole, at);
  }

  end(): void {
    this.#ops.end();
    if (this.#current === undefined) return;
    const { xattrs, ...plain } = this.#current;
    this.#entries.push({ ...plain, ...(xattrs.size === 0 ? {} : { xattrs }), extents: this.#extents });
    this.#current = undefined;
  }

  #extent(length: number, hole: number, at: number): void {
    const extents = this.#extents;
    const last = extents.length - 3;
    this.#offset += hole;
    if (hole === 0 && last >= 0 && (extents[last + 1] ?? 0) + (extents[last + 2] ?? 0) === at) {
      extents[last + 2] = (extents[last + 2] ?? 0) + length;
    } else extents.push(this.#offset, at, length);
    this.#offset += length;
  }
}
