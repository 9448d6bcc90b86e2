import { randomBytes } from "node:crypto";
import { join, posix } from "node:path";
import { OnggiError } from "../base/error.ts";
import type { Cgroups } from "../cgroup/cgroups.ts";
import { controlHint } from "../cgroup/control-hint.ts";
import type { Executor, Monitor } from "../executor/executor.ts";
import { StepFailure } from "../executor/step-failure.ts";
import type { BridgeNetwork, Connection, PublishedPort } from "../network/network.ts";
import { explain } from "../program/explain.ts";
import type { Program } from "../program/op.ts";
import { compileExec } from "../runtime/compile/compile-exec.ts";
import type { HostFacts } from "../runtime/compile/host-facts.ts";
import type { Accounts } from "./accounts.ts";
import { makeBindSources } from "./bind-sources.ts";
import type { Container, Run } from "./container.ts";
import { containerFileContents, containerFilesIn, writeContainerFiles } from "./container-files.ts";
import type { ContainerNames } from "./container-names.ts";
import { baseOf, type ContainerRecord } from "./container-record.ts";
import type { ContainerStore, LaunchRecord } from "./container-store.ts";
import { devicesFor } from "./devices.ts";
import { scratchIn, withScratch } from "./explain-scratch.ts";
import type { ExecConfig, PortMapping } from "./model.ts";
import { addressOf, isBridged, type PlanInput, planContainer } from "./plan.ts";
import type { Rootfs } from "./rootfs.ts";
import { execProcessFor } from "./spec.ts";
import { volumesAmong } from "./volume-mounts.ts";
import type { Volumes } from "./volumes.ts";

export interface LauncherParts {
  readonly executor: Executor;
  readonly store: ContainerStore;
  readonly rootfs: Rootfs;
  readonly cgroups: Cgroups;
  readonly network: BridgeNetwork;
  readonly accounts: Accounts;
  readonly names: ContainerNames;
  readonly volumes: Volumes;
  readonly facts: HostFacts;
  readonly staging: string;
  readonly runRoot: string;
}

/** Starts containers and execs: asks each part for its share, has the program compiled, and sends it to a monitor. */
export class Launcher {
  readonly #parts: LauncherParts;

  constructor(parts: LauncherParts) {
    this.#parts = parts;
  }

