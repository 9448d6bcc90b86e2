/** The Docker Engine API as JSON, in its own field names, and the few paths that are Onggi's own: what a client needs to know, and nothing else. */

/** The newest version of the API that is spoken; clients of older versions are served as well. */
export const apiVersion = "1.51";
export const minApiVersion = "1.24";

/** The answer to whatever failed. */
export interface ErrorBody {
  /** Docker's sentence; where there is a hint it follows on a line of its own, for clients that show nothing else. */
  readonly message: string;
  /** Onggi's word for it: `not_found`, `conflict`, … */
  readonly code?: string;
  /** The sentence without the hint, and the hint: for clients that show them apart. */
  readonly sentence?: string;
  readonly hint?: string;
}

/** JSON's form of a set: `{"80/tcp": {}}`. */
export type Keys = Readonly<Record<string, object>>;
export type Labels = Readonly<Record<string, string>>;

// ---- containers: requests

/** Body of `POST /containers/create`, and of `POST /onggi/v1/explain`. `null` counts as left out everywhere. */
export interface CreateRequest extends ContainerConfigBody {
  readonly HostConfig?: HostConfig | null;
  readonly NetworkingConfig?: {
    readonly EndpointsConfig?: Readonly<Record<string, EndpointSettings | null>> | null;
  } | null;
}

export interface ContainerConfigBody {
  readonly Hostname?: string;
  readonly Domainname?: string;
  readonly User?: string;
  readonly AttachStdin?: boolean;
  readonly AttachStdout?: boolean;
  readonly AttachStderr?: boolean;
  readonly ExposedPorts?: Keys | null;
  readonly Tty?: boolean;
  readonly OpenStdin?: boolean;
  readonly StdinOnce?: boolean;
  readonly Env?: readonly string[] | null;
  readonly Cmd?: readonly string[] | string | null;
  readonly Healthcheck?: { readonly Test?: readonly string[] | null } | null;
  readonly ArgsEscaped?: boolean;
  readonly Image?: string;
  readonly Volumes?: Keys | null;
  readonly WorkingDir?: string;
  readonly Entrypoint?: readonly string[] | string | null;
  readonly NetworkDisabled?: boolean;
  readonly MacAddress?: string;
  readonly OnBuild?: readonly string[] | null;
  readonly Labels?: Labels | null;
  readonly StopSignal?: string;
  readonly StopTimeout?: number | null;
  readonly Shell?: readonly string[] | null;
}

