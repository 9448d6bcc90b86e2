import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { OnggiError } from "../../base/error.ts";
import { parseSignal } from "../../base/signal.ts";
import type {
  ContainersFace,
  EngineFace,
  EventsFace,
  ImageCommit,
  ImagesFace,
  NetworkInfo,
  NetworksFace,
  RegistryLogin,
} from "../../engine/engine.ts";
import { Events } from "../../engine/events.ts";
import type { InitStorageRequest, InitStorageResult } from "../../engine/init-storage.ts";
import type {
  ContainerConfig,
  ContainerInfo,
  ContainerState,
  ContainerStats,
  ExecConfig,
  ExecInfo,
  HostInfo,
  ImageInfo,
  LogQuery,
  OutputChunk,
  ProcessStreams,
  Progress,
} from "../../engine/model.ts";
import { OutputHub } from "../../engine/output-hub.ts";
import type { Fork, ForkOptions, Rollback } from "../../engine/snapshot-model.ts";
import { FakeFiles } from "./fake-files.ts";
import { FakeSnapshots } from "./fake-snapshots.ts";
import { FakeStorage } from "./fake-storage.ts";
import { FakeVolumes } from "./fake-volumes.ts";

/** What a fake process sees and does; its result is the exit code. */
export type FakeProgram = (process: FakeProcess) => Promise<number> | number;

export interface FakeProcess {
  readonly argv: readonly string[];
  /** What clients wrote; ends when stdin is closed. */
  readonly stdin: AsyncIterable<Uint8Array>;
  /** Resolves when everybody who reads has room again. */
  out(text: string | Uint8Array): Promise<void>;
  err(text: string): Promise<void>;
  /** Resolves with the number of a signal. */
  readonly killed: Promise<number>;
}

/** The programs of every image, by name, in the words of a shell. */
export const fakePrograms: Readonly<Record<string, FakeProgram>> = {
  true: () => 0,
  false: () => 1,
  exit: ({ argv }) => Number(argv[1]),
  echo: async ({ argv, out }) => {
    await out(`${argv.slice(1).join(" ")}\n`);
    return 0;
  },
  both: async ({ out, err }) => {
    await out("to stdout\n");
    await err("to stderr\n");
    return 3;
  },
  cat: async ({ stdin, out }) => {
    for await (const chunk of stdin) await out(chunk);
    return 0;
  },
  sleep: async ({ killed }) => 128 + (await killed),
  /** `flood N`: N MiB to stdout. */
  flood: async ({ argv, out }) => {
    const block = Buffer.alloc(64 * 1024, "x");
    for (let left = Number(argv[1]) * 16; left > 0; left--) await out(block);
    return 0;
  },
};

/** An engine in memory, whose programs are functions: what the API is tested against. */
export class FakeEngine implements EngineFace {
  readonly events = new Events() as EventsFace & Pick<Events, "emit">;
  readonly images: FakeImages;
  readonly containers: FakeContainers;
  readonly networks: NetworksFace;
  readonly volumes = new FakeVolumes();
  readonly snapshots = new FakeSnapshots();
  readonly files = new FakeFiles();
  readonly storage = new FakeStorage();

  constructor(images: readonly ImageInfo[] = [anImage()]) {
    this.images = new FakeImages(images);
    this.containers = new FakeContainers(this.images, this.events);
    this.networks = new FakeNetworks();
  }

  /** Forks of nobody: named as asked. */
  async fork(_container: string | undefined, { names = [] }: ForkOptions = {}): Promise<readonly Fork[]> {
    return names.map((name) => ({ id: "f".repeat(64), name, address: "", movedPorts: [] }));
  }

  async rollback(_container: string, snapshot: string): Promise<Rollback> {
    return { before: this.snapshots.get(snapshot), restarted: true };
  }

  async initStorage({ driver, file, name = "onggi" }: InitStorageRequest): Promise<InitStorageResult> {
    return { driver, pool: name, file };
  }

