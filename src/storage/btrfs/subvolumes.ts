import { dirname } from "node:path";
import type { DriverTools } from "../snapshotter.ts";
import { destroyCounters, destroySubvolume, lookUpSubvolume } from "./requests.ts";
import { ROOT_REF, rootTree, searchTree } from "./tree-search.ts";

type Tools = Pick<DriverTools, "perform">;

const maxU64 = 0xffffffffffffffffn;

/** The id of the subvolume that a directory belongs to. */
export async function subvolumeIdOf(tools: Tools, path: string): Promise<bigint> {
  const [answer = new Uint8Array(8)] = await tools.perform([lookUpSubvolume(path)]);
  return Buffer.from(answer).readBigUInt64LE(0);
}

/** The subvolumes that lie in one, at any depth, the deepest first. */
export async function nestedSubvolumes(tools: Tools, path: string, id: bigint): Promise<readonly bigint[]> {
  const nested: bigint[] = [];
  const from = { object: id, kind: ROOT_REF, offset: 0n };
  const to = { object: id, kind: ROOT_REF, offset: maxU64 };
  for await (const { offset: child, kind } of searchTree(tools, { path, tree: rootTree, from, to })) {
    if (kind === ROOT_REF) nested.push(...(await nestedSubvolumes(tools, path, child)), child);
  }
  return nested;
}

/** Deletes a subvolume with those that were made in it. What the kernel counted for them goes too. */
export async function destroyTree(tools: Tools, path: string): Promise<void> {
  const id = await subvolumeIdOf(tools, path);
  const around = dirname(path);
  const doomed = [...(await nestedSubvolumes(tools, around, id)), id];
  await tools.perform(doomed.map((subvolume) => destroySubvolume(around, subvolume)));
  // Newer kernels forget them by themselves, and there are none where nothing is counted.
  for (const subvolume of doomed) await tools.perform([destroyCounters(around, subvolume)]).catch(() => {});
}
