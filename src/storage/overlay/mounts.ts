import { join } from "node:path";
import { OnggiError } from "../../base/error.ts";
import type { Mount } from "../../program/mount.ts";
import type { MountChoice } from "../snapshotter.ts";

/** What the kernel's overlay understands, found out by `probe`. */
export interface OverlayFeatures {
  /** One `lowerdir+` option a layer: Linux 6.5. */
  readonly lowerdirPlus: boolean;
  /** Nothing is synced when it is unmounted: Linux 5.10. */
  readonly volatile: boolean;
}

/** A snapshot as overlay sees it: absolute directories, the lower ones nearest first. */
export interface OverlayTree {
  readonly upper: string;
  readonly work: string;
  readonly lowers: readonly string[];
}

/** OVL_MAX_STACK of the kernel (fs/overlayfs/params.h). */
const maxLowers = 500;
/** mount(2) takes one page of options. */
const maxData = 4095;
/** What separates options and layers. */
const awkward = /[,:\\]/;

/**
 * The mounts that show one overlay snapshot.
 *
 * overlayfs refuses a mount without a lower directory, so a snapshot without parents, and a view of a single parent, are
 * bind mounts instead.
 *
 * @throws OnggiError `unsupported` for more layers than the kernel stacks
 */
export function overlayMounts(tree: OverlayTree, how: MountChoice, features: OverlayFeatures): readonly Mount[] {
  const [nearest, ...rest] = tree.lowers;
  if (nearest === undefined) return [bind(tree.upper, how.writable)];
  if (!how.writable && rest.length === 0) return [bind(nearest, false)];
  if (tree.lowers.length > maxLowers) throw tooMany(tree.lowers.length, maxLowers);

  const writable = how.writable ? [...choices, ...(!how.durable && features.volatile ? ["volatile"] : [])] : [];
  const options = [...onePage(tree, how), ...writable];
  const length = options.join(",").length;
  if (length <= maxData && !awkward.test(tree.upper)) return [overlay(options, how)];
  if (features.lowerdirPlus) return [overlay([...oneByOne(tree, how), ...writable], how)];
  if (length <= maxData) return [overlay(options, how)];
  throw tooMany(tree.lowers.length, Math.floor((tree.lowers.length * maxData) / length));
}

/** As mount(2) takes them: the quickest, and what a person would type. */
function onePage({ lowers, upper, work }: OverlayTree, { writable }: MountChoice): readonly string[] {
  const layers = `lowerdir=${lowers.map(escapeLower).join(":")}`;
  return writable ? [layers, `upperdir=${escapeOption(upper)}`, `workdir=${escapeOption(work)}`] : [layers];
}

/** As fsconfig(2) takes them: any number of layers, any character in a path. */
function oneByOne({ lowers, upper, work }: OverlayTree, { writable }: MountChoice): readonly string[] {
  const layers = lowers.map((lower) => `lowerdir+=${lower}`);
  return writable ? [...layers, `upperdir=${upper}`, `workdir=${work}`] : layers;
}

function overlay(options: readonly string[], { writable }: MountChoice): Mount {
  return { type: "overlay", source: "overlay", options, ...(writable ? {} : { readonly: true }) };
}

/**
 * Each against what a distribution may have made the default:
 *
 * - `index=off`: an index ties an upper directory to its lower ones for ever, so that a layer that was moved or restored is
 *   refused (ESTALE), and two mounts of one upper are EBUSY; hard links that break on copy-up are what Docker's users know.
 * - `metacopy=off`: a chmod would leave a file in the upper directory that has no data, so that it, read as a layer by
 *   commit, diff or export, would be empty; and the kernel's documentation warns of layers from strangers.
 * - `redirect_dir=nofollow`: a renamed directory would be an attribute that no layer's tar can carry, and one that a
 *   stranger's layer carries could show directories of other layers. rename(2) answers EXDEV, as it does with Docker.
 */
const choices = ["index=off", "metacopy=off", "redirect_dir=nofollow"];

function bind(source: string, writable: boolean): Mount {
  return { type: "bind", source, options: [], ...(writable ? {} : { readonly: true }) };
}

function escapeLower(path: string): string {
  return escapeOption(path).replaceAll(":", "\\:");
}

function escapeOption(path: string): string {
  return path.replaceAll("\\", "\\\\").replaceAll(",", "\\,");
}

function tooMany(layers: number, most: number): OnggiError {
  return new OnggiError("unsupported", `the image has ${layers} layers, and overlay mounts ${most} at most here`, {
    hint: "Build it with fewer steps, or choose --storage-driver vfs.",
  });
}

/** The lowers' short names relative to the driver's folder, as the file `lower` lists them. */
export function lowerFile(shortNames: readonly string[]): string {
  return shortNames.map((name) => join("l", name)).join(":");
}