  async info(): Promise<HostInfo> {
    return {
      version: "0.1.0",
      root: "/var/lib/onggi",
      hostname: "jar",
      kernel: "6.12.0",
      operatingSystem: "Debian GNU/Linux 12",
      architecture: "x86_64",
      cpus: 2,
      memoryBytes: 8 * 2 ** 30,
      cgroupVersion: "2",
      storageDriver: "overlay",
      storageDrivers: [
        { name: "overlay", usable: true, reason: "" },
        { name: "zfs", usable: false, reason: "the kernel has no zfs" },
      ],
      containers: { running: 1, paused: 0, stopped: 2 },
      images: 1,
      bridge: { name: "onggi0", subnet: "172.17.0.0/16" },
      warnings: [],
    };
  }
}

export function anImage(given: Partial<ImageInfo> = {}): ImageInfo {
  return {
    id: `sha256:${"1a".repeat(32)}`,
    references: ["host:latest"],
    repoDigests: [],
    createdAtMs: Date.UTC(2024, 0, 2, 3, 4, 5),
    sizeBytes: 12_345_678,
    architecture: "amd64",
    variant: "",
    os: "linux",
    author: "",
    config: { Cmd: ["true"], Env: ["PATH=/bin"] },
    layers: [`sha256:${"2b".repeat(32)}`],
    history: [
      {
        createdAtMs: Date.UTC(2024, 0, 1),
        createdBy: "COPY /",
        author: "",
        comment: "",
        emptyLayer: false,
        sizeBytes: 12_345_678,
      },
      {
        createdAtMs: Date.UTC(2024, 0, 2),
        createdBy: 'CMD ["true"]',
        author: "",
        comment: "",
        emptyLayer: true,
        sizeBytes: 0,
      },
    ],
    labels: {},
    containers: 0,
    ...given,
  };
}

class FakeImages implements ImagesFace {
  all: ImageInfo[];
  /** What `load` was given. */
  loaded = Buffer.alloc(0);
  /** What the last pull was asked for. */
  pulled: { reference: string; login?: unknown; platform?: unknown } | undefined;
  saved: readonly string[] = [];

  constructor(images: readonly ImageInfo[]) {
    this.all = [...images];
  }

  async get(key: string): Promise<ImageInfo> {
    const named = /[:@]/.test(key) ? key : `${key}:latest`;
    const found = this.all.find(
      ({ id, references }) => references.includes(named) || id === key || id.startsWith(`sha256:${key}`),
    );
    if (found === undefined) throw new OnggiError("not_found", `No such image: ${named}`, { hint: "Pull it first." });
    return found;
  }

  async list(): Promise<readonly ImageInfo[]> {
    return this.all;
  }

  async *pull(
    reference: string,
    options: { readonly platform?: string; readonly login?: object },
  ): AsyncGenerator<Progress> {
    this.pulled = { reference, ...options };
    if (reference.startsWith("absent")) {
      throw new OnggiError(
        "not_found",
        `pull access denied for ${reference.replace(/:.*/, "")}, repository does not exist`,
      );
    }
    yield { status: `Pulling from ${reference}`, id: "latest" };
    if (reference.startsWith("broken")) {
      throw new OnggiError("corrupt", "blob sha256:00 has the digest sha256:11", { hint: "Try again." });
    }
    yield { status: "Downloading", id: "2b2b2b2b2b2b", progressDetail: { current: 10, total: 20 } };
    this.all.push(anImage({ id: `sha256:${randomBytes(32).toString("hex")}`, references: [reference] }));
    yield { status: `Status: Downloaded newer image for ${reference}` };
  }

  async *push(reference: string): AsyncGenerator<Progress> {
    yield { status: `The push refers to repository [${reference}]` };
    yield { status: "", aux: { Tag: "latest", Digest: `sha256:${"3c".repeat(32)}`, Size: 100 } };
  }

  /** The file that the last load named. */
  loadedFile: string | undefined;

