import { randomBytes } from "node:crypto";
import { isOnggiError, OnggiError } from "../base/error.ts";
import type { Mount } from "../program/mount.ts";
import type { Container } from "./container.ts";
import { baseOf } from "./container-record.ts";
import type { Rootfs } from "./rootfs.ts";

/** A tree of files, as somebody named it, for the time that it is used. */
export interface Tree {
  readonly kind: "container" | "snapshot" | "image";
  /** Of the container, the snapshot or the image. */
  readonly id: string;
  /** What shows it read-only, in a mount namespace of the user's own; none for an image without layers. */
  readonly mounts: readonly Mount[];
  /** The committed snapshot that it is, or that a container's tree stands on. */
  readonly base: string | undefined;
}

export interface TreeSourceParts {
  readonly rootfs: Rootfs;
  /** @throws OnggiError `not_found`, `invalid` */
  findContainer(key: string): Container;
  /** @throws OnggiError `not_found`, `invalid` */
  findSnapshot(key: string): { readonly id: string; readonly tree: string };
  /** @throws OnggiError `not_found`, `invalid` */
  resolveImage(key: string): Promise<{ readonly id: string; readonly chainId: string | undefined }>;
}

type Named = Omit<Tree, "mounts">;

/** Shows whatever holds files: `CONTAINER` as it is now, `CONTAINER@NAME` or a snapshot's id, an image. */
export class TreeSource {
  readonly #parts: TreeSourceParts;

  constructor(parts: TreeSourceParts) {
    this.#parts = parts;
  }

  /**
   * Looks a tree up and keeps it until `use` is done. A container that runs goes on: what it changes meanwhile may be seen or not.
   *
   * @throws OnggiError `not_found` when there is neither a container, a snapshot nor an image of that name
   */
  async withTree<T>(key: string, use: (tree: Tree) => Promise<T>): Promise<T> {
    const named = await this.#find(key);
    if (named.kind === "container") {
      const mounts = this.#parts.rootfs.mounts(named.id);
      return use({ ...named, mounts: mounts.map((mount) => ({ ...mount, readonly: true })) });
    }
    if (named.base === undefined) return use({ ...named, mounts: [] });
    const view = `view-${randomBytes(8).toString("hex")}`;
    return this.#parts.rootfs.view(view, named.base, (mounts) => use({ ...named, mounts }));
  }

  async #find(key: string): Promise<Named> {
    const { findContainer, findSnapshot, resolveImage } = this.#parts;
    const finders: readonly (() => Named | Promise<Named>)[] = [
      () => {
        const { id, record } = findContainer(key);
        return { kind: "container", id, base: baseOf(record) };
      },
      () => {
        const { id, tree } = findSnapshot(key);
        return { kind: "snapshot", id, base: tree };
      },
      async () => {
        const { id, chainId } = await resolveImage(key);
        return { kind: "image", id, base: chainId };
      },
    ];
    for (const find of finders) {
      try {
        return await find();
      } catch (error) {
        if (!isOnggiError(error, "not_found")) throw error;
      }
    }
    throw new OnggiError("not_found", `No such container, snapshot or image: ${key}`, {
      hint: "onggi snapshot tree shows what there is; a snapshot is named CONTAINER@NAME or by its id.",
    });
  }
}