export interface HostConfig {
  readonly Binds?: readonly string[] | null;
  readonly ContainerIDFile?: string;
  readonly LogConfig?: { readonly Type?: string; readonly Config?: Labels | null } | null;
  readonly NetworkMode?: string;
  readonly PortBindings?: PortMap | null;
  readonly RestartPolicy?: { readonly Name?: string; readonly MaximumRetryCount?: number } | null;
  readonly AutoRemove?: boolean;
  readonly VolumeDriver?: string;
  readonly VolumesFrom?: readonly string[] | null;
  readonly ConsoleSize?: readonly number[] | null;
  readonly Annotations?: Labels | null;
  readonly CapAdd?: readonly string[] | null;
  readonly CapDrop?: readonly string[] | null;
  readonly CgroupnsMode?: string;
  readonly Dns?: readonly string[] | null;
  readonly DnsOptions?: readonly string[] | null;
  readonly DnsSearch?: readonly string[] | null;
  readonly ExtraHosts?: readonly string[] | null;
  readonly GroupAdd?: readonly string[] | null;
  readonly IpcMode?: string;
  readonly Cgroup?: string;
  readonly Links?: readonly string[] | null;
  readonly OomScoreAdj?: number;
  readonly PidMode?: string;
  readonly Privileged?: boolean;
  readonly PublishAllPorts?: boolean;
  readonly ReadonlyRootfs?: boolean;
  readonly SecurityOpt?: readonly string[] | null;
  readonly StorageOpt?: Labels | null;
  readonly Tmpfs?: Labels | null;
  readonly UTSMode?: string;
  readonly UsernsMode?: string;
  readonly ShmSize?: number;
  readonly Sysctls?: Labels | null;
  readonly Runtime?: string;
  readonly Isolation?: string;
  readonly CpuShares?: number;
  readonly Memory?: number;
  readonly NanoCpus?: number;
  readonly CgroupParent?: string;
  readonly BlkioWeight?: number;
  readonly BlkioWeightDevice?: readonly object[] | null;
  readonly BlkioDeviceReadBps?: readonly object[] | null;
  readonly BlkioDeviceWriteBps?: readonly object[] | null;
  readonly BlkioDeviceReadIOps?: readonly object[] | null;
  readonly BlkioDeviceWriteIOps?: readonly object[] | null;
  readonly CpuPeriod?: number;
  readonly CpuQuota?: number;
  readonly CpuRealtimePeriod?: number;
  readonly CpuRealtimeRuntime?: number;
  readonly CpusetCpus?: string;
  readonly CpusetMems?: string;
  readonly Devices?: readonly DeviceBody[] | null;
  readonly DeviceCgroupRules?: readonly string[] | null;
  readonly DeviceRequests?: readonly object[] | null;
  readonly KernelMemory?: number;
  readonly KernelMemoryTCP?: number;
  readonly MemoryReservation?: number;
  readonly MemorySwap?: number;
  readonly MemorySwappiness?: number | null;
  readonly OomKillDisable?: boolean | null;
  readonly PidsLimit?: number | null;
  readonly Ulimits?: readonly { readonly Name: string; readonly Soft: number; readonly Hard: number }[] | null;
  readonly CpuCount?: number;
  readonly CpuPercent?: number;
  readonly IOMaximumIOps?: number;
  readonly IOMaximumBandwidth?: number;
  readonly Mounts?: readonly MountRequest[] | null;
  readonly MaskedPaths?: readonly string[] | null;
  readonly ReadonlyPaths?: readonly string[] | null;
  readonly Init?: boolean | null;
}

/** `{"80/tcp": [{HostIp, HostPort}]}`; `null` for one that is exposed but not published. */
export type PortMap = Readonly<Record<string, readonly PortBinding[] | null>>;

export interface PortBinding {
  readonly HostIp?: string;
  /** A number, a range `8000-8010`, or "" to let the engine choose. */
  readonly HostPort?: string;
}

export interface DeviceBody {
  readonly PathOnHost: string;
  readonly PathInContainer?: string;
  readonly CgroupPermissions?: string;
}

export interface MountRequest {
  readonly Type?: string;
  readonly Source?: string;
  readonly Target: string;
  readonly ReadOnly?: boolean;
  readonly Consistency?: string;
  readonly BindOptions?: {
    readonly Propagation?: string;
    readonly NonRecursive?: boolean;
    readonly CreateMountpoint?: boolean;
    readonly ReadOnlyNonRecursive?: boolean;
    readonly ReadOnlyForceRecursive?: boolean;
  } | null;
  readonly VolumeOptions?: {
    readonly NoCopy?: boolean;
    readonly Labels?: Labels | null;
    readonly DriverConfig?: { readonly Name?: string; readonly Options?: Labels | null } | null;
    readonly Subpath?: string;
  } | null;
  readonly TmpfsOptions?: {
    readonly SizeBytes?: number;
    /** As a number: 0o1777 is 1023. */
    readonly Mode?: number;
    readonly Options?: readonly (readonly string[])[] | null;
  } | null;
}

// ---- containers: answers

export interface CreateResponse {
  readonly Id: string;
  readonly Warnings: readonly string[];
}

export interface WaitResponse {
  readonly StatusCode: number;
  readonly Error?: { readonly Message: string };
}

/** One of `GET /containers/json`. */
export interface ContainerSummary {
  readonly Id: string;
  readonly Names: readonly string[];
  readonly Image: string;
  readonly ImageID: string;
  readonly Command: string;
  /** Seconds since the epoch. */
  readonly Created: number;
  readonly Ports: readonly PortSummary[];
  readonly SizeRw?: number;
  readonly SizeRootFs?: number;
  readonly Labels: Labels;
  readonly State: string;
  readonly Status: string;
  readonly HostConfig: { readonly NetworkMode: string };
  readonly NetworkSettings: { readonly Networks: Readonly<Record<string, EndpointSettings>> };
  readonly Mounts: readonly MountPoint[];
}