  async *load(archive: Parameters<ImagesFace["load"]>[0]): AsyncGenerator<Progress> {
    const chunks: Uint8Array[] = [];
    if ("path" in archive) {
      this.loadedFile = archive.path;
      yield { status: "", stream: "Loaded image: host:latest\n" };
      return;
    }
    for await (const chunk of archive) chunks.push(chunk);
    this.loaded = Buffer.concat(chunks);
    yield { status: "Loading layer", id: "2b2b2b2b2b2b", progressDetail: { current: 1, total: 1 } };
    yield { status: "", stream: "Loaded image: host:latest\n" };
  }

  async *save(keys: readonly string[]): AsyncGenerator<Uint8Array> {
    for (const key of keys) await this.get(key);
    this.saved = keys;
    yield Buffer.from("archive of ");
    yield Buffer.from(keys.join(" "));
  }

  /** What the last commit was asked for. */
  committed: ImageCommit | undefined;

  async commit(options: ImageCommit): Promise<string> {
    this.committed = options;
    if (options.parentImageId !== undefined) await this.get(options.parentImageId);
    const id = `sha256:${randomBytes(32).toString("hex")}`;
    this.all.push(anImage({ id, references: options.reference === undefined ? [] : [options.reference] }));
    return id;
  }

  async tag(key: string, reference: string): Promise<void> {
    const image = await this.get(key);
    const named = /:[^/]*$/.test(reference) ? reference : `${reference}:latest`;
    this.all = this.all.map((one) => (one === image ? { ...one, references: [...one.references, named] } : one));
  }

  async remove(key: string): Promise<readonly ({ readonly untagged: string } | { readonly deleted: string })[]> {
    const image = await this.get(key);
    this.all = this.all.filter((one) => one !== image);
    return [...image.references.map((untagged) => ({ untagged })), { deleted: image.id }];
  }

  async prune(options: {
    readonly all: boolean;
  }): Promise<{ readonly deleted: readonly string[]; readonly bytes: number }> {
    return options.all ? { deleted: [anImage().id], bytes: 100 } : { deleted: [], bytes: 0 };
  }

  async checkLogin(_server: string, { password }: RegistryLogin): Promise<void> {
    if (password !== "secret") throw new OnggiError("denied", "unauthorized: authentication required");
  }

  async *fromHost({
    reference,
    programs = ["sh"],
  }: {
    readonly reference: string;
    readonly programs?: readonly string[];
  }): AsyncGenerator<Progress> {
    for (const program of programs) yield { status: `Adding ${program}` };
    yield { status: "", stream: `Made ${reference}\n` };
  }
}

class FakeNetworks implements NetworksFace {
  list(): readonly NetworkInfo[] {
    return [
      {
        id: "b".repeat(64),
        name: "bridge",
        driver: "bridge",
        subnet: "172.17.0.0/16",
        gateway: "172.17.0.1",
        bridge: "onggi0",
        createdAtMs: Date.UTC(2024, 0, 1),
        containers: [
          {
            id: "c".repeat(64),
            name: "one",
            endpointId: "e".repeat(64),
            mac: "02:42:ac:11:00:02",
            address: "172.17.0.2/16",
          },
        ],
      },
      {
        id: "a".repeat(64),
        name: "host",
        driver: "host",
        subnet: "",
        gateway: "",
        bridge: "",
        createdAtMs: 0,
        containers: [],
      },
      {
        id: "0".repeat(64),
        name: "none",
        driver: "null",
        subnet: "",
        gateway: "",
        bridge: "",
        createdAtMs: 0,
        containers: [],
      },
    ];
  }

  get(key: string): NetworkInfo {
    const found = this.list().find(({ id, name }) => id === key || name === key);
    if (found === undefined) throw new OnggiError("not_found", `network ${key} not found`);
    return found;
  }
}

interface Running {
  readonly kill: (signal: number) => void;
  readonly closeStdin: () => void;
  readonly writeStdin: (data: Uint8Array) => void;
  readonly ended: Promise<number>;
}

