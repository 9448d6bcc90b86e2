/** One engine's daemons, each after the other on the same roots. */
import assert from "node:assert/strict";
import { ApiClient } from "./api-client.ts";
import { startDaemon, type TestDaemon } from "./harness.ts";

export class Succession implements AsyncDisposable {
  readonly first: TestDaemon;
  #current: TestDaemon;

  /** The first daemon; its data root has the image `host`. */
  static async begin(): Promise<Succession> {
    const first = await startDaemon();
    const { code, stderr } = await first.onggi(["image", "from-host"]);
    assert.equal(code, 0, stderr);
    return new Succession(first);
  }

  private constructor(first: TestDaemon) {
    this.first = first;
    this.#current = first;
  }

  get daemon(): TestDaemon {
    return this.#current;
  }

  /** All daemons listen on the same socket. */
  get api(): ApiClient {
    return new ApiClient(this.first.socket);
  }

  /** Starts a daemon after the last one has ended. */
  async next(): Promise<TestDaemon> {
    const { root, runRoot, bridge } = this.first;
    this.#current = await startDaemon({ root, runRoot, bridge });
    return this.#current;
  }

  /** SIGKILL for the present daemon, and the next. */
  async crash(): Promise<TestDaemon> {
    await this.#current.kill9();
    return this.next();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#current !== this.first) await this.#current.stop();
    await this.first.stop();
  }
}