export interface PortSummary {
  readonly IP?: string;
  readonly PrivatePort: number;
  readonly PublicPort?: number;
  readonly Type: string;
}

export interface MountPoint {
  readonly Type: string;
  readonly Name?: string;
  readonly Source: string;
  readonly Destination: string;
  readonly Driver?: string;
  readonly Mode: string;
  readonly RW: boolean;
  readonly Propagation: string;
}

/** `GET /containers/:id/json` */
export interface ContainerInspect {
  readonly Id: string;
  readonly Created: string;
  readonly Path: string;
  readonly Args: readonly string[];
  readonly State: ContainerStateBody;
  readonly Image: string;
  readonly ResolvConfPath: string;
  readonly HostnamePath: string;
  readonly HostsPath: string;
  readonly LogPath: string;
  readonly Name: string;
  readonly RestartCount: number;
  readonly Driver: string;
  readonly Platform: string;
  readonly MountLabel: string;
  readonly ProcessLabel: string;
  readonly AppArmorProfile: string;
  readonly ExecIDs: readonly string[] | null;
  readonly HostConfig: HostConfig;
  readonly GraphDriver: GraphDriver;
  /** What Docker's `inspect` has no field for: of a container with a storage limit, or with `size`. */
  readonly Onggi?: { readonly Storage: ContainerStorageBody };
  readonly SizeRw?: number;
  readonly SizeRootFs?: number;
  readonly Mounts: readonly MountPoint[];
  readonly Config: ContainerConfigBody;
  readonly NetworkSettings: NetworkSettings;
}

export interface ContainerStateBody {
  readonly Status: string;
  readonly Running: boolean;
  readonly Paused: boolean;
  readonly Restarting: boolean;
  readonly OOMKilled: boolean;
  readonly Dead: boolean;
  readonly Pid: number;
  readonly ExitCode: number;
  /** A sentence: why it couldn't start, or what killed it. */
  readonly Error: string;
  readonly StartedAt: string;
  readonly FinishedAt: string;
}

export interface GraphDriver {
  readonly Name: string;
  readonly Data: Labels | null;
}

export interface NetworkSettings {
  readonly Bridge: string;
  readonly SandboxID: string;
  readonly SandboxKey: string;
  readonly Ports: PortMap;
  readonly HairpinMode: boolean;
  readonly LinkLocalIPv6Address: string;
  readonly LinkLocalIPv6PrefixLen: number;
  readonly SecondaryIPAddresses: null;
  readonly SecondaryIPv6Addresses: null;
  readonly EndpointID: string;
  readonly Gateway: string;
  readonly GlobalIPv6Address: string;
  readonly GlobalIPv6PrefixLen: number;
  readonly IPAddress: string;
  readonly IPPrefixLen: number;
  readonly IPv6Gateway: string;
  readonly MacAddress: string;
  readonly Networks: Readonly<Record<string, EndpointSettings>>;
}

export interface EndpointSettings {
  readonly IPAMConfig?: { readonly IPv4Address?: string; readonly IPv6Address?: string } | null;
  readonly Links?: readonly string[] | null;
  readonly Aliases?: readonly string[] | null;
  readonly MacAddress?: string;
  readonly DriverOpts?: Labels | null;
  readonly GwPriority?: number;
  readonly NetworkID?: string;
  readonly EndpointID?: string;
  readonly Gateway?: string;
  readonly IPAddress?: string;
  readonly IPPrefixLen?: number;
  readonly IPv6Gateway?: string;
  readonly GlobalIPv6Address?: string;
  readonly GlobalIPv6PrefixLen?: number;
  readonly DNSNames?: readonly string[] | null;
}

export interface TopResponse {
  readonly Titles: readonly string[];
  readonly Processes: readonly (readonly string[])[];
}

