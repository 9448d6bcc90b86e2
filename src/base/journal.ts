import {
  closeSync,
  existsSync,
  fdatasync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { crc32 } from "node:zlib";
import { temporaryPath } from "./atomic-file.ts";
import { isErrno } from "./errno.ts";

const syncData = promisify(fdatasync);

/** Where the last line of a key lies. */
interface Place {
  readonly offset: number;
  readonly length: number;
}

/** Shorter files are never written anew. */
const compactBytes = 1024 * 1024;
/** Room for some hundred removals on a full disk. */
const reserve = Buffer.alloc(64 * 1024, "reserved for removals on a full disk\n");

/**
 * Values by key in one append-only file: a change is one line and one wait for the disk, which changes at the same time share.
 *
 * A line is a CRC-32 in hexadecimal, a space and `{"key": …, "value": …}`; without a value the key is removed. What a power cut left of the last
 * line was acknowledged to nobody and is cut off.
 */
export class Journal {
  readonly #path: string;
  #file: number;
  #end = 0;
  readonly #places = new Map<string, Place>();
  #liveBytes = 0;
  /** The wait for the disk that is under way, and the one after it. */
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  private constructor(path: string) {
    this.#path = path;
    const isNew = !existsSync(path);
    this.#file = openSync(path, isNew ? "ax+" : "a+", 0o600);
    if (isNew) syncFolderOf(path);
    this.#keepReserve();
  }

  /** @returns the journal, the values in it, and how many lines the disk has damaged; those stay in the file until it is written anew */
  static open(path: string): {
    readonly journal: Journal;
    readonly values: ReadonlyMap<string, unknown>;
    readonly damaged: number;
  } {
    const journal = new Journal(path);
    return { journal, ...journal.#load() };
  }

  /** Resolves when it is on the disk. */
  async put(key: string, value: unknown): Promise<void> {
    this.#append(key, { key, value });
    await this.#synced();
  }

  /** Resolves when it is on the disk; nothing where the key isn't there. Works on a full disk too, since it makes room. */
  async remove(key: string): Promise<void> {
    if (!this.#places.has(key)) return;
    try {
      this.#append(key, { key });
    } catch (error) {
      if (!isErrno(error, "ENOSPC", "EDQUOT") || !existsSync(this.#reservePath)) throw error;
      unlinkSync(this.#reservePath);
      this.#append(key, { key });
    }
    await this.#synced();
  }

  close(): void {
    closeSync(this.#file);
  }

  get #reservePath(): string {
    return `${this.#path}.reserve`;
  }

  #keepReserve(): void {
    if (existsSync(this.#reservePath)) return;
    try {
      writeFileSync(this.#reservePath, reserve, { mode: 0o600 });
    } catch {
      // There is no room: what there is of it is reserved.
    }
  }

  #append(key: string, change: object): void {
    if (this.#end > compactBytes && this.#end > 4 * this.#liveBytes) this.#compact();
    const line = lineOf(change);
    writeWhole(this.#file, line, this.#end);
    this.#note(key, "value" in change, { offset: this.#end, length: line.length });
    this.#end += line.length;
  }

  #note(key: string, isThere: boolean, place: Place): void {
    this.#liveBytes -= this.#places.get(key)?.length ?? 0;
    if (isThere) {
      this.#places.set(key, place);
      this.#liveBytes += place.length;
    } else this.#places.delete(key);
  }

  /** Waits for a sync that begins after now. */
  #synced(): Promise<void> {
    if (this.#running === undefined) return this.#sync();
    this.#next ??= this.#running.catch(() => {}).then(() => this.#sync());
    return this.#next;
  }

  #sync(): Promise<void> {
    this.#next = undefined;
    const sync = syncData(this.#file).finally(() => {
      if (this.#running === sync) this.#running = undefined;
    });
    this.#running = sync;
    return sync;
  }

  /** Writes what is still true to a new file. At once, so that nothing comes between; it takes some milliseconds, rarely. */
  #compact(): void {
    const temporary = temporaryPath(this.#path);
    const file = openSync(temporary, "wx", 0o600);
    const places = new Map<string, Place>();
    let end = 0;
    for (const [key, { offset, length }] of this.#places) {
      const line = Buffer.alloc(length);
      readSync(this.#file, line, 0, length, offset);
      writeWhole(file, line, end);
      places.set(key, { offset: end, length });
      end += length;
    }
    fsyncSync(file);
    closeSync(file);
    renameSync(temporary, this.#path);
    syncFolderOf(this.#path);
    const old = this.#file;
    this.#file = openSync(this.#path, "a+");
    // A sync of the old file may still be under way.
    void (this.#running ?? Promise.resolve()).catch(() => {}).finally(() => closeSync(old));
    for (const [key, place] of places) this.#places.set(key, place);
    this.#end = end;
    this.#keepReserve();
  }

  #load(): { readonly values: ReadonlyMap<string, unknown>; readonly damaged: number } {
    const bytes = readFileSync(this.#path);
    const values = new Map<string, unknown>();
    let damaged = 0;
    let suspects = 0;
    for (let offset = 0; offset < bytes.length; ) {
      const newline = bytes.indexOf(0x0a, offset);
      const end = newline < 0 ? bytes.length : newline + 1;
      const change = newline < 0 ? undefined : parseLine(bytes.subarray(offset, newline));
      if (change === undefined) suspects++;
      else {
        // What comes before a whole line was once whole, too.
        damaged += suspects;
        suspects = 0;
        const isThere = "value" in change;
        if (isThere) values.set(change.key, change.value);
        else values.delete(change.key);
        this.#note(change.key, isThere, { offset, length: end - offset });
        this.#end = end;
      }
      offset = end;
    }
    if (this.#end < bytes.length) ftruncateSync(this.#file, this.#end);
    return { values, damaged };
  }
}

function lineOf(change: object): Buffer {
  const json = JSON.stringify(change);
  return Buffer.from(`${crc32(json).toString(16).padStart(8, "0")} ${json}\n`);
}

function parseLine(line: Buffer): { readonly key: string; readonly value?: unknown } | undefined {
  const json = line.subarray(9);
  if (line.subarray(0, 9).toString("latin1") !== `${crc32(json).toString(16).padStart(8, "0")} `) return undefined;
  return JSON.parse(json.toString()) as { readonly key: string; readonly value?: unknown };
}

/** All or nothing: a line that was cut off by a full disk would spoil the next. */
function writeWhole(file: number, bytes: Buffer, end: number): void {
  try {
    for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
  } catch (error) {
    ftruncateSync(file, end);
    throw error;
  }
}

function syncFolderOf(path: string): void {
  const folder = openSync(dirname(path), "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
