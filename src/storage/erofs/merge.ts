import { type ByteString, isWhiteout, type Node, type Tree } from "./tree.ts";

/**
 * Lays a layer over the tree of those below it, as overlay would show them: whiteouts and opaque folders have done their work.
 *
 * Both trees are used up. An implied folder of the layer keeps the looks of the one below.
 */
export function mergeLayer(below: Tree, layer: Tree): Tree {
  shiftDevices(layer.root, below.devices.length);
  mergeFolder(below.root, layer.root);
  return { root: below.root, devices: [...below.devices, ...layer.devices] };
}

/** The same tree without the devices that no file lies in: each costs a mount the opening of a file. */
export function withoutIdleDevices(tree: Tree): { readonly tree: Tree; readonly used: readonly number[] } {
  const isUsed = new Set<number>();
  eachContent(tree.root, (chunks) => {
    for (let index = 0; index < chunks.length; index += 2) isUsed.add(chunks[index] ?? 0);
  });
  const used = tree.devices.map((_, index) => index).filter((index) => isUsed.has(index + 1));
  const places = new Map(used.map((index, place) => [index + 1, place + 1]));
  if (used.length < tree.devices.length) {
    eachContent(tree.root, (chunks) => {
      for (let index = 0; index < chunks.length; index += 2) chunks[index] = places.get(chunks[index] ?? 0) ?? 0;
    });
  }
  return { tree: { root: tree.root, devices: used.flatMap((index) => tree.devices[index] ?? []) }, used };
}

function mergeFolder(below: Node, above: Node): void {
  if (!above.implied) {
    below.mode = above.mode;
    below.uid = above.uid;
    below.gid = above.gid;
    below.seconds = above.seconds;
    below.nanos = above.nanos;
    below.attributes = above.attributes;
  }
  const names = below.children;
  if (names === undefined) return;
  if (above.opaque) names.clear();
  for (const [name, node] of above.children ?? []) {
    const before = names.get(name);
    if (isWhiteout(node)) names.delete(name);
    else if (node.children === undefined) names.set(name, node);
    else if (before?.children !== undefined && !node.opaque) mergeFolder(before, node);
    else names.set(name, settled(node));
  }
}

/** A folder that has nothing below it: its whiteouts have nothing to hide. */
function settled(folder: Node): Node {
  folder.opaque = false;
  folder.implied = false;
  const children: Map<ByteString, Node> = folder.children ?? new Map();
  for (const [name, node] of children) {
    if (isWhiteout(node)) children.delete(name);
    else if (node.children !== undefined) settled(node);
  }
  return folder;
}

/** The tree of the lowest layer. */
export function settle({ root, devices }: Tree): Tree {
  return { root: settled(root), devices };
}

function shiftDevices(root: Node, by: number): void {
  if (by === 0) return;
  eachContent(root, (chunks) => {
    for (let index = 0; index < chunks.length; index += 2) {
      const device = chunks[index] ?? 0;
      if (device > 0) chunks[index] = device + by;
    }
  });
}

/** Calls once for each file, however many names it has. */
function eachContent(root: Node, change: (chunks: number[]) => void): void {
  const seen = new Set<Node>();
  const folders = [root];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const node of folder.children?.values() ?? []) {
      if (node.children !== undefined) folders.push(node);
      else if (node.content !== undefined && !seen.has(node)) {
        seen.add(node);
        change(node.content.chunks);
      }
    }
  }
}
