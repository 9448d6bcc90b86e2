/** Lets one piece of work after the other in, in the order of asking. */
export class Mutex {
  #tail: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  /** Work is under way. */
  get isBusy(): boolean {
    return this.#waiting > 0;
  }

  run<T>(work: () => Promise<T>): Promise<T> {
    this.#waiting += 1;
    const result = this.#tail.then(work);
    const done = () => {
      this.#waiting -= 1;
    };
    this.#tail = result.then(done, done);
    return result;
  }
}
