import { OnggiError } from "../../base/error.ts";
import type { Mount } from "../../program/mount.ts";
import type { MountChoice } from "../snapshotter.ts";
import type { ChainImage } from "./chain.ts";

/** A snapshot's places. */
export interface ErofsTree {
  readonly upper: string;
  readonly work: string;
  /** Where the image is mounted for overlay to stand on. It is one folder for all: each container sees its own there. */
  readonly lower: string;
  /** Where it is mounted already, for who can see it there. */
  readonly shared?: string | undefined;
  /** Of all below it; undefined for what stands on nothing. */
  readonly image: ChainImage | undefined;
}

/**
 * The mounts that show one snapshot: the layers' image, and overlay with the one writable folder on it.
 *
 * A view is the image alone, and what stands on nothing a bind mount, since overlay wants a lower directory.
 */
export function erofsMounts(
  { upper, work, lower, shared, image }: ErofsTree,
  { writable, durable }: MountChoice,
): readonly Mount[] {
  if (image === undefined)
    return [{ type: "bind", source: upper, options: [], ...(writable ? {} : { readonly: true }) }];
  const layers: Mount = {
    type: "erofs",
    source: image.path,
    options: image.devices.map((device) => `device=${device}`),
    readonly: true,
  };
  if (!writable) return [layers];
  const places = [`lowerdir=${shared ?? lower}`, `upperdir=${upper}`, `workdir=${work}`];
  if (places.some((place) => awkward.test(place))) throw awkwardPath(lower);
  const options = [...places, ...choices, ...(durable ? [] : ["volatile"])];
  const overlay: Mount = { type: "overlay", source: "overlay", options };
  return shared === undefined ? [{ ...layers, at: lower }, overlay] : [overlay];
}

/** What separates options and layers of overlay. */
const awkward = /[,:\\]/;

/**
 * Those of the driver `overlay`, and for the same reasons, but one: the writable folder and the layers are on two file systems, so
 * that without `xino` a file's device would be neither's, and change with its first write. Programs that stay on one device
 * (`tar --one-file-system`) would pass over it.
 */
const choices = ["index=off", "metacopy=off", "redirect_dir=nofollow", "xino=on"];

function awkwardPath(path: string): OnggiError {
  return new OnggiError(
    "unsupported",
    `the path ${path} has a comma, a colon or a backslash, which overlay's options can't hold`,
    {
      hint: "Choose a data root without them.",
    },
  );
}
