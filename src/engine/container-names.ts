import { OnggiError } from "../base/error.ts";
import type { Container } from "./container.ts";

/** Docker's rule for names. */
const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** All containers by id and by name. */
export class ContainerNames {
  readonly #byId = new Map<string, Container>();
  readonly #idByName = new Map<string, string>();

  get all(): Iterable<Container> {
    return this.#byId.values();
  }

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  /** It has a name, be it that it is still being made. */
  isReserved(id: string): boolean {
    return [...this.#idByName.values()].includes(id);
  }

  isTaken(name: string): boolean {
    return this.#idByName.has(name);
  }

  /**
   * Keeps a name for an id that is still being made.
   * @throws OnggiError `conflict` when it's taken, `invalid` when it's none
   */
  reserve(name: string, id: string): void {
    if (!namePattern.test(name)) {
      throw new OnggiError("invalid", `Invalid container name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`, {
        hint: "A name has two characters or more and starts with a letter or a digit.",
      });
    }
    const holder = this.#idByName.get(name);
    if (holder !== undefined) {
      throw new OnggiError(
        "conflict",
        `Conflict. The container name "/${name}" is already in use by container "${holder}". You have to remove (or rename) that container to be able to reuse that name.`,
      );
    }
    this.#idByName.set(name, id);
  }

  release(name: string): void {
    this.#idByName.delete(name);
  }

  add(container: Container): void {
    this.#byId.set(container.id, container);
    this.#idByName.set(container.record.name, container.id);
  }

  remove(container: Container): void {
    this.#byId.delete(container.id);
    this.#idByName.delete(container.record.name);
  }

  /** By id, by name, or by a beginning of an id that only one has. */
  find(key: string): Container {
    const name = key.startsWith("/") ? key.slice(1) : key;
    const exact = this.#byId.get(key) ?? this.#byId.get(this.#idByName.get(name) ?? "");
    if (exact !== undefined) return exact;
    if (/^[0-9a-f]{1,64}$/.test(key)) {
      const matches = [...this.#byId.values()].filter((container) => container.id.startsWith(key));
      if (matches[0] !== undefined && matches.length === 1) return matches[0];
      if (matches.length > 1) {
        throw new OnggiError("invalid", `Multiple IDs found with provided prefix: ${key}`, {
          hint: "Give more of the id.",
        });
      }
    }
    throw new OnggiError("not_found", `No such container: ${key}`, { hint: "onggi ps -a lists all there are." });
  }
}