interface FakeContainer {
  readonly id: string;
  name: string;
  readonly config: ContainerConfig;
  readonly image: ImageInfo;
  readonly createdAtMs: number;
  readonly hub: OutputHub;
  readonly log: OutputChunk[];
  state: ContainerState;
  running: Running | undefined;
  readonly started: PromiseWithResolvers<Running>;
  readonly exits: Set<(exitCode: number) => void>;
  readonly removals: Set<(exitCode: number) => void>;
}

class FakeContainers implements ContainersFace {
  readonly #images: FakeImages;
  readonly #events: Pick<Events, "emit">;
  readonly #all = new Map<string, FakeContainer>();
  readonly #execs = new Map<
    string,
    {
      readonly id: string;
      readonly container: FakeContainer;
      readonly config: ExecConfig;
      exitCode: number | undefined;
      hasStarted: boolean;
    }
  >();
  /** What `create` was given last. */
  created: ContainerConfig | undefined;
  /** What was resized, by container or exec. */
  readonly sizes = new Map<string, readonly [number, number]>();
  /** Overrides of the state that `get` and `list` tell. */
  readonly states = new Map<string, Partial<ContainerState>>();

  constructor(images: FakeImages, events: Pick<Events, "emit">) {
    this.#images = images;
    this.#events = events;
  }

