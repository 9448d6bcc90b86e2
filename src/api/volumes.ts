import { OnggiError } from "../base/error.ts";
import type { EngineFace } from "../engine/engine.ts";
import type { VolumeInfo, VolumeSnapshotInfo } from "../engine/model.ts";
import { Filters } from "./filters.ts";
import { type Route, route } from "./route.ts";
import { formatTime } from "./time.ts";
import type {
  VolumeBody,
  VolumeCloneRequest,
  VolumeCreateRequest,
  VolumeSnapshotBody,
  VolumeSnapshotRequest,
  VolumesList,
  VolumesPruneResponse,
} from "./wire.ts";

/** Docker's paths, and Onggi's own for snapshots and clones. */
export const volumeRoutes: readonly Route[] = [
  route("GET /volumes", (engine, { query }) => {
    const filters = Filters.parse(query.text("filters"), ["dangling", "driver", "label", "label!", "name"]);
    return {
      json: { Volumes: listVolumes(engine, filters).map(volumeBody), Warnings: null } satisfies VolumesList,
    };
  }),

  route("POST /volumes/create", async (engine, call) => {
    const request = await call.json<VolumeCreateRequest>();
    const { Name: name = "", Driver: driver = "", DriverOpts: options, Labels: labels } = request;
    checkDriver(driver);
    if (request.ClusterVolumeSpec)
      throw new OnggiError("unsupported", "cluster volumes are not supported", {
        hint: "Leave ClusterVolumeSpec out.",
      });
    const volume = await engine.volumes.create({ name, options: options ?? {}, labels: labels ?? {} });
    return { status: 201, json: volumeBody(volume) };
  }),

  route("GET /volumes/:name", (engine, { params }) => ({ json: volumeBody(engine.volumes.get(params.name)) })),

  route("DELETE /volumes/:name", async (engine, { params, query }) => {
    await engine.volumes.remove(params.name, { force: query.flag("force") });
    return { status: 204 };
  }),

  route("POST /volumes/prune", async (engine, { query }) => {
    const filters = Filters.parse(query.text("filters"), ["all", "label", "label!"]);
    const all = filters.flag("all") === true;
    const { names, bytes } = await engine.volumes.prune(
      (volume) => (all || volume.anonymous) && filters.matchesLabels(volume.labels),
    );
    return {
      json: {
        VolumesDeleted: names.length === 0 ? null : names,
        SpaceReclaimed: bytes,
      } satisfies VolumesPruneResponse,
    };
  }),

  route("GET /onggi/v1/volumes/:name/snapshots", (engine, { params }) => ({
    json: engine.volumes.snapshots(params.name).map(snapshotBody),
  })),

  route("POST /onggi/v1/volumes/:name/snapshots", async (engine, call) => {
    const { Name: name } = await call.json<VolumeSnapshotRequest>();
    return { status: 201, json: snapshotBody(await engine.volumes.snapshot(call.params.name, name || undefined)) };
  }),

  route("DELETE /onggi/v1/volumes/:name/snapshots/:snapshot", async (engine, { params }) => {
    await engine.volumes.removeSnapshot(params.name, params.snapshot);
    return { status: 204 };
  }),

  route("POST /onggi/v1/volumes/:name/snapshots/:snapshot/rollback", async (engine, { params }) => {
    await engine.volumes.rollback(params.name, params.snapshot);
    return { status: 204 };
  }),

  route("POST /onggi/v1/volumes/:name/clone", async (engine, call) => {
    const { Name: name = "", From: from = "" } = await call.json<VolumeCloneRequest>();
    const volume = await engine.volumes.clone(call.params.name, name, from === "" ? {} : { from });
    return { status: 201, json: volumeBody(volume) };
  }),
];

/** The volumes of `system df`, with what they take. */
export async function volumeUsage(engine: EngineFace): Promise<VolumeBody[]> {
  return Promise.all(
    engine.volumes.list().map(async (volume) => ({
      ...volumeBody(volume),
      UsageData: { RefCount: volume.users.length, Size: await sizeOf(engine, volume.name) },
    })),
  );
}

/** @throws OnggiError `unsupported` in Docker's words */
export function checkDriver(driver: string): void {
  if (driver === "" || driver === "local") return;
  throw new OnggiError("unsupported", `error looking up volume plugin ${driver}: plugin "${driver}" not found`, {
    hint: "There is one driver: local.",
  });
}

/** -1, as Docker says it, for one that went meanwhile. */
async function sizeOf(engine: EngineFace, name: string): Promise<number> {
  try {
    return await engine.volumes.size(name);
  } catch {
    return -1;
  }
}

function listVolumes(engine: EngineFace, filters: Filters): readonly VolumeInfo[] {
  const dangling = filters.flag("dangling");
  return engine.volumes
    .list()
    .filter(
      ({ name, labels, users }) =>
        filters.matches("name", name) &&
        filters.matchesLabels(labels) &&
        filters.any("driver", (driver) => driver === "local") &&
        (dangling === undefined || dangling === (users.length === 0)),
    );
}

function volumeBody({ name, mountpoint, createdAtMs, labels, options }: VolumeInfo): VolumeBody {
  return {
    CreatedAt: formatTime(createdAtMs).replace(/\.\d+Z$/, "Z"),
    Driver: "local",
    Labels: Object.keys(labels).length === 0 ? null : labels,
    Mountpoint: mountpoint,
    Name: name,
    Options: Object.keys(options).length === 0 ? null : options,
    Scope: "local",
  };
}

function snapshotBody({ volume, name, createdAtMs }: VolumeSnapshotInfo): VolumeSnapshotBody {
  return { Volume: volume, Name: name, CreatedAt: formatTime(createdAtMs).replace(/\.\d+Z$/, "Z") };
}
