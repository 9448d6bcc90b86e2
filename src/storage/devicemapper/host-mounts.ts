import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { O_RDONLY } from "../../program/kernel.ts";
import { readMountTable } from "../mount-table.ts";
import {
  decodeQuota,
  encodeLimit,
  encodeProject,
  FS_IOC_FSSETXATTR,
  Q_GETQUOTA,
  Q_SETQUOTA,
  quotaCommand,
  quotaSize,
} from "../quota-format.ts";
import type { DriverTools, Usage } from "../snapshotter.ts";
import { type DeviceFileSystem, mountOnHost, runTool } from "./device-file-system.ts";

/** Everything on a device belongs to it. */
const project = 1;

/** Devices that are mounted on the host for a while: to be unpacked into, or to be looked at. Each has its place in its tree's folder. */
export class HostMounts {
  readonly #directory: string;
  readonly #fileSystem: DeviceFileSystem;
  readonly #tools: DriverTools;
  readonly #mounted = new Set<string>();

  /** Adopts what an engine that was killed left mounted. */
  constructor(directory: string, fileSystem: DeviceFileSystem, tools: DriverTools) {
    this.#directory = directory;
    this.#fileSystem = fileSystem;
    this.#tools = tools;
    for (const { mountPoint } of readMountTable()) {
      const id = mountPoint.startsWith(`${directory}/`) ? mountPoint.slice(directory.length + 1).split("/") : [];
      if (id.length === 2 && id[1] === "tree" && id[0] !== undefined) this.#mounted.add(id[0]);
    }
  }

  place(id: string): string {
    return join(this.#directory, id, "tree");
  }

  mount(id: string, device: string): string {
    const place = this.place(id);
    if (this.#mounted.has(id)) return place;
    mkdirSync(place, { recursive: true, mode: 0o700 });
    mountOnHost(this.#fileSystem, device, place);
    this.#mounted.add(id);
    return place;
  }

  async unmount(id: string): Promise<void> {
    if (!this.#mounted.has(id)) return;
    await runTool("umount", this.place(id));
    this.#mounted.delete(id);
  }

  /** Mounts it, where it isn't, for as long as `look` takes. */
  async while<T>(id: string, device: string, look: (place: string) => Promise<T>): Promise<T> {
    const wasMounted = this.#mounted.has(id);
    const place = this.mount(id, device);
    try {
      return await look(place);
    } finally {
      if (!wasMounted) await this.unmount(id);
    }
  }

  async unmountAll(): Promise<void> {
    for (const id of [...this.#mounted]) await this.unmount(id).catch(() => {});
  }

  /** All that is made below `place`, which is empty, counts from now on. */
  async count(place: string): Promise<void> {
    const argument = encodeProject(project);
    await this.#tools.perform([{ op: "ioctl", path: place, flags: O_RDONLY, request: FS_IOC_FSSETXATTR, argument }]);
  }

  async held(place: string): Promise<Usage> {
    const argument = Buffer.alloc(quotaSize);
    const ask = { op: "quotactl", path: place, command: quotaCommand(Q_GETQUOTA), id: project, argument } as const;
    const [answer = argument] = await this.#tools.perform([{ ...ask, ignore: ["ENOENT", "ESRCH"] }]);
    const { bytes, inodes, maxBytes, maxInodes } = decodeQuota(answer);
    if (maxBytes === 0 && maxInodes === 0) return { bytes, inodes };
    const left = (limit: number, used: number) => (limit === 0 ? Number.MAX_SAFE_INTEGER : Math.max(0, limit - used));
    return { bytes, inodes, free: { bytes: left(maxBytes, bytes), inodes: left(maxInodes, inodes) } };
  }

  async setLimit(place: string, limit: Parameters<typeof encodeLimit>[0]): Promise<void> {
    const command = quotaCommand(Q_SETQUOTA);
    await this.#tools.perform([{ op: "quotactl", path: place, command, id: project, argument: encodeLimit(limit) }]);
  }
}
