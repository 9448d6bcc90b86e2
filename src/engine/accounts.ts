import type { Executor } from "../executor/executor.ts";
import type { HostFacts } from "../runtime/compile/host-facts.ts";
import { accountFilesIn, accountFilesOf } from "./account-files.ts";
import type { Container } from "./container.ts";
import { baseOf, type ContainerRecord } from "./container-record.ts";
import type { ExecConfig } from "./model.ts";
import type { Rootfs } from "./rootfs.ts";
import { type AccountFiles, type ResolvedUser, resolveUser } from "./user.ts";

const noFiles: AccountFiles = { passwd: "", group: "" };

export interface AccountsParts {
  readonly executor: Executor;
  readonly rootfs: Rootfs;
  readonly facts: HostFacts;
  /** An empty directory to mount on. */
  readonly staging: string;
}

/** Finds out who a container's process runs as, by the container's own account files. */
export class Accounts {
  readonly #parts: AccountsParts;
  /** By chainID: an image's files never change. */
  readonly #ofImages = new Map<string, Promise<AccountFiles>>();

  constructor(parts: AccountsParts) {
    this.#parts = parts;
  }

  async userOf(record: ContainerRecord): Promise<ResolvedUser> {
    const hasRun = record.last.startedAtMs > 0;
    const files = hasRun ? await this.#ownFiles(record) : await this.#imageFiles(baseOf(record));
    return resolveUser(record.user, files, record.config.groupAdd);
  }

  /** Of a further process: the container's own user unless another is named. */
  async userOfExec(container: Container, config: ExecConfig): Promise<ResolvedUser> {
    const { monitor } = container.runningRun();
    const files = await accountFilesIn(this.#parts.executor, monitor.pid, monitor.startTime);
    return resolveUser(config.user || container.record.user, files, container.record.config.groupAdd);
  }

  /** A container that ran before may have changed them. */
  async #ownFiles(record: ContainerRecord): Promise<AccountFiles> {
    return accountFilesOf(this.#parts, this.#parts.rootfs.mounts(record.id));
  }

  #imageFiles(chainId: string | undefined): Promise<AccountFiles> {
    if (chainId === undefined) return Promise.resolve(noFiles);
    let files = this.#ofImages.get(chainId);
    if (files === undefined) {
      const key = `accounts-${chainId.slice(-12)}`;
      files = this.#parts.rootfs.view(key, chainId, (mounts) => accountFilesOf(this.#parts, mounts));
      this.#ofImages.set(chainId, files);
      files.catch(() => this.#ofImages.delete(chainId));
    }
    return files;
  }
}
