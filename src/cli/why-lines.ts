import type { LayerTreeBody } from "../api/wire.ts";
import { decimalSize, shortId } from "./humanize.ts";

/** A layer and what stands on it as a drawing, and below it what has to go before the layer can. */
export function whyLines(tree: LayerTreeBody): readonly string[] {
  return [lineOf(tree), ...branches(tree, ""), "", verdict(tree)];
}

function* branches({ Children }: LayerTreeBody, indent: string): Iterable<string> {
  for (const [index, child] of Children.entries()) {
    const isLast = index === Children.length - 1;
    yield `${indent}${isLast ? "└─" : "├─"} ${lineOf(child)}`;
    yield* branches(child, `${indent}${isLast ? "   " : "│  "}`);
  }
}

function lineOf({ Kind, Name, Bytes, Inodes, Images }: LayerTreeBody): string {
  const name = Kind === "layer" ? shortId(Name) : Name;
  const images = Images.length === 0 ? "" : `  = ${Images.join(", ")}`;
  return `${Kind} ${name}  ${decimalSize(Bytes)}, ${Inodes} ${Inodes === 1 ? "inode" : "inodes"}${images}`;
}

function verdict(tree: LayerTreeBody): string {
  const holders = { image: new Set<string>(), container: new Set<string>(), snapshot: new Set<string>() };
  collect(tree, holders);
  const parts = Object.entries(holders).flatMap(([kind, names]) =>
    names.size === 0 ? [] : [`${kind}${names.size === 1 ? "" : "s"} ${[...names].join(", ")}`],
  );
  return parts.length === 0
    ? "Nothing keeps it: onggi system check --repair removes it."
    : `Kept by ${parts.join("; ")}.`;
}

function collect(
  { Kind, Name, Images, Children }: LayerTreeBody,
  holders: { readonly image: Set<string>; readonly container: Set<string>; readonly snapshot: Set<string> },
): void {
  for (const image of Images) holders.image.add(image);
  if (Kind === "container" || Kind === "snapshot") holders[Kind].add(Name);
  for (const child of Children) collect(child, holders);
}
