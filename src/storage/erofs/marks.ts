import { type Attributes, type ByteString, type Node, noAttributes } from "./tree.ts";

/** Overlay's own mark of a folder that hides what lies below. */
const opaqueMark = "trusted.overlay.opaque";
const opaqueValue = Buffer.from("y");
/** Ours of a folder that a layer's archive doesn't tell of. */
const impliedMark = "trusted.onggi.implied";

/** Puts what a layer does to those below it into its folders' attributes, for a layer's own image. */
export function mark(root: Node): void {
  eachFolder(root, (folder) => {
    if (!folder.opaque && !folder.implied) return;
    const attributes = new Map(folder.attributes);
    if (folder.opaque) attributes.set(opaqueMark, opaqueValue);
    if (folder.implied) attributes.set(impliedMark, opaqueValue);
    folder.attributes = attributes;
  });
}

/** The other way; other attributes that steer overlay go. */
export function unmark(root: Node): void {
  eachNode(root, (node) => {
    if (node.attributes.size === 0) return;
    if (node.children !== undefined) {
      node.opaque = isSet(node.attributes, opaqueMark);
      node.implied = isSet(node.attributes, impliedMark);
    }
    node.attributes = withoutMarks(node.attributes);
  });
}

function isSet(attributes: Attributes, name: ByteString): boolean {
  const value = attributes.get(name);
  return value !== undefined && opaqueValue.equals(value);
}

function withoutMarks(attributes: Attributes): Attributes {
  const names = [...attributes.keys()].filter(isMark);
  if (names.length === 0) return attributes;
  const rest = new Map(attributes);
  for (const name of names) rest.delete(name);
  return rest.size === 0 ? noAttributes : rest;
}

function isMark(name: ByteString): boolean {
  return name === impliedMark || name.startsWith("trusted.overlay.") || name.startsWith("user.overlay.");
}

function eachFolder(root: Node, change: (folder: Node) => void): void {
  eachNode(root, (node) => {
    if (node.children !== undefined) change(node);
  });
}

function eachNode(root: Node, change: (node: Node) => void): void {
  const folders = [root];
  change(root);
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const node of folder.children?.values() ?? []) {
      change(node);
      if (node.children !== undefined) folders.push(node);
    }
  }
}