  async create(config: ContainerConfig): Promise<{ readonly id: string; readonly warnings: readonly string[] }> {
    const image = await this.#images.get(config.image);
    const id = randomBytes(32).toString("hex");
    const name = config.name?.replace(/^\//, "") ?? `name_${this.#all.size}`;
    this.#refuseTaken(name);
    this.created = config;
    this.#all.set(id, {
      id,
      name,
      config,
      image,
      createdAtMs: Date.now() + this.#all.size,
      hub: new OutputHub(),
      log: [],
      state: {
        status: "created",
        pid: 0,
        exitCode: 0,
        error: "",
        oomKilled: false,
        startedAtMs: 0,
        finishedAtMs: 0,
        restartCount: 0,
      },
      running: undefined,
      started: Promise.withResolvers(),
      exits: new Set(),
      removals: new Set(),
    });
    this.#events.emit("container", "create", id, { name, image: config.image });
    return { id, warnings: [] };
  }

  get(key: string): ContainerInfo {
    return this.#info(this.#find(key));
  }

  list(): readonly ContainerInfo[] {
    return [...this.#all.values()]
      .map((container) => this.#info(container))
      .sort((a, b) => b.createdAtMs - a.createdAtMs);
  }

  async start(key: string): Promise<"started" | "already_running"> {
    const container = this.#find(key);
    if (container.running !== undefined) return "already_running";
    const argv = argvOf(container);
    const program = this.#program(argv, (code, error) => {
      container.hub.end();
      container.state = { ...container.state, exitCode: code, error };
      if (container.config.autoRemove) this.#drop(container);
    });
    container.state = { ...container.state, status: "running", pid: 4242, startedAtMs: Date.now() };
    const running = run(program, argv, (chunk) => {
      container.log.push(chunk);
      return container.hub.push(chunk);
    });
    container.running = running;
    container.started.resolve(running);
    this.#events.emit("container", "start", container.id, { name: container.name, image: container.config.image });
    void running.ended.then((exitCode) => {
      container.running = undefined;
      container.state = { ...container.state, status: "exited", pid: 0, exitCode, finishedAtMs: Date.now() };
      container.hub.end();
      for (const resolve of container.exits) resolve(exitCode);
      container.exits.clear();
      if (container.config.autoRemove) this.#drop(container);
    });
    return "started";
  }

  async stop(key: string, options: { readonly signal?: string } = {}): Promise<"stopped" | "not_running"> {
    const { running } = this.#find(key);
    if (running === undefined) return "not_running";
    running.kill(parseSignal(options.signal ?? "SIGTERM"));
    await running.ended;
    return "stopped";
  }

  async kill(key: string, signal = "SIGKILL"): Promise<void> {
    this.#running(key).kill(parseSignal(signal));
  }

  async restart(key: string): Promise<void> {
    await this.stop(key);
    await this.start(key);
  }

  async remove(key: string, options: { readonly force?: boolean } = {}): Promise<void> {
    const container = this.#find(key);
    if (container.running !== undefined && options.force !== true) {
      throw new OnggiError(
        "conflict",
        `cannot remove container "/${container.name}": container is running: stop the container before removing or force remove`,
      );
    }
    container.running?.kill(9);
    await container.running?.ended;
    this.#drop(container);
  }

  async prune(
    accept: (info: ContainerInfo) => boolean,
  ): Promise<{ readonly ids: readonly string[]; readonly bytes: number }> {
    const ids = this.list().filter((info) => info.state.status !== "running" && accept(info));
    for (const { id } of ids) await this.remove(id);
    return { ids: ids.map(({ id }) => id), bytes: 7 * ids.length };
  }

  async pause(key: string): Promise<void> {
    this.#running(key);
    const container = this.#find(key);
    container.state = { ...container.state, status: "paused" };
  }

  async unpause(key: string): Promise<void> {
    const container = this.#find(key);
    if (container.state.status !== "paused")
      throw new OnggiError("conflict", `container ${container.id} is not paused`);
    container.state = { ...container.state, status: "running" };
  }

  async rename(key: string, name: string): Promise<void> {
    const container = this.#find(key);
    this.#refuseTaken(name);
    container.name = name;
  }

  resize(key: string, rows: number, columns: number): void {
    this.#running(key);
    this.sizes.set(key, [rows, columns]);
  }

  async wait(
    key: string,
    condition: "not-running" | "next-exit" | "removed",
    options: { readonly signal?: AbortSignal } = {},
  ) {
    const container = this.#find(key);
    if (condition === "not-running" && container.running === undefined)
      return { exitCode: container.state.exitCode, error: "" };
    const waiters = condition === "removed" ? container.removals : container.exits;
    const exitCode = await new Promise<number>((resolve, reject) => {
      waiters.add(resolve);
      options.signal?.addEventListener("abort", () => {
        waiters.delete(resolve);
        reject(options.signal?.reason);
      });
    });
    return { exitCode, error: container.state.error };
  }

  /** How many wait for an exit or a removal of a container. */
  waiters(key: string): number {
    const { exits, removals } = this.#find(key);
    return exits.size + removals.size;
  }

  async attach(
    key: string,
    options: { readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean; readonly logs?: boolean },
  ): Promise<ProcessStreams> {
    const container = this.#find(key);
    const reader = container.hub.open(options);
    const kept = options.logs ? [...container.log] : [];
    const canWrite = options.stdin && container.config.openStdin === true;
    const output = (async function* () {
      yield* kept;
      yield* reader;
    })();
    return {
      output,
      writeStdin: async (data) => {
        const { writeStdin } = await container.started.promise;
        if (canWrite) writeStdin(data);
      },
      closeStdin: () => {
        if (canWrite) void container.started.promise.then(({ closeStdin }) => closeStdin());
      },
      detach: () => reader.close(),
    };
  }

  /** How many clients read a container's output. */
  readers(key: string): number {
    return this.#find(key).hub.readers;
  }

  async *logs(key: string, query: LogQuery): AsyncGenerator<OutputChunk> {
    const container = this.#find(key);
    yield* container.log.filter((chunk) => query[chunk.stream]).slice(query.tail === undefined ? 0 : -query.tail);
    if (!query.follow || container.running === undefined) return;
    const reader = container.hub.open(query);
    query.signal?.addEventListener("abort", () => reader.close());
    yield* reader;
  }

  async top(_key: string, psArguments: readonly string[]) {
    return { titles: ["PID", "CMD"], processes: [["4242", psArguments.join(" ")]] };
  }

  async stats(key: string): Promise<ContainerStats> {
    this.#running(key);
    const now = Date.now();
    return {
      readAtMs: now,
      cpuTotalNs: now * 1000,
      cpuUserNs: 1,
      cpuSystemNs: 2,
      throttledPeriods: 3,
      throttledNs: 4,
      periods: 5,
      hostCpuNs: now * 2_000_000,
      onlineCpus: 2,
      memoryBytes: 50 * 2 ** 20,
      memoryPeakBytes: 60 * 2 ** 20,
      memoryLimitBytes: 200 * 2 ** 20,
      memoryStat: { inactive_file: 2 ** 20 },
      pids: 3,
      pidsLimit: 100,
      networks: {
        eth0: {
          rxBytes: 1,
          rxPackets: 2,
          rxErrors: 0,
          rxDropped: 0,
          txBytes: 3,
          txPackets: 4,
          txErrors: 0,
          txDropped: 0,
        },
      },
      blockReadBytes: 10,
      blockWriteBytes: 20,
    };
  }

  async size(key: string) {
    this.#find(key);
    return { writableBytes: 10, writableInodes: 2, rootfsBytes: 1000 };
  }

  async explain(what: string | ContainerConfig): Promise<string> {
    return `#!/bin/bash\n# ${typeof what === "string" ? this.get(what).name : what.image}\n`;
  }

  async createExec(key: string, config: ExecConfig): Promise<string> {
    this.#running(key);
    const id = randomBytes(32).toString("hex");
    this.#execs.set(id, { id, container: this.#find(key), config, exitCode: undefined, hasStarted: false });
    return id;
  }

  getExec(key: string): ExecInfo {
    const { id, container, config, exitCode, hasStarted } = this.#exec(key);
    return {
      id,
      containerId: container.id,
      config,
      running: hasStarted && exitCode === undefined,
      exitCode,
      pid: 4243,
    };
  }

  async startExec(
    id: string,
    options: { readonly terminalSize?: readonly [number, number] } = {},
  ): Promise<ProcessStreams> {
    const exec = this.#exec(id);
    if (exec.hasStarted) throw new OnggiError("conflict", `exec ${id} has already run`);
    exec.hasStarted = true;
    if (options.terminalSize !== undefined) this.sizes.set(id, options.terminalSize);
    const program = this.#program(exec.config.command, (code) => {
      exec.exitCode = code;
    });
    const hub = new OutputHub();
    const reader = hub.open({ stdout: true, stderr: true });
    const { ended, writeStdin, closeStdin } = run(program, exec.config.command, (chunk) => hub.push(chunk));
    void ended.then((exitCode) => {
      exec.exitCode = exitCode;
      hub.end();
    });
    return { output: reader, writeStdin: async (data) => writeStdin(data), closeStdin, detach: () => reader.close() };
  }

  async waitExec(id: string): Promise<number> {
    while (this.#exec(id).exitCode === undefined) await sleep(5);
    return this.#exec(id).exitCode ?? 0;
  }

  resizeExec(id: string, rows: number, columns: number): void {
    this.sizes.set(this.#exec(id).id, [rows, columns]);
  }

  #program(argv: readonly string[], onFailure: (exitCode: number, error: string) => void): FakeProgram {
    const [name = ""] = argv;
    const program = fakePrograms[name];
    if (program !== undefined) return program;
    const isThere = name.startsWith("/etc");
    const message = isThere ? `exec "${name}": EACCES` : `exec "${name}": ENOENT`;
    onFailure(isThere ? 126 : 127, message);
    throw new OnggiError(isThere ? "command_not_executable" : "command_not_found", message, {
      hint: "Look at the spelling.",
    });
  }

  #find(key: string): FakeContainer {
    const plain = key.replace(/^\//, "");
    const found = [...this.#all.values()].filter(({ id, name }) => name === plain || id.startsWith(plain));
    const [container] = found;
    if (container === undefined)
      throw new OnggiError("not_found", `No such container: ${key}`, { hint: "onggi ps -a lists all there are." });
    return container;
  }

  #running(key: string): Running {
    const { id, running } = this.#find(key);
    if (running === undefined) throw new OnggiError("conflict", `container ${id} is not running`);
    return running;
  }

  #exec(id: string) {
    const exec = this.#execs.get(id);
    if (exec === undefined) throw new OnggiError("not_found", `No such exec instance: ${id}`);
    return exec;
  }

  #refuseTaken(name: string): void {
    const holder = [...this.#all.values()].find((one) => one.name === name);
    if (holder === undefined) return;
    throw new OnggiError(
      "conflict",
      `Conflict. The container name "/${name}" is already in use by container "${holder.id}". You have to remove (or rename) that container to be able to reuse that name.`,
    );
  }

  #drop(container: FakeContainer): void {
    this.#all.delete(container.id);
    for (const resolve of [...container.exits, ...container.removals]) resolve(container.state.exitCode);
  }

  #info(container: FakeContainer): ContainerInfo {
    const { id, name, config, image, createdAtMs } = container;
    const state = { ...container.state, ...this.states.get(id) };
    const isUp = state.status === "running" || state.status === "paused";
    return {
      id,
      name,
      config,
      argv: argvOf(container),
      env: [...(image.config.Env ?? []), ...(config.env ?? [])],
      workingDirectory: config.workingDirectory ?? "/",
      user: config.user ?? "",
      labels: config.labels ?? {},
      mounts: config.mounts ?? [],
      volumes: config.volumes ?? [],
      exposedPorts: config.exposedPorts ?? [],
      stopSignal: config.stopSignal ?? "SIGTERM",
      imageId: image.id,
      imageReference: config.image,
      createdAtMs,
      state,
      address: isUp
        ? {
            network: "bridge",
            networkId: "b".repeat(64),
            endpointId: "e".repeat(64),
            address: "172.17.0.2",
            prefixLength: 16,
            gateway: "172.17.0.1",
            mac: "02:42:ac:11:00:02",
          }
        : undefined,
      ports: isUp ? (config.ports ?? []).map((port) => ({ ...port, hostPort: port.hostPort || 32768 })) : [],
      hostname: config.hostname ?? id.slice(0, 12),
      storageDriver: "overlay",
      storageData: { UpperDir: "/upper" },
      logPath: `/var/lib/onggi/containers/${id}/log`,
      paths: { hostname: "/run/hostname", hosts: "/run/hosts", resolvConf: "/run/resolv.conf" },
      execIds: [],
    };
  }
}

