import { broadcast, type Cidr, size } from "./ipv4.ts";

/**
 * The free and taken addresses of a subnet, one bit each.
 *
 * They are given out in turn, so that an address comes back late: caches of neighbours and conntrack entries that still mean the
 * container before have gone by then.
 */
export class AddressPool {
  readonly #subnet: Cidr;
  readonly #taken: Uint8Array;
  #next = 0;
  #count = 0;

  /** @param reserved - addresses that are never given out, besides the first and the last of the subnet */
  constructor(subnet: Cidr, reserved: readonly number[]) {
    this.#subnet = subnet;
    this.#taken = new Uint8Array(Math.ceil(size(subnet) / 8));
    for (const address of [subnet.base, broadcast(subnet), ...reserved]) this.#set(this.#indexOf(address), true);
  }

  /** How many were taken. */
  get count(): number {
    return this.#count;
  }

  /** The next free address, `undefined` when all are taken. */
  take(): number | undefined {
    const total = size(this.#subnet);
    for (let tried = 0; tried < total; tried++) {
      const index = (this.#next + tried) % total;
      if (this.#isTaken(index)) continue;
      this.#claim(index);
      return this.#subnet.base + index;
    }
    return undefined;
  }

  /** Takes one that is known to be in use; false when it is taken already or not of this subnet. */
  reserve(address: number): boolean {
    const index = this.#indexOf(address);
    if (index < 0 || index >= size(this.#subnet) || this.#isTaken(index)) return false;
    this.#claim(index);
    return true;
  }

  /** Gives back one that was taken. */
  free(address: number): void {
    const index = this.#indexOf(address);
    if (!this.#isTaken(index)) return;
    this.#set(index, false);
    this.#count--;
  }

  #claim(index: number): void {
    this.#set(index, true);
    this.#count++;
    this.#next = index + 1;
  }

  #indexOf(address: number): number {
    return address - this.#subnet.base;
  }

  #isTaken(index: number): boolean {
    return ((this.#taken[index >> 3] ?? 0) & (1 << (index & 7))) !== 0;
  }

  #set(index: number, taken: boolean): void {
    const byte = this.#taken[index >> 3] ?? 0;
    this.#taken[index >> 3] = taken ? byte | (1 << (index & 7)) : byte & ~(1 << (index & 7));
  }
}
