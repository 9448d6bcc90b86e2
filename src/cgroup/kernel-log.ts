import { closeSync, constants, openSync, readSync } from "node:fs";
import { isErrno } from "../base/errno.ts";
import { type KernelRecord, lastReportOf, type OomReport, parseKernelRecord, parseOomReports } from "./oom-report.ts";

/** The kernel cuts longer records: CONSOLE_EXT_LOG_MAX. */
const buffer = Buffer.allocUnsafe(8192);
/** How many kills are remembered. */
const keep = 256;
/** The log's clock isn't disciplined: it may drift from that of `uptime` by seconds over weeks. */
const clockSlackUs = 30_000_000;

/**
 * The kernel's log, read on from where the last look ended.
 *
 * The first look reads all that the kernel still has, some thousand records, so it is opened when the first kill is seen.
 */
export class KernelLog {
  readonly #path: string;
  #file: number | undefined;
  #reports: readonly OomReport[] = [];
  #unpaired: readonly KernelRecord[] = [];

  constructor(path = "/dev/kmsg") {
    this.#path = path;
  }

  /**
   * The last kill by a memory limit in a container since a moment; undefined where the log doesn't tell (any more), or isn't
   * to be read (in a container without /dev/kmsg).
   *
   * @param sinceUs - microseconds since boot, such as the container's start; what was up to half a minute earlier counts too
   */
  lastOom(memoryPath: string, sinceUs = 0): OomReport | undefined {
    this.#readOn();
    return lastReportOf(
      this.#reports.filter((report) => report.atUs >= sinceUs - clockSlackUs),
      memoryPath,
    );
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  #readOn(): void {
    // The line that names a process and the one with its sizes may come in two looks.
    const records = [...this.#unpaired, ...this.#newRecords()];
    const found = parseOomReports(records);
    this.#reports = [...this.#reports, ...found].slice(-keep);
    const pids = new Set(found.map((report) => report.pid));
    this.#unpaired = records
      .filter(({ text }) => text.startsWith("oom-kill:") && !pids.has(Number(/,pid=(\d+),/.exec(text)?.[1])))
      .slice(-keep);
  }

  *#newRecords(): Iterable<KernelRecord> {
    let file: number;
    try {
      this.#file ??= openSync(this.#path, constants.O_RDONLY | constants.O_NONBLOCK);
      file = this.#file;
    } catch (error) {
      if (isErrno(error, "ENOENT", "EACCES", "EPERM", "ENXIO")) return;
      throw error;
    }
    for (;;) {
      const raw = readRecord(file);
      if (raw === "end") return;
      if (raw === "overwritten") continue;
      const record = parseKernelRecord(raw);
      if (record !== undefined && isAboutOom(record.text)) yield record;
    }
  }
}

function isAboutOom(text: string): boolean {
  return text.startsWith("oom-kill:") || text.startsWith("Memory cgroup out of memory:");
}

function readRecord(file: number): string {
  try {
    const length = readSync(file, buffer, 0, buffer.length, null);
    return length === 0 ? "end" : buffer.toString("utf8", 0, length);
  } catch (error) {
    if (isErrno(error, "EAGAIN")) return "end";
    // EPIPE: the kernel wrote over records that weren't read yet. EINVAL: a record longer than the buffer.
    if (isErrno(error, "EPIPE", "EINVAL")) return "overwritten";
    throw error;
  }
}