  /** @throws OnggiError whatever a part says; nothing of the attempt is left then */
  async launch(container: Container): Promise<{ readonly monitor: Monitor; readonly launch: LaunchRecord }> {
    const { executor, store, rootfs, volumes } = this.#parts;
    const { record } = container;
    const connection = await this.#connect(record);
    try {
      const address = addressOf(connection, this.#parts.network, randomBytes(32).toString("hex"));
      const startedAtMs = Date.now();
      await volumes.acquire(record);
      const mounts = volumes.mountsOf(record);
      makeBindSources({ mounts });
      const program = await this.#plan(record, connection, {
        mounts,
        rootfs: () => rootfs.mounts(record.id, { atOnce: true }),
        runDirectory: store.runDirectory(record.id),
        logDirectory: store.directory(record.id),
        staging: this.#parts.staging,
      });
      const launch: LaunchRecord = {
        startedAtMs,
        address,
        ports: connection?.ports ?? [],
        paused: false,
        teardown: program.teardown,
      };
      store.saveLaunch(record.id, launch);
      const files = containerFilesIn(store.runDirectory(record.id));
      const place = address ?? this.#networkOwner(record)?.launch.address;
      writeContainerFiles(containerFileContents(files, record, place));
      const monitor = await executor.launch(program, { subscribe: container.session.isWatched });
      return { monitor, launch };
    } catch (error) {
      store.clearLaunch(record.id);
      this.release(container);
      throw withControlHint(withSubpath(error, record));
    }
  }

  async launchExec(container: Container, config: ExecConfig): Promise<Monitor> {
    const { executor, cgroups, accounts, facts } = this.#parts;
    const { monitor } = container.runningRun();
    const { record } = container;
    const user = await accounts.userOfExec(container, config);
    const [rows, columns] = config.terminalSize ?? [0, 0];
    const program = compileExec(
      execProcessFor({ config: record.config, exec: config, settings: record, user, facts, hostname: record.hostname }),
      facts,
      {
        target: monitor,
        join: cgroups.joinSteps(container.id),
        monitor: [{ op: "stdio", terminal: config.terminal === true, stdin: config.openStdin === true, rows, columns }],
      },
    );
    return executor.launch(program, { subscribe: true });
  }

  /** Gives back what only this engine knows of: address and ports, and which volumes it has. */
  release(container: Container): void {
    this.#parts.network.release(container.id);
    this.#parts.volumes.release(container.id);
  }

  /** The script that makes the same container; its address and chosen ports are free ones, of which none is kept. */
  async explain(record: ContainerRecord): Promise<string> {
    const { network, rootfs, runRoot } = this.#parts;
    const base = baseOf(record);
    if (base === undefined) {
      throw new OnggiError(
        "unsupported",
        `image ${record.image.reference} has no layers, so there is nothing to show a script for`,
      );
    }
    const key = `explain-${record.id}`;
    const connection = isBridged(record) ? network.preview(record.id, portsOf(record)) : undefined;
    const directory = join(runRoot, "explain", record.id.slice(0, 12));
    const tree = rootfs.byHand(record, directory);
    const mounts =
      tree === undefined
        ? await rootfs.view(key, base, async (view) => scratchIn(directory, view).rootfs)
        : [tree.mount];
    const volumeFolders: string[] = [];
    const places = {
      // Of a volume that isn't there yet, the script makes a folder of its own.
      mounts: this.#parts.volumes.mountsOf(record).map((mount) => {
        if (mount.kind !== "volume" || this.#parts.volumes.has(mount.name)) return mount;
        const source = join(directory, "volumes", mount.name);
        volumeFolders.push(source);
        return { ...mount, source };
      }),
      rootfs: () => mounts,
      runDirectory: directory,
      logDirectory: join(directory, "log"),
      staging: join(directory, "root"),
    };
    const program = await this.#plan(record, connection, places);
    const files = containerFileContents(containerFilesIn(directory), record, addressOf(connection, network, ""));
    return explain(withScratch(program, { directory, rootfs: mounts, folders: volumeFolders }, files), {
      id: record.id,
      name: record.name,
      image: record.image.reference,
      tree,
    });
  }

  async #connect(record: ContainerRecord): Promise<Connection | undefined> {
    return isBridged(record) ? this.#parts.network.connect(record.id, portsOf(record)) : undefined;
  }

  async #plan(
    record: ContainerRecord,
    connection: Connection | undefined,
    {
      rootfs,
      ...places
    }: Pick<PlanInput, "mounts" | "runDirectory" | "logDirectory" | "staging"> & {
      /** Asked last: finding out the user may mount it, too. */
      rootfs(): PlanInput["rootfs"];
    },
  ): Promise<Program> {
    const { accounts, cgroups, facts } = this.#parts;
    const user = await accounts.userOf(record);
    const devices = devicesFor(record.config);
    return planContainer(
      {
        record,
        user,
        connection,
        networkOf: this.#networkOwner(record)?.monitor,
        devices,
        rootfs: rootfs(),
        ...places,
      },
      { cgroups, facts },
    );
  }

  /** Whose network namespace is shared, for `container:ID`. */
  #networkOwner(record: ContainerRecord): Run | undefined {
    const { network } = record.config;
    if (!network?.startsWith("container:")) return undefined;
    const owner = this.#parts.names.find(network.slice("container:".length));
    if (!owner.isRunning) {
      throw new OnggiError("conflict", `cannot join network of a non running container: ${owner.id}`, {
        hint: `Start it first: onggi start ${owner.record.name}`,
      });
    }
    return owner.run;
  }
}

/** What is to be published: what was mapped and, where all was asked for, each exposed port on a port of the engine's choice. */
function portsOf({ config, exposedPorts }: ContainerRecord): readonly PublishedPort[] {
  const mapped: readonly PortMapping[] = config.ports ?? [];
  if (config.publishAll !== true) return mapped;
  const isMapped = (port: PublishedPort) =>
    mapped.some(({ containerPort, protocol }) => containerPort === port.containerPort && protocol === port.protocol);
  const exposed = exposedPorts.map((text): PublishedPort => {
    const [number = "", protocol = "tcp"] = text.split("/");
    return {
      containerPort: Number(number),
      protocol: protocol === "udp" ? "udp" : "tcp",
      hostAddress: "",
      hostPort: 0,
    };
  });
  return [...mapped, ...exposed.filter((port) => !isMapped(port))];
}

/** A folder of a volume that can't be had, in Docker's words. */
function withSubpath(error: unknown, { mounts }: ContainerRecord): unknown {
  if (!(error instanceof StepFailure) || error.op?.op !== "openTree" || error.op.path.startsWith("/")) return error;
  const { path } = error.op;
  const mount = volumesAmong(mounts).find(({ subpath }) => subpath !== undefined && posix.normalize(subpath) === path);
  const why = error.errno === "ENOENT" ? "no such file or directory" : error.errno;
  return new OnggiError("invalid", `cannot access path ${path} in volume ${mount?.name ?? ""}: ${why}`, {
    hint: "volume-subpath names a folder that is there already, inside the volume.",
    cause: error,
  });
}

/** What the kernel means by refusing a limit, only the cgroup's own files tell. */
function withControlHint(error: unknown): unknown {
  if (!(error instanceof StepFailure) || error.op?.op !== "writeControl") return error;
  const hint = controlHint(error.op.path, error.errno);
  return hint === undefined ? error : new StepFailure(error, error.message, hint);
}
