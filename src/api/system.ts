import type { EngineFace } from "../engine/engine.ts";
import type { HostInfo } from "../engine/model.ts";
import { platformOf } from "../oci/platform.ts";
import { listContainers } from "./container-list.ts";
import { summarizeImage } from "./images.ts";
import { type PlainAnswer, type Route, route } from "./route.ts";
import { volumeUsage } from "./volumes.ts";
import { apiVersion, type DiskUsage, type InfoBody, minApiVersion, type VersionBody } from "./wire.ts";

const pong: PlainAnswer = {
  text: "OK",
  headers: { "Cache-Control": "no-cache, no-store, must-revalidate", Pragma: "no-cache", Swarm: "inactive" },
};

export const systemRoutes: readonly Route[] = [
  route("GET /_ping", () => pong),
  route("HEAD /_ping", () => pong),
  route("GET /version", async (engine) => ({ json: versionBody(await engine.info()) })),
  route("GET /info", async (engine) => ({ json: infoBody(await engine.info()) })),
  route("GET /system/df", async (engine, { query }) => ({ json: await diskUsage(engine, query.all("type")) })),
];

function versionBody({ version, kernel }: HostInfo): VersionBody {
  const { architecture } = platformOf(process.arch);
  const details = {
    ApiVersion: apiVersion,
    Arch: architecture,
    KernelVersion: kernel,
    MinAPIVersion: minApiVersion,
    Os: "linux",
    GitCommit: "",
    GoVersion: "",
    BuildTime: "",
    Experimental: "false",
  };
  return {
    Platform: { Name: "Onggi" },
    Components: [{ Name: "Engine", Version: version, Details: details }],
    Version: version,
    ApiVersion: apiVersion,
    MinAPIVersion: minApiVersion,
    GitCommit: "",
    GoVersion: "",
    Os: "linux",
    Arch: architecture,
    KernelVersion: kernel,
    BuildTime: "",
  };
}

function infoBody(host: HostInfo): InfoBody {
  const { running, paused, stopped } = host.containers;
  return {
    ID: `onggi:${host.root}`,
    Containers: running + paused + stopped,
    ContainersRunning: running,
    ContainersPaused: paused,
    ContainersStopped: stopped,
    Images: host.images,
    Driver: host.storageDriver,
    DriverStatus: host.storageDrivers.map(({ name, usable, reason }) => [name, usable ? "usable" : reason] as const),
    Plugins: {
      Volume: ["local"],
      Network: ["bridge", "host", "null"],
      Authorization: null,
      Log: ["json-file", "local", "none"],
    },
    MemoryLimit: true,
    SwapLimit: true,
    CpuCfsPeriod: true,
    CpuCfsQuota: true,
    CPUShares: true,
    CPUSet: true,
    PidsLimit: true,
    IPv4Forwarding: true,
    Debug: false,
    NFd: 0,
    OomKillDisable: host.cgroupVersion !== "2",
    NGoroutines: 0,
    SystemTime: new Date().toISOString(),
    LoggingDriver: "local",
    CgroupDriver: "cgroupfs",
    CgroupVersion: host.cgroupVersion === "2" ? "2" : "1",
    NEventsListener: 0,
    KernelVersion: host.kernel,
    OperatingSystem: host.operatingSystem,
    OSVersion: "",
    OSType: "linux",
    Architecture: host.architecture,
    IndexServerAddress: "https://index.docker.io/v1/",
    RegistryConfig: null,
    NCPU: host.cpus,
    MemTotal: host.memoryBytes,
    GenericResources: null,
    DockerRootDir: host.root,
    HttpProxy: "",
    HttpsProxy: "",
    NoProxy: "",
    Name: host.hostname,
    Labels: [],
    ExperimentalBuild: false,
    ServerVersion: host.version,
    Runtimes: { onggi: { path: "onggi-exec" } },
    DefaultRuntime: "onggi",
    Swarm: { LocalNodeState: "inactive" },
    // Containers go on without the daemon, always.
    LiveRestoreEnabled: true,
    Isolation: "",
    InitBinary: "onggi-exec",
    SecurityOptions: ["name=seccomp,profile=builtin", "name=cgroupns"],
    Warnings: host.warnings.length === 0 ? null : host.warnings,
    Onggi: { cgroupVersion: host.cgroupVersion, storageDrivers: host.storageDrivers, bridge: host.bridge ?? null },
  };
}

async function diskUsage(engine: EngineFace, types: readonly string[]): Promise<DiskUsage> {
  const wants = (type: string) => types.length === 0 || types.includes(type);
  const { layersBytes, sharedBytes } = engine.storage.sharing();
  const images = wants("image") ? (await engine.images.list()).map(summarizeImage) : [];
  const containers = wants("container")
    ? await listContainers(engine, { all: true, limit: 0, size: true, filters: "" })
    : [];
  return {
    LayersSize: wants("image") ? layersBytes : 0,
    Images: images.map((image) => ({ ...image, SharedSize: sharedBytes.get(image.Id) ?? 0 })),
    Containers: containers,
    Volumes: wants("volume") ? await volumeUsage(engine) : [],
    BuildCache: [],
  };
}
