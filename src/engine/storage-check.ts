import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isErrno } from "../base/errno.ts";
import { messageOf } from "../base/error.ts";
import type { Cgroups } from "../cgroup/cgroups.ts";
import type { Images } from "../image/images.ts";
import type { BridgeNetwork } from "../network/network.ts";
import { shortId } from "../oci/digest.ts";
import type { Op } from "../program/op.ts";
import type { Snapshotter } from "../storage/snapshotter.ts";
import type { ContainerNames } from "./container-names.ts";
import type { Rootfs } from "./rootfs.ts";
import { isOwnTree } from "./snapshot-trees.ts";
import type { CheckOptions, StorageProblem } from "./storage-face.ts";

export interface CheckParts {
  readonly root: string;
  readonly runRoot: string;
  readonly snapshotter: Snapshotter;
  readonly rootfs: Rootfs;
  readonly images: Images;
  readonly names: ContainerNames;
  readonly cgroups: Cgroups;
  readonly network: BridgeNetwork;
  perform(ops: readonly Op[]): Promise<unknown>;
}

type Found = Pick<StorageProblem, "subject" | "id" | "problem" | "remedy"> & {
  readonly repair?: (() => Promise<unknown>) | undefined;
};

/** Looks through all that the engine keeps, and mends what it can where asked: one finding after the other. */
export async function* checkStorage(
  parts: CheckParts,
  { repair = false, deep = false, signal }: CheckOptions = {},
): AsyncGenerator<StorageProblem> {
  for await (const found of problems(parts, deep)) {
    signal?.throwIfAborted();
    yield await settle(found, repair);
  }
}

async function settle({ repair, ...found }: Found, wanted: boolean): Promise<StorageProblem> {
  if (!wanted) return { ...found, state: "found" };
  if (repair === undefined) return { ...found, state: "not repaired" };
  try {
    await repair();
    return { ...found, state: "repaired" };
  } catch (error) {
    return { ...found, state: "not repaired", error: messageOf(error) };
  }
}

async function* problems(parts: CheckParts, deep: boolean): AsyncGenerator<Found> {
  for await (const problem of parts.snapshotter.check({ deep })) yield { subject: "snapshot", ...problem };
  yield* lostLayers(parts);
  yield* idleTrees(parts);
  yield* lostRoots(parts);
  yield* strayFolders(parts);
  yield* strayCgroups(parts);
  yield* strayLeases(parts);
  yield* parts.images.check({ deep });
}

/** Layers that an image needs and that aren't there: unpacked again where their blobs are kept. */
function* lostLayers({ images, snapshotter }: CheckParts): Iterable<Found> {
  for (const { id, names, chainIds } of images.layered()) {
    const lost = chainIds.filter((chainId) => !snapshotter.has(chainId));
    if (lost.length === 0) continue;
    const name = names[0] ?? shortId(id);
    yield {
      subject: "image",
      id,
      problem: `image ${name} lacks ${lost.length} of its ${chainIds.length} layers: ${lost.map(shortId).join(", ")}`,
      remedy: "They are unpacked again from the blobs; where those are gone, too, pull the image again.",
      repair: () => images.resolve(id),
    };
  }
}

/** Layers that no image, container or snapshot stands on. */
function* idleTrees({ images, snapshotter }: CheckParts): Iterable<Found> {
  const needed = new Set<string>(images.layered().flatMap(({ chainIds }) => chainIds));
  const parents = new Map([...snapshotter.list()].map(({ id, parent }) => [id, parent]));
  for (const { id, kind } of snapshotter.list()) {
    if (kind === "committed" && !isOwnTree(id)) continue;
    for (let below = parents.get(id); below !== undefined; below = parents.get(below)) needed.add(below);
  }
  for (const { id, kind } of [...snapshotter.list()]) {
    if (kind !== "committed" || isOwnTree(id) || needed.has(id) || images.isHeld(id)) continue;
    yield {
      subject: "layer",
      id,
      problem: `layer ${shortId(id)} belongs to no image, and nothing stands on it`,
      remedy: "It is removed.",
      repair: () => images.collectLayers(),
    };
  }
}

/** Containers without a writable tree, and such trees without a container. */
function* lostRoots({ names, rootfs, snapshotter }: CheckParts): Iterable<Found> {
  for (const { id, record, phase } of names.all) {
    if (snapshotter.has(id) || phase === "removing") continue;
    yield {
      subject: "container",
      id,
      problem: `container ${record.name} has no file system of its own`,
      remedy: "It is made again from its image; what was written in it is lost.",
      repair: () => rootfs.prepare(record),
    };
  }
  for (const { id, kind } of [...snapshotter.list()]) {
    if (kind !== "active" || !/^[0-9a-f]{64}$/.test(id) || names.has(id) || names.isReserved(id)) continue;
    yield {
      subject: "snapshot",
      id,
      problem: `the writable tree of container ${shortId(id)} is there, and the container is not`,
      remedy: "It is removed.",
      repair: () => rootfs.discard(id),
    };
  }
}

/** Containers' folders for logs and sockets whose container is gone. */
function* strayFolders({ root, runRoot, names }: CheckParts): Iterable<Found> {
  for (const parent of [join(root, "containers"), join(runRoot, "containers")]) {
    for (const id of foldersIn(parent)) {
      const path = join(parent, id);
      if (names.has(id) || names.isReserved(id) || !/^[0-9a-f]{64}$/.test(id)) continue;
      yield {
        subject: "folder",
        id: path,
        problem: `the folder ${path} belongs to no container`,
        remedy: "It is removed.",
        repair: async () => rmSync(path, { recursive: true, force: true }),
      };
    }
  }
}

function* strayCgroups({ cgroups, names, perform }: CheckParts): Iterable<Found> {
  const running = new Set(runningIds(names));
  for (const id of cgroups.list()) {
    if (running.has(id) || isStarting(names, id)) continue;
    yield {
      subject: "cgroup",
      id,
      problem: `the cgroup of container ${shortId(id)} is there, and the container doesn't run`,
      remedy: "All in it is ended, and it is removed.",
      repair: () => perform(cgroups.killSteps(id)),
    };
  }
}

function* strayLeases({ network, names, perform }: CheckParts): Iterable<Found> {
  const running = new Set(runningIds(names));
  for (const { containerId, address } of network.leases()) {
    if (running.has(containerId) || isStarting(names, containerId)) continue;
    yield {
      subject: "lease",
      id: address,
      problem: `the address ${address} is kept for container ${shortId(containerId)}, which doesn't run`,
      remedy: "It is given back.",
      repair: () => perform(network.reconcile(new Set(runningIds(names)))),
    };
  }
}

function runningIds(names: ContainerNames): readonly string[] {
  return [...names.all].filter(({ isRunning }) => isRunning).map(({ id }) => id);
}

/** Its start or end may be under way. */
function isStarting(names: ContainerNames, id: string): boolean {
  if (!names.has(id)) return names.isReserved(id);
  const { run, changes } = names.find(id);
  return run !== undefined || changes.isBusy;
}

function foldersIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}
