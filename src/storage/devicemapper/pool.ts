import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { basename } from "node:path";
import { OnggiError } from "../../base/error.ts";
import { Mutex } from "../../base/mutex.ts";
import type { Op } from "../../program/op.ts";
import { command } from "../../program/quote.ts";
import { syncFileSystem } from "../file-system.ts";
import type { DriverTools } from "../snapshotter.ts";
import { detachFiles, poolDevices, sizeOf } from "./pool-devices.ts";
import { type PoolRecord, readPoolRecord, writePoolRecord } from "./pool-record.ts";
import { type PoolStatus, parsePoolStatus } from "./pool-status.ts";
import {
  createDevice,
  listDevices,
  loadTable,
  message,
  parseDevices,
  parseMinor,
  parseStatus,
  removeDevice,
  resume,
  suspend,
  tableStatus,
} from "./requests.ts";

export const sectorBytes = 512;
/** Sectors of the smallest piece that devices share: a write to less copies as much. */
const blockSectors = 128;
/** Blocks left at which the kernel tells whoever listens. */
const lowWaterBlocks = 1024;
/**
 * Blocks of new devices needn't be zeroed: who reads them is a file system, which shows nobody what it hasn't written. With no room left,
 * writing fails at once, instead of waiting a minute for somebody to add some.
 */
const features = "2 skip_block_zeroing error_if_no_space";
/** Device ids that one write of the record sets aside. */
const idsAtOnce = 64;
/** Of 24 bits, the last of which are for devices that a person makes. */
const maxDeviceId = (1 << 24) - 1 - 65_536;
/** Of the pool's blocks, that nothing new is made in: what is there needs them for its own writes. */
const keptFree = 0.02;

/**
 * A pool of thin devices: on devices that were named, or on two sparse files in the driver's folder.
 *
 * ```
 * pool.json        the record        data, metadata   the sparse files
 * ```
 *
 * A device's id is written down, by whoever asks for one, before the device is made, and forgotten after it is deleted; so what a crash leaves
 * is among the ids that were set aside, and deleted by the next opening.
 */
export class ThinPool {
  readonly #directory: string;
  readonly #tools: DriverTools;
  readonly #prefix: string;
  /** Of an own pool; one that was named keeps its name and stays when this closes. */
  readonly #name: string;
  readonly #isOwn: boolean;
  /** Minor numbers of the devices that are active, by name. */
  readonly #active = new Map<string, number>();
  readonly #changes = new Mutex();
  #record: PoolRecord = { transaction: 0, settled: 1, reserved: 1 };
  #nextId = 1;

  private constructor(directory: string, tools: DriverTools) {
    this.#directory = directory;
    this.#tools = tools;
    const hash = createHash("sha256").update(directory).digest("hex").slice(0, 8);
    this.#prefix = `onggi-${hash}-`;
    const named = tools.options?.["dm.thinpooldev"];
    this.#isOwn = named === undefined;
    this.#name = named === undefined ? `${this.#prefix}pool` : basename(named);
  }

  /**
   * Activates the pool, made when it isn't there, and deletes the devices that nobody knows.
   *
   * @param known - the ids that are written down
   */
  static async open(directory: string, tools: DriverTools, known: () => ReadonlySet<number>): Promise<ThinPool> {
    const pool = new ThinPool(directory, tools);
    await pool.#listActive();
    if (!pool.#active.has(pool.#name)) await pool.#activatePool();
    await pool.#begin(known());
    return pool;
  }

  get name(): string {
    return this.#name;
  }

  deviceName(id: string): string {
    return `${this.#prefix}${id}`;
  }

  isActive(id: string): boolean {
    return this.#active.has(this.deviceName(id));
  }

  /** The device node of an active device. */
  path(id: string): string {
    const minor = this.#active.get(this.deviceName(id));
    if (minor === undefined) throw new OnggiError("not_found", `the device of ${id} isn't active`);
    return `/dev/dm-${minor}`;
  }

  /** An id for a new device, to be written down before the device is made. */
  async takeId(): Promise<number> {
    if (this.#nextId >= this.#record.reserved) {
      await this.#changes.run(async () => {
        if (this.#nextId < this.#record.reserved) return;
        await this.#write({ ...this.#record, reserved: this.#record.reserved + idsAtOnce });
      });
    }
    if (this.#nextId > maxDeviceId) {
      throw new OnggiError("exhausted", "the device-mapper pool has no ids left: it had 16 million devices", {
        hint: "Choose another data root.",
      });
    }
    return this.#nextId++;
  }

