import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { isErrno } from "../../base/errno.ts";
import { OnggiError } from "../../base/error.ts";
import { Mutex } from "../../base/mutex.ts";
import { O_RDWR } from "../../program/kernel.ts";
import { syncFileSystem } from "../file-system.ts";
import { shareMounts, unshareMounts } from "../share-mounts.ts";
import type { DriverCandidate, DriverTools, SnapshotDriver, StorageLimit, Usage } from "../snapshotter.ts";
import { growFileSystem, makeFileSystem, mountOptions, parseFileSystem } from "./device-file-system.ts";
import { type DeviceRecord, knownDevices, readDeviceRecord, writeDeviceRecord } from "./device-record.ts";
import { HostMounts } from "./host-mounts.ts";
import { sectorBytes, ThinPool } from "./pool.ts";
import { probeDevicemapper } from "./probe.ts";
import { parseSize } from "./sizes.ts";

export const devicemapperCandidate: DriverCandidate = {
  name: "devicemapper",
  probe: probeDevicemapper,
  open: openDevicemapper,
};

/** The tree that all others descend from: an empty file system. */
const base = "base";
const defaultSize = "10G";
/** What a file system needs beside what is written to it: tables, as a part of it, and its journal. */
const overhead = 1.05;
const journalBytes = 64 * 1024 * 1024;
/** Devices that are activated side by side. */
const atOnce = 8;
/** linux/fs.h: a range of bytes that a device may forget. */
const BLKDISCARD = 0x1277;

/**
 * Snapshots as thin devices of a pool, each with a file system of its own; a clone shares all blocks with its parent until it writes to them.
 *
 * ```
 * <id>/device.json    the device's id in the pool       <id>/tree   where it is mounted on the host, while a layer is unpacked
 * base/device.json    an empty file system, of which all are snapshots
 * pool.json, data, metadata   see ThinPool
 * ```
 *
 * A container mounts its device in its own mount namespace. Devices of trees that are written to are active; a frozen one only while it is shown.
 */
