import type { Executor } from "../executor/executor.ts";
import { accountFilesIn, accountFilesOf } from "./account-files.ts";
import type { Container } from "./container.ts";
import type { ContainerRecord } from "./container-record.ts";
import type { ExecConfig } from "./model.ts";
import type { Rootfs } from "./rootfs.ts";
import { type AccountFiles, type ResolvedUser, resolveUser } from "./user.ts";

const noFiles: AccountFiles = { passwd: "", group: "" };

/** Finds out who a container's process runs as, by the container's own account files. */
export class Accounts {
  readonly #executor: Executor;
  readonly #rootfs: Rootfs;
  readonly #staging: string;
  /** By chainID: an image's files never change. */
  readonly #ofImages = new Map<string, Promise<AccountFiles>>();

  constructor(parts: { readonly executor: Executor; readonly rootfs: Rootfs; readonly staging: string }) {
    this.#executor = parts.executor;
    this.#rootfs = parts.rootfs;
    this.#staging = parts.staging;
  }

  async userOf(record: ContainerRecord): Promise<ResolvedUser> {
    const hasRun = record.last.startedAtMs > 0;
    const files = hasRun ? await this.#ownFiles(record) : await this.#imageFiles(record.image.chainId);
    return resolveUser(record.user, files, record.config.groupAdd);
  }

  /** Of a further process: the container's own user unless another is named. */
  async userOfExec(container: Container, config: ExecConfig): Promise<ResolvedUser> {
    const { monitor } = container.runningRun();
    const files = await accountFilesIn(this.#executor, monitor.pid, monitor.startTime);
    return resolveUser(config.user || container.record.user, files, container.record.config.groupAdd);
  }

  /** A container that ran before may have changed them. */
  async #ownFiles(record: ContainerRecord): Promise<AccountFiles> {
    return accountFilesOf(this.#executor, this.#rootfs.mounts(record.id), this.#staging);
  }

  #imageFiles(chainId: string | undefined): Promise<AccountFiles> {
    if (chainId === undefined) return Promise.resolve(noFiles);
    let files = this.#ofImages.get(chainId);
    if (files === undefined) {
      const read = (mounts: Parameters<typeof accountFilesOf>[1]) =>
        accountFilesOf(this.#executor, mounts, this.#staging);
      files = this.#rootfs.view(`accounts-${chainId.slice(-12)}`, chainId, read);
      this.#ofImages.set(chainId, files);
      files.catch(() => this.#ofImages.delete(chainId));
    }
    return files;
  }
}