  /** @throws OnggiError `exhausted` when nothing new should be made */
  async ensureRoom(): Promise<void> {
    const { data, metadata, mode } = await this.status();
    const isTight = ({ used, total }: { used: number; total: number }) => total - used < total * keptFree;
    if (mode === "rw" && !isTight(data) && !isTight(metadata)) return;
    const what = isTight(metadata) && !isTight(data) ? "metadata" : "data";
    const reason =
      mode === "ro" || mode === "Fail" ? "can only be read: it needs repair" : `is full: no ${what} blocks are left`;
    throw new OnggiError("exhausted", `no space left on device: the device-mapper pool ${this.#name} ${reason}`, {
      hint:
        mode === "ro" || mode === "Fail"
          ? "Stop the daemon and check the pool's metadata: thin_check and thin_repair, of thin-provisioning-tools."
          : "Remove containers and images that aren't used: onggi system prune. Or give the pool a larger data device.",
    });
  }

  async status(): Promise<PoolStatus> {
    return parsePoolStatus(parseStatus(await this.#ask(tableStatus(this.#name))));
  }

  async createEmpty(device: number): Promise<void> {
    await this.#tools.perform([message(this.#name, `create_thin ${device}`)]);
  }

  /** @param origin - whose writes are held back meanwhile, where it is active */
  async createSnapshot(device: number, origin: { readonly id: string; readonly device: number }): Promise<void> {
    const snapshot = message(this.#name, `create_snap ${device} ${origin.device}`);
    await this.#changes.run(async () => {
      if (!this.isActive(origin.id)) return void (await this.#tools.perform([snapshot]));
      const name = this.deviceName(origin.id);
      await this.#tools.perform([suspend(name)]);
      try {
        await this.#tools.perform([snapshot]);
      } finally {
        await this.#tools.perform([resume(name)]);
      }
    });
  }

  async activate(id: string, device: number, bytes: number): Promise<void> {
    if (this.isActive(id)) return;
    const name = this.deviceName(id);
    const pool = `/dev/dm-${this.#active.get(this.#name)}`;
    const steps = [createDevice(name), loadTable(name, "thin", bytes / sectorBytes, `${pool} ${device}`), resume(name)];
    try {
      // One of that name may be about to go.
      const [, , answer] = await whenFree(() => this.#tools.perform(steps));
      this.#active.set(name, parseMinor(answer ?? new Uint8Array()));
    } catch (error) {
      if (!isBusy(error)) await this.#tools.perform([removeDevice(name)]).catch(() => {});
      throw error;
    }
    await untilThere(this.path(id));
  }

  /** The same, while the caller waits: for what has to answer at once, and is rare. */
  activateNow(id: string, { device, bytes }: { readonly device: number; readonly bytes: number }): void {
    const name = this.deviceName(id);
    const table = `0 ${bytes / sectorBytes} thin /dev/dm-${this.#active.get(this.#name)} ${device}`;
    execFileSync("dmsetup", ["create", name, "--noudevsync", "--table", table], { stdio: "pipe" });
    const minor = execFileSync("dmsetup", ["info", "-c", "--noheadings", "-o", "minor", name], { encoding: "utf8" });
    this.#active.set(name, Number(minor));
  }

  /** Commands that make a snapshot of a device under a name, and that drop it again. */
  byHand(
    name: string,
    origin: { readonly device: number; readonly bytes: number },
  ): Record<"make" | "drop", readonly string[]> {
    const device = maxDeviceId + 1 + (createHash("sha256").update(name).digest().readUInt16LE() % 65_535);
    const table = `0 ${origin.bytes / sectorBytes} thin /dev/dm-${this.#active.get(this.#name)} ${device}`;
    return {
      make: [
        `# The image is thin device ${origin.device} of a pool; a container is a snapshot of it.`,
        command("dmsetup", "message", this.#name, "0", `create_snap ${device} ${origin.device}`),
        command("dmsetup", "create", name, "--table", table),
      ],
      drop: [
        command("dmsetup", "remove", "--retry", name),
        command("dmsetup", "message", this.#name, "0", `delete ${device}`),
      ],
    };
  }

  /** Gives an active device another size. */
  async resize(id: string, device: number, bytes: number): Promise<void> {
    const name = this.deviceName(id);
    const pool = `/dev/dm-${this.#active.get(this.#name)}`;
    await this.#tools.perform([
      loadTable(name, "thin", bytes / sectorBytes, `${pool} ${device}`),
      suspend(name),
      resume(name),
    ]);
  }

  async deactivate(id: string): Promise<void> {
    const name = this.deviceName(id);
    if (!this.#active.delete(name)) return;
    await this.#tools.perform([removeDevice(name)]);
  }

  /** Frees what only this device has; it isn't active. One that isn't there is no error. */
  async delete(device: number): Promise<void> {
    await whenFree(() => this.#tools.perform([this.#deletion(device)]));
  }

  #deletion(device: number): Op {
    return { ...message(this.#name, `delete ${device}`), ignore: ["ENODATA"] };
  }

  /** Takes the pool down where nothing uses it any longer. */
  async close(): Promise<void> {
    await this.#listActive();
    const own = [...this.#active.keys()].filter((name) => name !== this.#name).map(removeDevice);
    // One that went meanwhile stops the others: then one after the other.
    await this.#tools.perform(own).catch(async () => {
      for (const op of own) await this.#tools.perform([op]).catch(() => {});
    });
    await this.#listActive();
    if (!this.#isOwn || !this.#active.has(this.#name)) return;
    if ([...this.#active.keys()].some((name) => name !== this.#name)) return; // Containers that run use it.
    await syncFileSystem(this.#directory);
    await this.#write({ ...this.#record, settled: this.#nextId, reserved: this.#nextId });
    await this.#tools.perform([removeDevice(this.#name)]);
    await detachFiles(this.#directory);
  }

  async #listActive(): Promise<void> {
    this.#active.clear();
    for (const [name, minor] of parseDevices(await this.#ask(listDevices()))) {
      if (name === this.#name || name.startsWith(this.#prefix)) this.#active.set(name, minor);
    }
  }

  async #activatePool(): Promise<void> {
    if (!this.#isOwn) {
      throw new OnggiError("not_found", `there is no thin pool "${this.#name}"`, {
        hint: "Activate it (lvchange -ay, or dmsetup create), or take dm.thinpooldev out of the daemon's options.",
      });
    }
    const { data, metadata } = await poolDevices(this.#directory, this.#tools.options ?? {});
    const sectors = Math.floor((await sizeOf(data)) / sectorBytes / blockSectors) * blockSectors;
    const parameters = `${metadata} ${data} ${blockSectors} ${lowWaterBlocks} ${features}`;
    const [, , answer] = await this.#tools
      .perform([createDevice(this.#name), loadTable(this.#name, "thin-pool", sectors, parameters), resume(this.#name)])
      .catch(async (error: unknown) => {
        await this.#tools.perform([removeDevice(this.#name)]).catch(() => {});
        throw error;
      });
    this.#active.set(this.#name, parseMinor(answer ?? new Uint8Array()));
  }

  async #begin(known: ReadonlySet<number>): Promise<void> {
    const { transaction, mode } = await this.status();
    const record = readPoolRecord(this.#directory);
    const expected = record?.transaction ?? 0;
    if (transaction !== expected && transaction !== expected - 1) {
      throw new OnggiError(
        "corrupt",
        `the device-mapper pool ${this.#name} is not the one that ${this.#directory} knows: its transaction is ${transaction}, not ${expected}`,
        {
          hint: "Was one of them restored from a backup, or the pool used for something else? Choose the pool that belongs to this data root.",
        },
      );
    }
    if (mode !== "rw" && mode !== "out_of_data_space") await this.ensureRoom();
    this.#record = record ?? this.#record;
    const { settled, reserved } = this.#record;
    const lost = Array.from({ length: reserved - settled }, (_, index) => settled + index).filter(
      (id) => !known.has(id),
    );
    if (lost.length > 0) await whenFree(() => this.#tools.perform(lost.map((id) => this.#deletion(id))));
    this.#nextId = reserved;
    await syncFileSystem(this.#directory);
    await this.#write({ transaction: transaction + 1, settled: reserved, reserved: reserved + idsAtOnce });
    await this.#tools.perform([message(this.#name, `set_transaction_id ${transaction} ${transaction + 1}`)]);
  }

  async #write(record: PoolRecord): Promise<void> {
    await writePoolRecord(this.#directory, record);
    this.#record = record;
  }

  async #ask(op: Op): Promise<Uint8Array> {
    const [answer = new Uint8Array()] = await this.#tools.perform([op]);
    return answer;
  }
}

/** devtmpfs makes the node in a thread of its own. */
async function untilThere(path: string): Promise<void> {
  for (let tries = 0; !existsSync(path); tries++) {
    if (tries > 1000)
      throw new OnggiError("not_found", `the kernel made no ${path}`, { hint: "/dev must be a devtmpfs." });
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

function isBusy(error: unknown): boolean {
  return (error as { readonly errno?: string }).errno === "EBUSY";
}

/** Tries for a while what fails as long as something, such as udev, has a device open. */
async function whenFree<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (!isBusy(error) || tries >= 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