export interface ContainersPruneResponse {
  readonly ContainersDeleted: readonly string[] | null;
  readonly SpaceReclaimed: number;
}

/** One line of `GET /containers/:id/stats`. Times in nanoseconds, sizes in bytes. */
export interface StatsBody {
  readonly id: string;
  /** With a slash before it, as everywhere in Docker's answers. */
  readonly name: string;
  readonly read: string;
  readonly preread: string;
  readonly num_procs: 0;
  readonly pids_stats: { readonly current?: number; readonly limit?: number };
  readonly cpu_stats: CpuStatsBody;
  /** The sample before; zeros in the first of a stream. */
  readonly precpu_stats: CpuStatsBody;
  readonly memory_stats: {
    readonly usage?: number;
    readonly max_usage?: number;
    readonly limit?: number;
    readonly stats?: Readonly<Record<string, number>>;
  };
  readonly blkio_stats: { readonly io_service_bytes_recursive: readonly BlkioEntry[] | null };
  readonly storage_stats: object;
  /** What Docker's `stats` has no field for: absent while it doesn't run. */
  readonly onggi?: { readonly storage: ContainerStorageBody };
  readonly networks?: Readonly<Record<string, InterfaceStatsBody>>;
}

export interface CpuStatsBody {
  readonly cpu_usage: {
    readonly total_usage: number;
    readonly usage_in_kernelmode: number;
    readonly usage_in_usermode: number;
  };
  readonly system_cpu_usage?: number;
  readonly online_cpus?: number;
  readonly throttling_data: {
    readonly periods: number;
    readonly throttled_periods: number;
    readonly throttled_time: number;
  };
}

export interface BlkioEntry {
  readonly major: number;
  readonly minor: number;
  /** `read` or `write`. */
  readonly op: string;
  readonly value: number;
}

export interface InterfaceStatsBody {
  readonly rx_bytes: number;
  readonly rx_packets: number;
  readonly rx_errors: number;
  readonly rx_dropped: number;
  readonly tx_bytes: number;
  readonly tx_packets: number;
  readonly tx_errors: number;
  readonly tx_dropped: number;
}

// ---- execs

/** Body of `POST /containers/:id/exec`. */
export interface ExecCreateRequest {
  readonly AttachStdin?: boolean;
  readonly AttachStdout?: boolean;
  readonly AttachStderr?: boolean;
  readonly ConsoleSize?: readonly number[] | null;
  readonly DetachKeys?: string;
  readonly Tty?: boolean;
  readonly Env?: readonly string[] | null;
  readonly Cmd?: readonly string[] | null;
  readonly Privileged?: boolean;
  readonly User?: string;
  readonly WorkingDir?: string;
}

/** Body of `POST /exec/:id/start`. */
export interface ExecStartRequest {
  readonly Detach?: boolean;
  readonly Tty?: boolean;
  /** Rows and columns. */
  readonly ConsoleSize?: readonly number[] | null;
}

/** `GET /exec/:id/json` */
export interface ExecInspect {
  readonly ID: string;
  readonly Running: boolean;
  /** `null` until it ended. */
  readonly ExitCode: number | null;
  readonly ProcessConfig: {
    readonly tty: boolean;
    readonly entrypoint: string;
    readonly arguments: readonly string[];
    readonly privileged: boolean;
    readonly user?: string;
  };
  readonly OpenStdin: boolean;
  readonly OpenStderr: boolean;
  readonly OpenStdout: boolean;
  readonly CanRemove: boolean;
  readonly ContainerID: string;
  readonly DetachKeys: string;
  readonly Pid: number;
}

// ---- images

/** One of `GET /images/json`. */
export interface ImageSummary {
  readonly Id: string;
  readonly ParentId: string;
  readonly RepoTags: readonly string[];
  readonly RepoDigests: readonly string[];
  /** Seconds since the epoch. */
  readonly Created: number;
  readonly Size: number;
  /** -1: not counted. */
  readonly SharedSize: number;
  readonly Labels: Labels | null;
  readonly Containers: number;
}

