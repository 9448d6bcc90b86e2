import { existsSync } from "node:fs";
import { messageOf, OnggiError } from "../../base/error.ts";
import type { DriverTools } from "../snapshotter.ts";
import { enableQuotas, fileSystemInfo, limitSubvolume, parseFileSystemId } from "./requests.ts";

/**
 * Limits of subvolumes. The file system counts nothing until the first limit is asked for: counting makes each write a little slower.
 */
export class Quotas {
  readonly #directory: string;
  readonly #tools: DriverTools;
  #on: Promise<void> | undefined;

  constructor(directory: string, tools: DriverTools) {
    this.#directory = directory;
    this.#tools = tools;
  }

  /** @throws OnggiError `unsupported` when the kernel can't count */
  async limit(subvolume: bigint, bytes: number): Promise<void> {
    this.#on ??= this.#enable();
    try {
      await this.#on;
    } catch (error) {
      this.#on = undefined;
      throw error;
    }
    await this.#tools.perform([limitSubvolume(this.#directory, subvolume, bytes)]);
  }

  async isOn(): Promise<boolean> {
    const [info] = await this.#tools.perform([fileSystemInfo(this.#directory)]);
    return info !== undefined && existsSync(`/sys/fs/btrfs/${parseFileSystemId(info)}/qgroups`);
  }

  async #enable(): Promise<void> {
    if (await this.isOn()) return;
    try {
      await this.#tools.perform([enableQuotas(this.#directory, "simple")]);
    } catch {
      await this.#enableFull();
    }
  }

  async #enableFull(): Promise<void> {
    try {
      await this.#tools.perform([enableQuotas(this.#directory, "full")]);
    } catch (cause) {
      const message = `the quotas of the btrfs file system of ${this.#directory} can't be enabled: ${messageOf(cause)}`;
      throw new OnggiError("unsupported", message, { hint: "Leave the limit out: --storage-opt size=…", cause });
    }
  }
}
