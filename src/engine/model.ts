/** What the engine is asked for and what it tells: plain data, in Onggi's own words. The API translates Docker's to it. */

/** All that a container is made from; what is left out has Docker's default. Kept in its record. */
export interface ContainerConfig {
  /** Reference or image id, as the user typed it. */
  readonly image: string;
  readonly name?: string;
  /** Replaces the image's; `[]` clears it. */
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  /** `KEY=value`, later ones win; `KEY` alone removes one of the image's. */
  readonly env?: readonly string[];
  readonly workingDirectory?: string;
  /** `user`, `uid`, `user:group`, `uid:gid`. */
  readonly user?: string;
  readonly hostname?: string;
  readonly domainname?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly terminal?: boolean;
  /** Rows and columns of the terminal at the start. */
  readonly terminalSize?: readonly [rows: number, columns: number];
  readonly openStdin?: boolean;
  /** Stdin is closed when the first attached client goes. */
  readonly stdinOnce?: boolean;
  /** What the creator will attach to: told to clients, decides nothing. */
  readonly attach?: { readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean };
  readonly stopSignal?: string;
  readonly stopTimeoutSeconds?: number;
  readonly autoRemove?: boolean;
  readonly restart?: RestartPolicy;
  readonly network?: NetworkMode;
  readonly ports?: readonly PortMapping[];
  /** `80/tcp`: told to clients, published by publishAll. */
  readonly exposedPorts?: readonly string[];
  readonly publishAll?: boolean;
  readonly dns?: readonly string[];
  readonly dnsSearch?: readonly string[];
  readonly dnsOptions?: readonly string[];
  /** `name:address`. */
  readonly extraHosts?: readonly string[];
  readonly mounts?: readonly ContainerMount[];
  /** Paths that get an anonymous volume each, besides those that the image names. */
  readonly volumes?: readonly string[];
  /** Containers whose binds and volumes this one gets, too: `CONTAINER[:ro|rw]`. */
  readonly volumesFrom?: readonly string[];
  readonly readonlyRootfs?: boolean;
  /** What may be written to its own file system at most. */
  readonly storage?: StorageLimit;
  readonly devices?: readonly DeviceMapping[];
  readonly privileged?: boolean;
  readonly capAdd?: readonly string[];
  readonly capDrop?: readonly string[];
  /** `no-new-privileges`, `seccomp=unconfined`, `seccomp=<JSON>` (the client reads the file), `apparmor=…`, `label=…`. */
  readonly securityOptions?: readonly string[];
  readonly init?: boolean;
  readonly resources?: Resources;
  readonly ulimits?: readonly Ulimit[];
  readonly sysctls?: Readonly<Record<string, string>>;
  readonly shmBytes?: number;
  readonly oomScoreAdj?: number;
  readonly groupAdd?: readonly string[];
  /** `host`, `private` or `container:ID`; private unless said. */
  readonly pidMode?: string;
  readonly ipcMode?: string;
  readonly utsMode?: string;
  readonly cgroupnsMode?: string;
  readonly log?: { readonly driver: string; readonly options: Readonly<Record<string, string>> };
  /** Kept for clients that send it and read it back unchanged (Docker's HostConfig fields that Onggi has no use for yet). */
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Bytes and inodes that may be taken at most. */
export interface StorageLimit {
  readonly bytes?: number;
  readonly inodes?: number;
}

export interface Amount {
  readonly bytes: number;
  readonly inodes: number;
}

/** What the writable layer takes, and bytes of the whole tree. */
export interface ContainerSize {
  readonly writableBytes: number;
  readonly writableInodes: number;
  readonly rootfsBytes: number;
}

/** What a container's own tree takes; where it is limited, how much is left. */
export interface ContainerStorage extends Amount {
  readonly limit?: StorageLimit;
  readonly free?: Amount;
  /** Which limit is used up. */
  readonly reached?: LimitKind;
}

export type LimitKind = "disk" | "inode";

export interface RestartPolicy {
  readonly name: "no" | "always" | "unless-stopped" | "on-failure";
  readonly maximumRetryCount: number;
}

export type NetworkMode = "bridge" | "none" | "host" | `container:${string}`;

export interface PortMapping {
  readonly containerPort: number;
  readonly protocol: "tcp" | "udp";
  /** "" is every address. */
  readonly hostAddress: string;
  /** 0 lets the engine choose from the ephemeral range. */
  readonly hostPort: number;
}

export type ContainerMount =
  | {
      readonly kind: "bind";
      readonly source: string;
      readonly target: string;
      readonly readonly: boolean;
      readonly propagation?: "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave";
      /** `-v` makes a missing source a directory, `--mount` refuses it. */
      readonly createSource: boolean;
      readonly recursive: boolean;
    }
  | { readonly kind: "tmpfs"; readonly target: string; readonly options: readonly string[] }
  | VolumeMount;

/** A volume in a container; one that isn't there is made. */
export interface VolumeMount {
  readonly kind: "volume";
  /** "" in a request asks for an anonymous one, whose name the engine invents. */
  readonly name: string;
  readonly target: string;
  readonly readonly: boolean;
  /** False: an empty volume isn't filled with what the image has at `target`. */
  readonly copy: boolean;
  /** A folder inside the volume, which must be there; links don't lead out of it. */
  readonly subpath?: string;
  /** Of a volume that is made for this. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Of a volume that is made for this: see {@link VolumeRequest}. */
  readonly options?: Readonly<Record<string, string>>;
  /** As `--mount` asks for it, in inspect under `Mounts` rather than `Binds`. */
  readonly strict?: boolean;
  /** Set by the engine: it goes with the container that is removed with `-v` or has `--rm`. */
  readonly anonymous?: boolean;
  /** Set by the engine: where its data lies on the host. */
  readonly source?: string;
}

/** What a volume is made from. */
export interface VolumeRequest {
  /** Without one the volume is anonymous. */
  readonly name?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** `size`; or `type`, `device` and `o`, as mount(8) takes them. */
  readonly options?: Readonly<Record<string, string>>;
}

export interface VolumeInfo {
  readonly name: string;
  /** The directory of the host that holds its data. */
  readonly mountpoint: string;
  readonly createdAtMs: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  readonly anonymous: boolean;
  /** Ids of the containers that have it, running or not. */
  readonly users: readonly string[];
}

/** A frozen copy of a volume. */
export interface VolumeSnapshotInfo {
  readonly volume: string;
  readonly name: string;
  readonly createdAtMs: number;
}

export interface DeviceMapping {
  readonly hostPath: string;
  readonly containerPath: string;
  /** Letters of `rwm`. */
  readonly permissions: string;
}

export interface Resources {
  readonly cpuShares?: number;
  /** Billionths of a core: `--cpus 0.2` is 200,000,000. */
  readonly nanoCpus?: number;
  readonly cpuQuotaUs?: number;
  readonly cpuPeriodUs?: number;
  readonly cpusetCpus?: string;
  readonly cpusetMems?: string;
  readonly memoryBytes?: number;
  /** Memory and swap together; -1 unlimited. */
  readonly memorySwapBytes?: number;
  readonly memoryReservationBytes?: number;
  readonly oomKillDisable?: boolean;
  readonly pidsLimit?: number;
  readonly blkioWeight?: number;
}

export interface Ulimit {
  readonly name: string;
  readonly soft: number;
  readonly hard: number;
}

export type ContainerStatus = "created" | "running" | "paused" | "restarting" | "removing" | "exited" | "dead";

export interface ContainerState {
  readonly status: ContainerStatus;
  /** 0 when not running. */
  readonly pid: number;
  readonly exitCode: number;
  /** Why it ended or couldn't start, in a sentence; "" when there is nothing to say. */
  readonly error: string;
  readonly oomKilled: boolean;
  /** Milliseconds since the epoch; 0 for never. */
  readonly startedAtMs: number;
  readonly finishedAtMs: number;
  readonly restartCount: number;
}

/** A container as the engine tells of it: a snapshot of its state, never live. */
export interface ContainerInfo {
  readonly id: string;
  readonly name: string;
  readonly config: ContainerConfig;
  /** What will run: entrypoint and command of container and image joined. */
  readonly argv: readonly string[];
  /** Image and container merged. */
  readonly env: readonly string[];
  readonly workingDirectory: string;
  readonly user: string;
  readonly labels: Readonly<Record<string, string>>;
  /** All that is mounted: asked for, taken from others, and the image's volumes. */
  readonly mounts: readonly ContainerMount[];
  /** Paths that got an anonymous volume, or would have, had nothing else been mounted there. */
  readonly volumes: readonly string[];
  readonly exposedPorts: readonly string[];
  readonly stopSignal: string;
  readonly imageId: string;
  readonly imageReference: string;
  readonly createdAtMs: number;
  readonly state: ContainerState;
  /** Absent for none and host, or while it doesn't run. */
  readonly address: ContainerAddress | undefined;
  /** Published now, with the host ports that were chosen. */
  readonly ports: readonly PortMapping[];
  readonly hostname: string;
  readonly storageDriver: string;
  /** Of a container with a limit: how near it is, as of the last look. */
  readonly storage?: ContainerStorage;
  /** What `GraphDriver.Data` shows. */
  readonly storageData: Readonly<Record<string, string>>;
  readonly logPath: string;
  readonly paths: { readonly hostname: string; readonly hosts: string; readonly resolvConf: string };
  readonly execIds: readonly string[];
}

export interface ContainerAddress {
  readonly network: string;
  readonly networkId: string;
  readonly endpointId: string;
  readonly address: string;
  readonly prefixLength: number;
  readonly gateway: string;
  readonly mac: string;
}

export interface ExecConfig {
  readonly command: readonly string[];
  readonly terminal?: boolean;
  readonly terminalSize?: readonly [rows: number, columns: number];
  readonly openStdin?: boolean;
  readonly env?: readonly string[];
  readonly user?: string;
  readonly workingDirectory?: string;
  readonly privileged?: boolean;
  /** What the client will attach to: told back to clients. */
  readonly attach?: { readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean };
  readonly detachKeys?: string;
}

export interface ExecInfo {
  readonly id: string;
  readonly containerId: string;
  readonly config: ExecConfig;
  readonly running: boolean;
  /** Undefined until it ended. */
  readonly exitCode: number | undefined;
  readonly pid: number;
}

/** The three streams of a running process, as a door hands them out. */
export interface ProcessStreams {
  /** Output as it comes; ends when all of it was delivered. Not reading holds the container's output back. */
  readonly output: AsyncIterable<OutputChunk>;
  /** Resolves when the process took it. */
  writeStdin(data: Uint8Array): Promise<void>;
  closeStdin(): void;
  /** Lets go; the process goes on. */
  detach(): void;
}

export interface OutputChunk {
  /** With a terminal everything is stdout. */
  readonly stream: "stdout" | "stderr";
  readonly data: Uint8Array;
}

export interface LogQuery {
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly follow: boolean;
  /** The last n lines; undefined for all. */
  readonly tail?: number;
  readonly sinceMs?: number;
  readonly untilMs?: number;
  readonly timestamps: boolean;
  readonly signal?: AbortSignal;
}

export interface ImageInfo {
  /** `sha256:…` of the config. */
  readonly id: string;
  readonly references: readonly string[];
  readonly repoDigests: readonly string[];
  readonly createdAtMs: number;
  readonly sizeBytes: number;
  readonly architecture: string;
  readonly variant: string;
  readonly os: string;
  readonly author: string;
  readonly config: ImageConfig;
  /** diffIDs, lowest first. */
  readonly layers: readonly string[];
  readonly history: readonly ImageHistoryEntry[];
  readonly labels: Readonly<Record<string, string>>;
  readonly containers: number;
}

/** OCI image-spec `config.config`, in its own field names. */
export interface ImageConfig {
  readonly User?: string;
  readonly ExposedPorts?: Readonly<Record<string, object>>;
  readonly Env?: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Volumes?: Readonly<Record<string, object>>;
  readonly WorkingDir?: string;
  readonly Labels?: Readonly<Record<string, string>>;
  readonly StopSignal?: string;
}

export interface ImageHistoryEntry {
  readonly createdAtMs: number;
  readonly createdBy: string;
  readonly author: string;
  readonly comment: string;
  readonly emptyLayer: boolean;
  readonly sizeBytes: number;
}

/** One line of progress of pull, push or load: Docker's jsonmessage, in its own field names. */
export interface Progress {
  readonly id?: string;
  readonly status: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
  readonly aux?: object;
  /** Docker's `stream` text, for load. */
  readonly stream?: string;
}

/** Something that happened, with Docker's type and action words. */
export interface EngineEvent {
  readonly type: "container" | "image" | "network" | "daemon" | "volume";
  readonly action: string;
  readonly id: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly timeNs: bigint;
}

/** Use of one container at one moment: bytes, nanoseconds, counts since its start. */
export interface ContainerStats {
  readonly readAtMs: number;
  readonly cpuTotalNs: number;
  readonly cpuUserNs: number;
  readonly cpuSystemNs: number;
  readonly throttledPeriods: number;
  readonly throttledNs: number;
  readonly periods: number;
  /** Of the whole host, for percentages. */
  readonly hostCpuNs: number;
  readonly onlineCpus: number;
  readonly memoryBytes: number;
  readonly memoryPeakBytes: number;
  readonly memoryLimitBytes: number;
  /** memory.stat as it is. */
  readonly memoryStat: Readonly<Record<string, number>>;
  readonly pids: number;
  readonly pidsLimit: number;
  readonly networks: Readonly<Record<string, InterfaceStats>>;
  readonly blockReadBytes: number;
  readonly blockWriteBytes: number;
  /** Of its own tree, at most some seconds old. */
  readonly storage?: ContainerStorage;
}

export interface InterfaceStats {
  readonly rxBytes: number;
  readonly rxPackets: number;
  readonly rxErrors: number;
  readonly rxDropped: number;
  readonly txBytes: number;
  readonly txPackets: number;
  readonly txErrors: number;
  readonly txDropped: number;
}

export interface HostInfo {
  readonly version: string;
  readonly root: string;
  readonly hostname: string;
  readonly kernel: string;
  readonly operatingSystem: string;
  readonly architecture: string;
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly cgroupVersion: "1" | "2" | "hybrid";
  readonly storageDriver: string;
  readonly storageDrivers: readonly { readonly name: string; readonly usable: boolean; readonly reason: string }[];
  readonly containers: { readonly running: number; readonly paused: number; readonly stopped: number };
  readonly images: number;
  readonly bridge: { readonly name: string; readonly subnet: string } | undefined;
  readonly warnings: readonly string[];
}