/** `GET /images/:name/json` */
export interface ImageInspect {
  readonly Id: string;
  readonly RepoTags: readonly string[];
  readonly RepoDigests: readonly string[];
  readonly Parent: string;
  readonly Comment: string;
  readonly Created: string;
  readonly DockerVersion: string;
  readonly Author: string;
  readonly Config: ContainerConfigBody;
  readonly Architecture: string;
  readonly Variant?: string;
  readonly Os: string;
  readonly Size: number;
  readonly GraphDriver: GraphDriver;
  readonly RootFS: { readonly Type: "layers"; readonly Layers: readonly string[] };
  readonly Metadata: { readonly LastTagTime: string };
}

export interface ImageHistoryItem {
  readonly Id: string;
  /** Seconds since the epoch. */
  readonly Created: number;
  readonly CreatedBy: string;
  readonly Tags: readonly string[] | null;
  readonly Size: number;
  readonly Comment: string;
}

export type ImageDeleteItem = { readonly Untagged: string } | { readonly Deleted: string };

export interface ImagesPruneResponse {
  readonly ImagesDeleted: readonly ImageDeleteItem[] | null;
  readonly SpaceReclaimed: number;
}

/** One line of the answer to pull, push, load and `from-host`. */
export interface ProgressLine {
  readonly id?: string;
  readonly status?: string;
  readonly stream?: string;
  /** `[=====>   ] 12kB/34kB`: some servers draw it; Onggi leaves it to the client, who has the numbers. */
  readonly progress?: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
  readonly aux?: object;
  /** The last line of what failed on the way. */
  readonly error?: string;
  readonly errorDetail?: { readonly message: string; readonly code?: number };
}

/** The `X-Registry-Auth` header: this as base64url of JSON. */
export interface RegistryAuth {
  readonly username?: string;
  readonly password?: string;
  readonly auth?: string;
  readonly serveraddress?: string;
  readonly identitytoken?: string;
  readonly registrytoken?: string;
}

/** Answer of `POST /auth`. */
export interface AuthResponse {
  readonly Status: string;
  readonly IdentityToken: string;
}

/** `POST /onggi/v1/images/load`: loads an archive that lies in a file of the daemon's host. */
export interface LoadFileRequest {
  readonly path: string;
  /** Device and inode of the file as the client sees it: a daemon that sees another one there answers 404. */
  readonly device?: string;
  readonly inode?: string;
}

/** Body of `POST /onggi/v1/images/from-host`; the answer is a stream of ProgressLine. */
export interface FromHostRequest {
  readonly reference: string;
  /** Left out: the default set. */
  readonly programs?: readonly string[];
}

/** Body of `POST /onggi/v1/storage/init`: a pool for the driver `zfs`. */
export interface StorageInitRequest {
  readonly Driver: string;
  /** Absolute path of the sparse file to make. */
  readonly File: string;
  readonly SizeBytes: number;
  /** Of the pool. Default: `onggi`. */
  readonly Name?: string;
}

export interface StorageInitResponse {
  readonly Driver: string;
  readonly Pool: string;
  readonly File: string;
}

// ---- snapshots, forks, rollbacks

/** Body of `POST /onggi/v1/containers/:id/snapshots`. */
export interface SnapshotCreateRequest {
  /** Default: the time. */
  readonly name?: string;
  /** Of the container's snapshots that were made with such a rule, so many stay. */
  readonly keep?: number;
  /** Of those, older ones go. */
  readonly keepForMs?: number;
}

export interface SnapshotCreateResponse {
  readonly snapshot: SnapshotBody;
  /** `CONTAINER@NAME` of those that the rule removed. */
  readonly removed: readonly string[];
}

/** `GET /onggi/v1/snapshots/:key`, and one of `GET /onggi/v1/snapshots?container=&filters=`. */
export interface SnapshotBody {
  readonly id: string;
  readonly name: string;
  /** `CONTAINER@NAME` */
  readonly reference: string;
  readonly container: { readonly id: string; readonly name: string; readonly exists: boolean };
  readonly image: { readonly id: string; readonly reference: string };
  readonly created: string;
  /** Made with a rule what to keep. */
  readonly limited: boolean;
  /** Names of the containers that stand on it. */
  readonly usedBy: readonly string[];
  readonly sizeBytes: number;
}

