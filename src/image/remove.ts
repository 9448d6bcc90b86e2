import { OnggiError } from "../base/error.ts";
import { type Digest, shortId } from "../oci/digest.ts";
import {
  familiarReference,
  fullName,
  fullReference,
  parseReference,
  type Reference,
  withDefaultTag,
  withoutIdleTag,
} from "../oci/reference.ts";
import type { ImageUser } from "./image-info.ts";
import type { StoredImage } from "./image-store.ts";
import { deleteUnused, type ImageParts } from "./register.ts";

export type Removed = { readonly untagged: string } | { readonly deleted: string };

export interface RemoveOptions {
  /** Also while several names or stopped containers stand on it; never under a running one. */
  readonly force?: boolean;
  readonly usedBy: (imageId: string) => readonly ImageUser[];
  readonly onUntag?: (image: StoredImage, name: string) => void;
  readonly onDelete?: (image: StoredImage) => void;
}

/**
 * Takes a name from an image, and removes the image when that was the last one; or removes an image by id with its one name.
 *
 * @returns what went, in Docker's order
 * @throws OnggiError `not_found`; `conflict` or `in_use` in Docker's sentences
 */
export async function removeImage(parts: ImageParts, key: string, options: RemoveOptions): Promise<readonly Removed[]> {
  const image = parts.store.find(key);
  const removed: Removed[] = [];
  if (isIdPrefix(image.id, key)) {
    const names = parts.store.references(image.id);
    if (isOneName(names)) {
      checkUse(image, options, { ignoreNames: true, names });
      await untag(parts, image, names, removed, options);
    }
    checkUse(image, options, { ignoreNames: false, names: parts.store.references(image.id) });
  } else {
    const reference = withoutIdleTag(withDefaultTag(parseReference(key)));
    refuseLastName(parts, image, reference, options);
    await untag(parts, image, [reference], removed, options);
    if (reference.digest === undefined)
      await untag(parts, image, leftOverDigests(parts, image, reference), removed, options);
    if (parts.store.references(image.id).length > 0 || isKept(image, options)) return removed;
  }
  await untag(parts, image, parts.store.references(image.id), removed, options);
  removed.push(...(await deleteImage(parts, image)));
  options.onDelete?.(image);
  return removed;
}

/** Deletes an image that has no names: its record, the layers that nothing else stands on, its blobs. */
export async function deleteImage(parts: ImageParts, image: StoredImage): Promise<readonly Removed[]> {
  await parts.store.delete(image.id);
  const used = (chainId: string) => parts.store.list().some((one) => one.chainIds.some((own) => own === chainId));
  const layers = await parts.layers.remove(image.chainIds, used);
  deleteUnused(parts, blobsOf(image));
  return [{ deleted: image.id }, ...layers.map((chainId) => ({ deleted: chainId }))];
}

function blobsOf(image: StoredImage): Digest[] {
  return [image.id, image.manifest, ...image.layers.map(({ digest }) => digest)];
}

async function untag(
  { store }: ImageParts,
  image: StoredImage,
  names: readonly Reference[],
  removed: Removed[],
  { onUntag }: RemoveOptions,
): Promise<void> {
  if (names.length === 0) return;
  await store.setReferences(new Map(names.map((name) => [fullReference(name), undefined])));
  for (const name of names) {
    removed.push({ untagged: familiarReference(name) });
    onUntag?.(image, familiarReference(name));
  }
}

/** Without its last name an image that containers use would be left nameless: that needs to be asked for. */
function refuseLastName({ store }: ImageParts, image: StoredImage, reference: Reference, options: RemoveOptions): void {
  const [user] = options.usedBy(image.id);
  if (options.force || user === undefined || !isOneName(store.references(image.id))) return;
  throw new OnggiError(
    "in_use",
    `conflict: unable to remove repository reference "${familiarReference(reference)}" (must force) - ` +
      `${nameOf(user)} is using its referenced image ${shortId(image.id)}`,
    {
      hint: `Remove the ${user.snapshot === undefined ? "container" : "snapshot"} first, or force it: the image then stays without a name.`,
    },
  );
}

/** What is left of a repository when its last tag goes: digests, which go with it. */
function leftOverDigests({ store }: ImageParts, image: StoredImage, reference: Reference): readonly Reference[] {
  const same = store.references(image.id).filter((one) => fullName(one) === fullName(reference));
  return same.some(({ digest }) => digest === undefined) ? [] : same;
}

/** Whether an image that lost its name stays because something uses it. */
function isKept(image: StoredImage, { usedBy, force }: RemoveOptions): boolean {
  const users = usedBy(image.id);
  return force ? users.some(({ running }) => running) : users.length > 0;
}

function checkUse(
  image: StoredImage,
  { usedBy, force }: RemoveOptions,
  { ignoreNames, names }: { readonly ignoreNames: boolean; readonly names: readonly Reference[] },
): void {
  const refuse = (how: string, reason: string, hint: string) =>
    new OnggiError("in_use", `conflict: unable to delete ${shortId(image.id)} (${how}) - ${reason}`, { hint });
  const users = usedBy(image.id);
  const running = users.find((user) => user.running);
  if (running !== undefined) {
    const reason = `image is being used by running container ${shortId(running.id)}`;
    throw refuse("cannot be forced", reason, "Stop and remove the container first.");
  }
  if (force) return;
  if (!ignoreNames && names.length > 0) {
    throw refuse(
      "must be forced",
      "image is referenced in multiple repositories",
      "Remove it name by name, or force it.",
    );
  }
  const [stopped] = users;
  if (stopped !== undefined) {
    const isSnapshot = stopped.snapshot !== undefined;
    const reason = `image is being used by ${isSnapshot ? "" : "stopped "}${nameOf(stopped)}`;
    throw refuse("must be forced", reason, `Remove the ${isSnapshot ? "snapshot" : "container"} first, or force it.`);
  }
}

function nameOf({ id, snapshot }: ImageUser): string {
  return snapshot === undefined ? `container ${shortId(id)}` : `snapshot ${snapshot}`;
}

/** At most one tag, with digests of the same repository. */
function isOneName(names: readonly Reference[]): boolean {
  const tags = names.filter(({ digest }) => digest === undefined);
  return tags.length <= 1 && new Set(names.map(fullName)).size <= 1;
}

function isIdPrefix(id: Digest, key: string): boolean {
  return id.startsWith(key) || id.slice("sha256:".length).startsWith(key);
}