async function openDevicemapper(directory: string, tools: DriverTools): Promise<SnapshotDriver> {
  const fileSystem = parseFileSystem(tools.options?.["dm.fs"]);
  const baseBytes = parseSize(tools.options?.["dm.basesize"] ?? defaultSize);
  const folder = (id: string) => join(directory, id);
  const trash = join(directory, "trash");
  const trees = () => readdirSync(directory).filter((name) => /^[0-9a-f]{4,}$/.test(name) && name !== base);
  await shareMounts(directory, tools);
  const pool = await ThinPool.open(directory, tools, () => knownDevices([directory, trash]));
  const mounts = new HostMounts(directory, fileSystem, tools);
  const records = new Map<string, DeviceRecord>();
  const sweeping = new Mutex();

  const recordOf = (id: string): DeviceRecord => {
    const record = records.get(id);
    if (record === undefined) throw new OnggiError("not_found", `there is no device for the tree ${id}`);
    return record;
  };
  const write = async (id: string, record: DeviceRecord) => {
    await writeDeviceRecord(folder(id), record);
    records.set(id, record);
  };
  const activate = async (id: string) => {
    const { device, bytes } = recordOf(id);
    await pool.activate(id, device, bytes);
    return pool.path(id);
  };
  const look = async <T>(id: string, see: (place: string) => Promise<T>): Promise<T> =>
    mounts.while(id, await activate(id), see);

  /** A device that is a snapshot of another one, active. */
  const clone = async (id: string, origin: string, inherited: Usage, limited: boolean): Promise<void> => {
    await pool.ensureRoom();
    const { device: originDevice, bytes } = recordOf(origin);
    const device = await pool.takeId();
    mkdirSync(folder(id), { recursive: true, mode: 0o700 });
    await write(id, { device, bytes, inherited, limited });
    await pool.createSnapshot(device, { id: origin, device: originDevice });
    await activate(id);
  };

  const makeBase = async (): Promise<void> => {
    const device = await pool.takeId();
    mkdirSync(folder(base), { recursive: true, mode: 0o700 });
    await write(base, { device, bytes: baseBytes, inherited: nothing, limited: false });
    await pool.createEmpty(device);
    await makeFileSystem(fileSystem, await activate(base));
    await look(base, async (place) => {
      if (existsSync(join(place, "lost+found"))) rmdirSync(join(place, "lost+found"));
      chmodSync(place, 0o755);
      await mounts.count(place);
    });
    await freeze(base);
  };

  const freeze = async (id: string): Promise<void> => {
    const { limited, ...record } = recordOf(id);
    const held = await look(id, async (place) => {
      if (limited) await mounts.setLimit(place, {});
      await syncFileSystem(place);
      return mounts.held(place);
    });
    await mounts.unmount(id);
    await pool.deactivate(id);
    await write(id, { ...record, limited: false, frozen: { bytes: held.bytes, inodes: held.inodes } });
  };

  const limitTo = async (id: string, { bytes, inodes }: StorageLimit): Promise<void> => {
    const { inherited } = recordOf(id);
    await look(id, async (place) => {
      if (bytes !== undefined) await growTo(id, place, inherited.bytes + bytes);
      await mounts.setLimit(place, {
        bytes: bytes === undefined ? undefined : inherited.bytes + bytes,
        inodes: inodes === undefined ? undefined : inherited.inodes + inodes,
      });
    });
  };

  const growTo = async (id: string, place: string, held: number): Promise<void> => {
    const record = recordOf(id);
    const bytes = Math.ceil((held * overhead + journalBytes) / sectorBytes) * sectorBytes;
    if (bytes <= record.bytes) return;
    await write(id, { ...record, bytes });
    await pool.resize(id, record.device, bytes);
    await growFileSystem(fileSystem, pool.path(id), place);
  };

  for (const id of [base, ...trees()]) {
    const record = readDeviceRecord(folder(id));
    if (record !== undefined) records.set(id, record);
  }
  const written = [...records].flatMap(([id, { frozen }]) => (frozen === undefined && id !== base ? [id] : []));
  // One that can't be activated was never made: what is left of it is told from whole trees by that.
  for (let at = 0; at < written.length; at += atOnce) {
    await Promise.all(written.slice(at, at + atOnce).map((id) => activate(id).catch(() => records.delete(id))));
  }
  if (records.get(base)?.frozen === undefined) {
    const half = records.get(base);
    if (half !== undefined) {
      await mounts.unmount(base);
      await pool.deactivate(base);
      await pool.delete(half.device);
    }
    await makeBase();
  }

  return {
    name: "devicemapper",
    traits: { write: "copy-on-write", unit: "block", limits: { bytes: "native", inodes: "native" } },
    list: trees,
    isWhole: (id) => records.has(id),

    async create(id, [nearest = base], { limit }) {
      if (!records.has(id)) {
        await clone(id, nearest, recordOf(nearest).frozen ?? nothing, limit !== undefined);
        if (limit !== undefined) await limitTo(id, limit);
      } else await activate(id);
    },

    async copy(from, to) {
      const { inherited, limited } = recordOf(from);
      await clone(to, from, inherited, limited);
    },

    freeze,

    async discard(id, trashed) {
      await mounts.unmount(id);
      await pool.deactivate(id);
      records.delete(id);
      renameTolerant(folder(id), trashed);
    },

    /** @returns true also where it couldn't be done: the record has to stay for the next try */
    async empty(trashed) {
      const record = readDeviceRecord(trashed);
      if (record === undefined) return false;
      return sweeping.run(async () => {
        try {
          await forgetBlocks(pool, tools, record);
          await pool.delete(record.device);
          return false;
        } catch {
          return true;
        }
      });
    },

    mounts(id, parents, { writable }) {
      const shown = writable ? id : (parents[0] ?? id);
      if (!pool.isActive(shown)) pool.activateNow(shown, recordOf(shown));
      const mount = { type: fileSystem, source: pool.path(shown), options: mountOptions(fileSystem) };
      return [writable ? mount : { ...mount, readonly: true }];
    },

    writable: (id) => ({ directory: mounts.mount(id, pool.path(id)), whiteouts: "remove" }),

    async usage(id) {
      const { inherited, frozen } = recordOf(id);
      const held = frozen ?? (await look(id, (place) => mounts.held(place)));
      const own = { bytes: Math.max(0, held.bytes - inherited.bytes), inodes: held.inodes - inherited.inodes + 1 };
      return held.free === undefined ? own : { ...own, free: held.free };
    },

    /** Docker's names. */
    describe: (id) => ({
      DeviceId: String(recordOf(id).device),
      DeviceName: pool.deviceName(id),
      DeviceSize: String(recordOf(id).bytes),
    }),

    cloneByHand([nearest = base], place) {
      const name = `onggi-explain-${basename(place)}`;
      const mount = { type: fileSystem, source: `/dev/mapper/${name}`, options: mountOptions(fileSystem) };
      return { ...pool.byHand(name, recordOf(nearest)), mount };
    },

    async close() {
      await mounts.unmountAll();
      await pool.close();
      await unshareMounts(directory);
    },
  };
}

const nothing: Usage = { bytes: 0, inodes: 0 };

/** Lets the pool's own file or disk know that a device's blocks aren't needed any longer. */
async function forgetBlocks(pool: ThinPool, tools: DriverTools, { device, bytes }: DeviceRecord): Promise<void> {
  const id = `gone-${device}`;
  try {
    await pool.activate(id, device, bytes);
  } catch {
    return; // It was deleted before a crash, or never made.
  }
  try {
    const range = Buffer.alloc(16);
    range.writeBigUInt64LE(BigInt(bytes), 8);
    const path = pool.path(id);
    if (statSync(path).isBlockDevice()) {
      await tools.perform([{ op: "ioctl", path, flags: O_RDWR, request: BLKDISCARD, argument: range }]);
    }
  } finally {
    await pool.deactivate(id);
  }
}

function renameTolerant(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}