/** One of `GET /onggi/v1/tree`. */
export interface TreeNodeBody {
  readonly kind: "image" | "snapshot" | "base" | "container";
  readonly id: string;
  readonly name: string;
  readonly sizeBytes: number;
  readonly status: string;
  readonly children: readonly TreeNodeBody[];
}

/** Body of `POST /onggi/v1/containers/:id/fork`, and of `POST /onggi/v1/fork`, which needs `from`. */
export interface ForkRequest {
  readonly count?: number;
  readonly names?: readonly string[];
  /** A snapshot. */
  readonly from?: string;
  /** `KEY=value` on top of what the container has. */
  readonly env?: readonly string[];
  /** False: they are only made. */
  readonly start?: boolean;
}

export interface ForkResponse {
  readonly forks: readonly {
    readonly id: string;
    readonly name: string;
    readonly address: string;
    readonly movedPorts: readonly {
      readonly containerPort: number;
      readonly protocol: string;
      /** 0 while it doesn't run. */
      readonly hostPort: number;
      readonly insteadOf: number;
    }[];
  }[];
}

/** Body of `POST /onggi/v1/containers/:id/rollback`. */
export interface RollbackRequest {
  readonly snapshot: string;
  /** True: what the container holds now isn't kept. */
  readonly discard?: boolean;
  readonly timeoutSeconds?: number;
}

export interface RollbackResponse {
  readonly before: SnapshotBody | null;
  readonly restarted: boolean;
}

// ---- networks

export interface NetworkBody {
  readonly Name: string;
  readonly Id: string;
  readonly Created: string;
  readonly Scope: "local";
  readonly Driver: string;
  readonly EnableIPv4: boolean;
  readonly EnableIPv6: boolean;
  readonly IPAM: {
    readonly Driver: string;
    readonly Options: Labels | null;
    readonly Config: readonly { readonly Subnet: string; readonly Gateway: string }[];
  };
  readonly Internal: boolean;
  readonly Attachable: boolean;
  readonly Ingress: boolean;
  readonly ConfigFrom: { readonly Network: string };
  readonly ConfigOnly: boolean;
  readonly Containers: Readonly<Record<string, NetworkEndpoint>>;
  readonly Options: Labels;
  readonly Labels: Labels;
}

export interface NetworkEndpoint {
  readonly Name: string;
  readonly EndpointID: string;
  readonly MacAddress: string;
  /** With its prefix length: `172.17.0.2/16`. */
  readonly IPv4Address: string;
  readonly IPv6Address: string;
}

// ---- system

/** One line of `GET /events`. */
export interface EventMessage {
  /** Docker's old names of the same, for containers and images. */
  readonly status?: string;
  readonly id?: string;
  readonly from?: string;
  readonly Type: string;
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Labels };
  readonly scope: "local";
  /** Seconds since the epoch. */
  readonly time: number;
  /** Larger than a double holds exactly: its last digits are lost in JavaScript. */
  readonly timeNano: number;
}

/** `GET /version` */
export interface VersionBody {
  readonly Platform: { readonly Name: string };
  readonly Components: readonly { readonly Name: string; readonly Version: string; readonly Details: Labels }[];
  readonly Version: string;
  readonly ApiVersion: string;
  readonly MinAPIVersion: string;
  readonly GitCommit: string;
  readonly GoVersion: string;
  readonly Os: string;
  readonly Arch: string;
  readonly KernelVersion: string;
  readonly BuildTime: string;
}

