import { existsSync, mkdirSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { OnggiError } from "../base/error.ts";
import type { Cgroups } from "../cgroup/cgroups.ts";
import { openCgroups } from "../cgroup/open.ts";
import type { Executor } from "../executor/executor.ts";
import { openExecutor } from "../executor/spawner.ts";
import { type Images, openImages } from "../image/images.ts";
import type { UnpackLimits } from "../image/unpack-limits.ts";
import { openBridgeNetwork } from "../network/bridge-network.ts";
import type { BridgeNetwork } from "../network/network.ts";
import type { Op } from "../program/op.ts";
import { readHostFacts } from "../runtime/read-host-facts.ts";
import { storageDrivers } from "../storage/drivers.ts";
import { openSnapshotter, surveyDrivers } from "../storage/open.ts";
import { Accounts } from "./accounts.ts";
import { ContainerNames } from "./container-names.ts";
import type { ContainerRecord } from "./container-record.ts";
import { ContainerStore } from "./container-store.ts";
import { Containers } from "./containers.ts";
import { makeRoots, type Places, placesFor, RootLock } from "./data-root.ts";
import type { EngineFace, ImagesFace, NetworksFace, SnapshotsFace, VolumesFace } from "./engine.ts";
import { Events } from "./events.ts";
import { Files } from "./files.ts";
import type { FilesFace } from "./files-face.ts";
import { Forks } from "./forks.ts";
import { hostInfo } from "./host-info.ts";
import { type InitStorageRequest, type InitStorageResult, initStorage } from "./init-storage.ts";
import { Launcher } from "./launcher.ts";
import { Layers } from "./layers.ts";
import type { ContainerConfig, HostInfo } from "./model.ts";
import { Networks } from "./networks.ts";
import { Observer } from "./observer.ts";
import { checkPrivileges } from "./privileges.ts";
import { Recovery } from "./recovery.ts";
import { type RecoveredRollbacks, Rollbacks } from "./rollbacks.ts";
import { expectedSnapshot, Rootfs } from "./rootfs.ts";
import { RunningContainer } from "./running-container.ts";
import type { Fork, ForkOptions, Rollback, RollbackOptions } from "./snapshot-model.ts";
import { SnapshotTrees, treeName } from "./snapshot-trees.ts";
import { Snapshots } from "./snapshots.ts";
import { Storage } from "./storage.ts";
import { benchStorage } from "./storage-bench.ts";
import { migrateStorage } from "./storage-migrate.ts";
import { resumeMigration } from "./storage-migration.ts";
import { StorageUsage } from "./storage-usage.ts";
import { defaultWarnPercent, StorageWatch } from "./storage-watch.ts";
import { TreeSource } from "./tree-source.ts";
import { Volumes } from "./volumes.ts";

export interface EngineOptions {
  /** Where images and containers are kept. Default: `/var/lib/onggi`. */
  readonly root?: string;
  /** Where sockets and what lasts until the next boot is kept. Default: `/run/onggi`, with a suffix for another root. */
  readonly runRoot?: string;
  /** Name of the bridge link. Default: `onggi0`, with a suffix for another root. */
  readonly bridge?: string;
  /** CIDR of the bridge. Default: the first private one that no route of the host uses. */
  readonly subnet?: string;
  /** `erofs`, `overlay`, `btrfs`, `zfs`, `vfs` … Default: the first that can work here. */
  readonly storageDriver?: string;
  /** What storage drivers are to know: `zfs.fsname`, the dataset to use. */
  readonly storageOptions?: Readonly<Record<string, string>>;
  /** Warns when this much of the space or the inodes of the data root's file system, or of a container's limit, is used. Default: 90. */
  readonly storageWarnPercent?: number;
  /** Keeps the blobs of layers beside what is unpacked of them, instead of making them again when they are pushed. Default: false. */
  readonly keepBlobs?: boolean;
  /** What an image may ask for at most: size of a layer, how far it unfolds, number of layers. */
  readonly imageLimits?: Partial<UnpackLimits>;
  /** Registries that may speak plain HTTP, besides those on loopback. */
  readonly insecureRegistries?: readonly string[];
  /** Path of `onggi-exec`. Default: the one of this installation. */
  readonly executorBinary?: string;
}

/** What one open engine consists of. */
interface EngineParts {
  readonly places: Places;
  readonly lock: RootLock;
  readonly executor: Executor;
  readonly cgroups: Cgroups;
  readonly network: BridgeNetwork;
  readonly containers: Containers;
  readonly images: Images;
  readonly networks: Networks;
  readonly volumes: Volumes;
  readonly snapshots: Snapshots;
  readonly files: Files;
  readonly forks: Forks;
  readonly rollbacks: Rollbacks;
  readonly events: Events;
  readonly observer: Observer;
  readonly storage: Storage;
  readonly migrate: (to: string, report: (line: string) => void) => Promise<void>;
  readonly closeStorage: () => Promise<void>;
  readonly info: () => Promise<HostInfo>;
}

/** The engine: containers, images and networks of one data root. One process at a time has it open. */
export class Engine implements EngineFace, AsyncDisposable {
  readonly #parts: EngineParts;

  private constructor(parts: EngineParts) {
    this.#parts = parts;
  }

  /**
   * Opens a data root, takes over what runs there and repairs what was cut off.
   *
   * @throws OnggiError `denied` without root or a writable root, `in_use` when another engine has it, `unsupported` where the host lacks
   *   something
   */
  static async open(options: EngineOptions = {}): Promise<Engine> {
    checkPrivileges();
    const places = placesFor(options);
    makeRoots(places);
    const lock = new RootLock(places.root);
    const binary = options.executorBinary ?? installedExecutor();
    const executor = await lock.hold(places.root, () =>
      openExecutor({ binary, socketDirectory: places.runRoot, lockFd: lock.fd }),
    );
    try {
      return new Engine(await assemble(options, places, lock, executor));
    } catch (error) {
      await executor.close();
      lock.close();
      throw error;
    }
  }

  get containers(): Containers {
    return this.#parts.containers;
  }

  get images(): ImagesFace {
    return this.#parts.images;
  }

  get networks(): NetworksFace {
    return this.#parts.networks;
  }

  get volumes(): VolumesFace {
    return this.#parts.volumes;
  }

  get storage(): Storage {
    return this.#parts.storage;
  }

  get snapshots(): SnapshotsFace {
    return this.#parts.snapshots;
  }

  get files(): FilesFace {
    return this.#parts.files;
  }

  get events(): Events {
    return this.#parts.events;
  }

  fork(container: string | undefined, options?: ForkOptions): Promise<readonly Fork[]> {
    return this.#parts.forks.fork(container, options);
  }

  rollback(container: string, snapshot: string, options?: RollbackOptions): Promise<Rollback> {
    return this.#parts.rollbacks.rollback(container, snapshot, options);
  }

  initStorage(request: InitStorageRequest): Promise<InitStorageResult> {
    return initStorage(join(this.#parts.places.root, "snapshots"), request);
  }

  info(): Promise<HostInfo> {
    return this.#parts.info();
  }

  /** Creates and starts a container; see {@link RunningContainer.start}. */
  run(config: ContainerConfig, options: { readonly signal?: AbortSignal } = {}): Promise<RunningContainer> {
    return RunningContainer.start(this, config, options);
  }

  /** Makes the image `host` of the host's own programs, unless it is there. */
  async ensureHostImage(): Promise<void> {
    const all = await this.images.list();
    if (all.some(({ references }) => references.includes("host:latest"))) return;
    for await (const _progress of this.images.fromHost({ reference: "host:latest" }));
  }

  /**
   * Moves all snapshots over to another storage driver, and closes this engine: open the root anew afterwards.
   *
   * @throws OnggiError `conflict` while containers run
   */
  async migrateStorage(to: string, report: (line: string) => void = () => {}): Promise<void> {
    try {
      await this.#parts.migrate(to, report);
    } finally {
      await this.close();
    }
  }

  /** Lets go of the data root. Containers go on, kept by their monitors. */
  async close(): Promise<void> {
    const { containers, volumes, observer, cgroups, network, executor, lock, closeStorage } = this.#parts;
    await containers.close();
    await volumes.close();
    observer.close();
    await closeStorage();
    await network.close();
    cgroups.close();
    await executor.close();
    lock.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

async function assemble(
  options: EngineOptions,
  places: Places,
  lock: RootLock,
  executor: Executor,
): Promise<EngineParts> {
  const { root, runRoot } = places;
  const facts = readHostFacts();
  const staging = join(runRoot, "root");
  mkdirSync(staging, { recursive: true, mode: 0o700 });
  const events = new Events();
  let executors = 0;
  executor.onSpawnerLost((reason) => {
    executors += 1;
    events.emit("daemon", "spawner-restart", "", { name: hostname(), reason });
  });
  const names = new ContainerNames();
  const snapshotsRoot = join(root, "snapshots");
  const tools = {
    options: options.storageOptions ?? {},
    perform: (ops: readonly Op[]) => performOnHost(executor, ops),
    work: (prelude: readonly Op[]) => executor.work(prelude),
    generation: () => executors,
  };
  const resumed = await resumeMigration(root, { candidates: storageDrivers, tools });
  const store = new ContainerStore(root, runRoot);
  const kept = store.load();
  const snapshotter = await openSnapshotter({
    tools,
    memory: { expected: kept.records.map(expectedSnapshot), isWhole: kept.broken.length === 0 },
    root: snapshotsRoot,
    driver: options.storageDriver,
    candidates: storageDrivers,
  });
  const rootfs = new Rootfs(snapshotter);
  const usage = new StorageUsage(snapshotter);
  const warnPercent = options.storageWarnPercent ?? defaultWarnPercent;
  const watch = new StorageWatch({ root, warnPercent, usage, events, containers: () => names.all });
  // Before the images: what an unpacking that was cut off left stands on their layers.
  const orphans = kept.broken.length > 0 ? 0 : await rootfs.sweep(new Set(kept.records.map(({ id }) => id)));
  const cgroups = openCgroups({ parent: places.cgroupParent });
  const network = await openBridgeNetwork({
    name: "bridge",
    bridge: places.bridge,
    root: join(root, "networks"),
    runRoot: join(runRoot, "leases"),
    perform: tools.perform,
    ...(options.subnet === undefined ? {} : { subnet: options.subnet }),
  });
  const accounts = new Accounts({ executor, rootfs, facts, staging });
  const volumes = await Volumes.open({
    ...places,
    executor,
    facts,
    rootfs,
    names,
    events,
    perform: tools.perform,
    still: (container) => containers.still(container),
  });
  const launcher = new Launcher({
    volumes,
    executor,
    store,
    rootfs,
    cgroups,
    network,
    accounts,
    names,
    facts,
    staging,
    runRoot,
  });
  const observer = new Observer({ cgroups, network, cpus: facts.cpus });
  const recovery = new Recovery({ executor, cgroups, store });

  const usedBy = (imageId: string) => [...containers.usersOf(imageId), ...snapshots.usersOf(imageId)];
  const sink = new Layers(snapshotter, executor);
  const images = await openImages({
    root,
    sink,
    usedBy,
    insecureRegistries: options.insecureRegistries ?? [],
    keepBlobs: options.keepBlobs ?? false,
    limits: options.imageLimits ?? {},
    onEvent: (action, id, name) => {
      events.emit("image", action, id, { name });
      watch.soon();
    },
  });
  const resolveImage = async (key: string) => {
    const { id, reference, config, file, chainIds } = await images.resolve(key);
    const { os, architecture, variant } = file;
    const platform = { os, architecture, ...(variant === undefined ? {} : { variant }) };
    return { id, reference, config, platform, chainId: chainIds.at(-1) };
  };
  // What only it stood on goes with it: the base of its forks, and the layers of an image that was removed by force.
  const afterRemove = ({ image, base }: ContainerRecord) => {
    const collected = base === undefined ? Promise.resolve() : snapshots.collect();
    const gone = collected.then(() => images.get(image.id)).catch(() => images.collectLayers());
    // What can't be removed now, the next start removes.
    void gone.catch(() => {});
  };
  const containers: Containers = new Containers({
    afterRemove,
    names,
    store,
    events,
    launcher,
    cgroups,
    observer,
    recovery,
    rootfs,
    usage,
    volumes,
    facts,
    resolveImage,
  });
  const trees = new SnapshotTrees(snapshotter);
  const snapshots: Snapshots = new Snapshots({
    root,
    isWhole: kept.broken.length === 0,
    trees,
    rootfs,
    names,
    events,
    still: (container) => containers.still(container),
    images: () => images.list(),
    afterRemove,
  });
  const sources = new TreeSource({
    rootfs,
    findContainer: (key) => names.find(key),
    findSnapshot: (key) => {
      const { id } = snapshots.find(key);
      return { id, tree: treeName("snapshot", id) };
    },
    resolveImage,
  });
  const files = new Files({
    executor,
    facts,
    staging,
    names,
    rootfs,
    volumes,
    images,
    trees: sources,
    events,
    still: (container) => containers.still(container),
  });
  const rollbacks = new Rollbacks({ containers, names, snapshots, trees, rootfs, store, network, events });
  const machineId = { executor, facts, staging };
  const forks = new Forks({ machineId, containers, names, snapshots, trees, rootfs, events });
  const rolledBack = await rollbacks.recover(kept.records);
  const repairs = await restore({ containers, rolledBack, kept, orphans, names, cgroups, network, executor });
  await volumes.restore();
  await snapshots.sweep();
  await rollbacks.resume(rolledBack);
  const networks = new Networks({ bridge: network, createdAtMs: network.createdAtMs, containers: names });
  const warnings = [
    ...resumed,
    ...snapshotter.repairs,
    ...images.repairs,
    ...volumes.repairs,
    ...snapshots.repairs,
    ...repairs,
  ];
  const storage = new Storage({
    root,
    runRoot,
    snapshotter,
    rootfs,
    images,
    names,
    cgroups,
    network,
    usage,
    watch,
    warnPercent,
    perform: tools.perform,
    bench: (asked) =>
      benchStorage(
        { executor, facts, tools, candidates: storageDrivers, staging, directory: join(root, "bench") },
        asked,
      ),
    nameOfTree: (tree) => snapshots.nameOfTree(tree),
  });
  let storageEnd: Promise<void> | undefined;
  const endStorage = () => {
    watch.close();
    snapshots.close();
    return snapshotter.close();
  };
  const closeStorage = () => {
    storageEnd ??= endStorage();
    return storageEnd;
  };
  const info = async () =>
    hostInfo({
      facts,
      root,
      driver: snapshotter.driver,
      drivers: await surveyDrivers(snapshotsRoot, storageDrivers, tools),
      containers: containers.list(),
      images: (await images.list()).length,
      network,
      warnings: [...warnings, ...watch.warnings, ...cgroups.warnings(), ...(await network.warnings())],
    });
  return {
    places,
    lock,
    executor,
    cgroups,
    network,
    containers,
    images,
    networks,
    volumes,
    events,
    observer,
    snapshots,
    files,
    forks,
    rollbacks,
    storage,
    migrate: (to, report) =>
      migrateStorage(
        { root, snapshotter, images, names, executor, facts, staging, candidates: storageDrivers, tools, closeStorage },
        to,
        report,
      ),
    closeStorage,
    info,
  };
}

/** Takes in the containers there are, and removes what belongs to none. @returns what was done, a sentence each */
async function restore(parts: {
  readonly containers: Containers;
  readonly kept: ReturnType<ContainerStore["load"]>;
  readonly rolledBack: RecoveredRollbacks;
  /** How many snapshots of no container were removed. */
  readonly orphans: number;
  readonly names: ContainerNames;
  readonly cgroups: Cgroups;
  readonly network: BridgeNetwork;
  readonly executor: Executor;
}): Promise<readonly string[]> {
  const { containers, orphans, names, cgroups, network, executor } = parts;
  const { records, runs, repairs } = parts.rolledBack;
  await containers.restore(records, runs);
  const done = [...parts.kept.broken, ...repairs];
  if (orphans > 0) done.push(`removed ${orphans} snapshots that belonged to no container`);
  const running = new Set([...names.all].filter((container) => container.isRunning).map(({ id }) => id));
  const strays = cgroups.list().filter((id) => !running.has(id));
  for (const id of strays) await performOnHost(executor, cgroups.killSteps(id));
  if (strays.length > 0) done.push(`ended and removed ${strays.length} cgroups that belonged to no running container`);
  await performOnHost(executor, network.reconcile(running));
  return done;
}

async function performOnHost(executor: Executor, ops: readonly Op[]): Promise<readonly Uint8Array[]> {
  const worker = await executor.work([]);
  try {
    return await worker.run(ops);
  } finally {
    await worker.close();
  }
}

/** Beside the bundle, or in `build/` when the sources run as they are. */
function installedExecutor(): string {
  const candidates = [join(import.meta.dirname, "onggi-exec"), join(import.meta.dirname, "../../build/onggi-exec")];
  const found = candidates.find(existsSync);
  if (found === undefined) {
    throw new OnggiError("unsupported", `the executor isn't built: there is no ${candidates[0]}`, {
      hint: "Build it: npm run build",
    });
  }
  return found;
}