function argvOf({ config, image }: FakeContainer): readonly string[] {
  return [...(config.entrypoint ?? image.config.Entrypoint ?? []), ...(config.command ?? image.config.Cmd ?? [])];
}

function run(
  program: FakeProgram,
  argv: readonly string[],
  push: (chunk: OutputChunk) => Promise<unknown> | undefined,
): Running {
  const killed = Promise.withResolvers<number>();
  const stdin = new ByteQueue();
  const write = async (stream: "stdout" | "stderr", data: string | Uint8Array) => {
    await push({ stream, data: typeof data === "string" ? Buffer.from(data) : data });
  };
  const result = Promise.resolve().then(() =>
    program({
      argv,
      stdin,
      killed: killed.promise,
      out: (data) => write("stdout", data),
      err: (data) => write("stderr", data),
    }),
  );
  const ended = Promise.race([result, killed.promise.then((signal) => 128 + signal)]);
  return { kill: killed.resolve, closeStdin: () => stdin.end(), writeStdin: (data) => stdin.push(data), ended };
}

class ByteQueue implements AsyncIterable<Uint8Array> {
  readonly #chunks: Uint8Array[] = [];
  #isEnded = false;
  #wake = () => {};

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#wake();
  }

  end(): void {
    this.#isEnded = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) yield chunk;
      else if (this.#isEnded) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}