/** `GET /info` */
export interface InfoBody {
  readonly ID: string;
  readonly Containers: number;
  readonly ContainersRunning: number;
  readonly ContainersPaused: number;
  readonly ContainersStopped: number;
  readonly Images: number;
  readonly Driver: string;
  readonly DriverStatus: readonly (readonly [string, string])[];
  readonly Plugins: Readonly<Record<string, readonly string[] | null>>;
  readonly MemoryLimit: boolean;
  readonly SwapLimit: boolean;
  readonly CpuCfsPeriod: boolean;
  readonly CpuCfsQuota: boolean;
  readonly CPUShares: boolean;
  readonly CPUSet: boolean;
  readonly PidsLimit: boolean;
  readonly IPv4Forwarding: boolean;
  readonly Debug: boolean;
  readonly NFd: number;
  readonly OomKillDisable: boolean;
  readonly NGoroutines: number;
  readonly SystemTime: string;
  readonly LoggingDriver: string;
  readonly CgroupDriver: string;
  readonly CgroupVersion: string;
  readonly NEventsListener: number;
  readonly KernelVersion: string;
  readonly OperatingSystem: string;
  readonly OSVersion: string;
  readonly OSType: string;
  readonly Architecture: string;
  readonly IndexServerAddress: string;
  readonly RegistryConfig: object | null;
  readonly NCPU: number;
  readonly MemTotal: number;
  readonly GenericResources: null;
  readonly DockerRootDir: string;
  readonly HttpProxy: string;
  readonly HttpsProxy: string;
  readonly NoProxy: string;
  readonly Name: string;
  readonly Labels: readonly string[];
  readonly ExperimentalBuild: boolean;
  readonly ServerVersion: string;
  readonly Runtimes: Readonly<Record<string, { readonly path: string }>>;
  readonly DefaultRuntime: string;
  readonly Swarm: { readonly LocalNodeState: "inactive" };
  readonly LiveRestoreEnabled: boolean;
  readonly Isolation: string;
  readonly InitBinary: string;
  readonly SecurityOptions: readonly string[];
  readonly Warnings: readonly string[] | null;
  /** What Docker's `info` has no field for. */
  readonly Onggi: {
    /** `1`, `2` or `hybrid`. */
    readonly cgroupVersion: string;
    readonly storageDrivers: readonly { readonly name: string; readonly usable: boolean; readonly reason: string }[];
    readonly bridge: { readonly name: string; readonly subnet: string } | null;
  };
}

// ---- volumes

/** Body of `POST /volumes/create`. */
export interface VolumeCreateRequest {
  readonly Name?: string;
  readonly Driver?: string;
  readonly DriverOpts?: Labels | null;
  readonly Labels?: Labels | null;
  readonly ClusterVolumeSpec?: object | null;
}

export interface VolumeBody {
  readonly CreatedAt: string;
  readonly Driver: string;
  readonly Labels: Labels | null;
  readonly Mountpoint: string;
  readonly Name: string;
  readonly Options: Labels | null;
  readonly Scope: "local";
  /** In `GET /system/df` only. */
  readonly UsageData?: { readonly RefCount: number; readonly Size: number };
}

/** `GET /volumes` */
export interface VolumesList {
  readonly Volumes: readonly VolumeBody[];
  readonly Warnings: null;
}

export interface VolumesPruneResponse {
  readonly VolumesDeleted: readonly string[] | null;
  readonly SpaceReclaimed: number;
}

/** Body of `POST /onggi/v1/volumes/NAME/snapshots`; without a name the next free number is one. */
export interface VolumeSnapshotRequest {
  readonly Name?: string;
}

export interface VolumeSnapshotBody {
  readonly Volume: string;
  readonly Name: string;
  readonly CreatedAt: string;
}

/** Body of `POST /onggi/v1/volumes/NAME/clone`; `From` is a snapshot. */
export interface VolumeCloneRequest {
  readonly Name: string;
  readonly From?: string;
}

// ---- storage

export interface AmountBody {
  readonly Bytes: number;
  readonly Inodes: number;
}

/** `GET /onggi/v1/storage` */
export interface StorageBody {
  readonly Driver: string;
  readonly Root: string;
  /** Of the data root; 0 inodes in all where they are made as needed. */
  readonly FileSystem: { readonly Type: string; readonly Bytes: ShareBody; readonly Inodes: ShareBody };
  readonly LayersUsage: AmountBody & { readonly Count: number };
  readonly Layers: readonly LayerUseBody[];
  readonly Containers: readonly (ContainerStorageBody & { readonly Id: string; readonly Name: string })[];
  readonly WarnPercent: number;
  readonly Warnings: readonly string[];
}

