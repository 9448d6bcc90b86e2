import type { TreeNodeBody } from "../api/wire.ts";
import { command } from "./command.ts";
import { flag } from "./flag.ts";
import { decimalSize, shortId } from "./humanize.ts";

export const snapshotTree = command({
  name: "tree",
  summary: "Draw images, snapshots and containers as they stand on each other",
  args: "",
  arity: [0, 0],
  flags: { format: flag.string({ help: "Print as 'json'" }) },
  details: "A size is what the thing itself takes, without what it stands on.",
  async run({ client, flags, print }) {
    const roots = await client.json<readonly TreeNodeBody[]>({ method: "GET", path: "/onggi/v1/tree" });
    if (flags.format === "json") print(JSON.stringify(roots));
    else for (const line of drawTree(roots)) print(line);
    return 0;
  },
});

/** One line a node, below what it stands on. */
export function drawTree(roots: readonly TreeNodeBody[]): string[] {
  return roots.flatMap((root) => [describe(root), ...drawChildren(root, "")]);
}

function drawChildren({ children }: TreeNodeBody, indent: string): string[] {
  return children.flatMap((child, index) => {
    const isLast = index === children.length - 1;
    const line = `${indent}${isLast ? "└─" : "├─"} ${describe(child)}`;
    return [line, ...drawChildren(child, `${indent}${isLast ? "   " : "│  "}`)];
  });
}

function describe({ kind, id, name, sizeBytes, status }: TreeNodeBody): string {
  const size = decimalSize(sizeBytes);
  switch (kind) {
    case "image":
      return `${name === "" ? "<none>" : name}  image ${shortId(id)}  ${size}`;
    case "snapshot":
      return `${name}  snapshot ${shortId(id)}  ${size}`;
    case "base":
      return `(what its forks share)  ${size}`;
    case "container":
      return `${name}  container ${shortId(id)}  ${status}  ${size}`;
  }
}