export interface ShareBody {
  readonly Total: number;
  readonly Used: number;
  readonly Free: number;
  readonly Percent: number;
}

export interface LayerUseBody extends AmountBody {
  /** ChainID, or the name of another committed tree. */
  readonly Id: string;
  readonly Kind: "layer" | "snapshot";
  readonly Parent: string;
  /** Names of all that stand on it. */
  readonly Images: readonly string[];
  readonly Containers: readonly string[];
  readonly Snapshots: readonly string[];
}

export interface ContainerStorageBody extends AmountBody {
  /** As it was asked for. */
  readonly Limit?: Labels;
  readonly LimitBytes?: number;
  readonly FreeBytes?: number;
  readonly LimitInodes?: number;
  readonly FreeInodes?: number;
  /** `disk limit reached`, `inode limit reached`, or empty. */
  readonly Reached?: string;
}

/** `GET /onggi/v1/storage/why?name=…`: a layer and what stands on it. */
export interface LayerTreeBody extends AmountBody {
  readonly Id: string;
  readonly Kind: "layer" | "snapshot" | "container" | "other";
  readonly Name: string;
  /** Images whose topmost layer it is. */
  readonly Images: readonly string[];
  readonly Children: readonly LayerTreeBody[];
}

/** Body of `POST /onggi/v1/storage/bench`; the answer is a stream of {@link StorageMeasureBody}. */
export interface StorageBenchRequest {
  /** All that are usable unless named. */
  readonly Drivers?: readonly string[];
  readonly LargeBytes?: number;
}

/** One value of one driver, a median: what a chart of drivers by layers draws. */
export interface StorageMeasureBody {
  readonly Driver: string;
  /** `clone`, `discard`, `create`, `delete`, `found`, `missing`, `firstWrite`, `secondWrite`, `written`. */
  readonly Measure: string;
  /** The same for people. */
  readonly Title: string;
  readonly Layers: number;
  /** Null where it couldn't be measured, which Reason explains. */
  readonly Value: number | null;
  readonly Unit: "ms" | "µs" | "bytes";
  readonly Reason?: string;
}

/** A line of the answer to `POST /onggi/v1/storage/check?repair=…&deep=…`. */
export interface StorageProblemBody {
  readonly Subject: string;
  readonly Id: string;
  readonly Problem: string;
  readonly Remedy: string;
  readonly State: "found" | "repaired" | "not repaired";
  readonly Error?: string;
}

/** `GET /system/df` */
export interface DiskUsage {
  readonly LayersSize: number;
  readonly Images: readonly ImageSummary[];
  readonly Containers: readonly ContainerSummary[];
  readonly Volumes: readonly VolumeBody[];
  readonly BuildCache: readonly object[];
}

/** What `X-Docker-Container-Path-Stat` holds, as JSON in base64. */
export interface ContainerPathStat {
  readonly name: string;
  readonly size: number;
  /** Go's: permissions, and the type in the high bits. */
  readonly mode: number;
  readonly mtime: string;
  readonly linkTarget: string;
}

export interface ContainerChange {
  readonly Path: string;
  /** 0 changed, 1 added, 2 deleted. */
  readonly Kind: 0 | 1 | 2;
}

/** A line of `GET /onggi/v1/diff`. */
export interface TreeDifference extends ContainerChange {
  readonly Patch?: string;
}

export interface IdResponse {
  readonly Id: string;
}

/** The parts of a config that `POST /commit` takes. */
export interface CommitConfig {
  readonly Entrypoint: readonly string[] | null;
  readonly Cmd: readonly string[] | null;
  readonly Env: readonly string[] | null;
  readonly Labels: Readonly<Record<string, string>> | null;
  readonly ExposedPorts: Readonly<Record<string, object>> | null;
  readonly Volumes: Readonly<Record<string, object>> | null;
  readonly User: string;
  readonly WorkingDir: string;
  readonly StopSignal: string;
  readonly OnBuild: readonly string[] | null;
}
