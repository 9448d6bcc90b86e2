import type { EngineFace } from "../engine/engine.ts";
import type { Amount, ContainerStorage } from "../engine/model.ts";
import type { LayerTree, StorageProblem } from "../engine/storage-face.ts";
import { type Route, route } from "./route.ts";
import { formatStorageOptions } from "./storage-options.ts";
import type { AmountBody, ContainerStorageBody, LayerTreeBody, StorageBody, StorageProblemBody } from "./wire.ts";

/** What the disk holds, who holds it, and whether all is well with it: Onggi's own paths. */
export const storageRoutes: readonly Route[] = [
  route("GET /onggi/v1/storage", async (engine) => ({ json: await storageBody(engine) })),

  route("GET /onggi/v1/storage/why", async (engine, { query }) => ({
    json: layerTreeBody(await engine.storage.why(query.text("name"))),
  })),

  route("POST /onggi/v1/storage/check", (engine, { query, signal }) => ({
    contentType: "application/json",
    headerFirst: true,
    stream: lines(engine.storage.check({ repair: query.flag("repair"), deep: query.flag("deep"), signal })),
  })),
];

async function storageBody({ storage }: EngineFace): Promise<StorageBody> {
  const overview = await storage.overview();
  const { fileSystem: use } = overview;
  return {
    Driver: overview.driver,
    Root: overview.root,
    FileSystem: {
      Type: use.type,
      Bytes: { ...part("bytes", use.total, use.used, use.free), Percent: use.percent.bytes },
      Inodes: { ...part("inodes", use.total, use.used, use.free), Percent: use.percent.inodes },
    },
    LayersUsage: { ...amountBody(overview.layers), Count: overview.layers.count },
    Layers: (await storage.layers()).map(({ id, kind, parent = "", images, containers, snapshots, ...size }) => ({
      Id: id,
      Kind: kind,
      Parent: parent,
      ...amountBody(size),
      Images: images,
      Containers: containers,
      Snapshots: snapshots,
    })),
    Containers: overview.containers.map((one) => ({ Id: one.id, Name: one.name, ...containerStorageBody(one) })),
    WarnPercent: overview.warnPercent,
    Warnings: overview.warnings,
  };
}

function part(what: keyof Amount, total: Amount, used: Amount, free: Amount) {
  return { Total: total[what], Used: used[what], Free: free[what] };
}

/** Use of a container's tree, and its limit where it has one. */
export function containerStorageBody({ bytes, inodes, limit, free, reached }: ContainerStorage): ContainerStorageBody {
  return {
    Bytes: bytes,
    Inodes: inodes,
    ...(limit === undefined
      ? {}
      : {
          Limit: formatStorageOptions(limit),
          ...(limit.bytes === undefined ? {} : { LimitBytes: limit.bytes, FreeBytes: free?.bytes ?? 0 }),
          ...(limit.inodes === undefined ? {} : { LimitInodes: limit.inodes, FreeInodes: free?.inodes ?? 0 }),
          Reached: reachedWords({ reached }),
        }),
  };
}

/** Empty while there is room. */
export function reachedWords({ reached }: { readonly reached?: ContainerStorage["reached"] | undefined } = {}): string {
  return reached === undefined ? "" : `${reached} limit reached`;
}

function layerTreeBody({ id, kind, name, images, children, ...size }: LayerTree): LayerTreeBody {
  return { Id: id, Kind: kind, Name: name, ...amountBody(size), Images: images, Children: children.map(layerTreeBody) };
}

async function* lines(problems: AsyncIterable<StorageProblem>): AsyncGenerator<string> {
  for await (const { subject, id, problem, remedy, state, error = "" } of problems) {
    const body: StorageProblemBody = {
      Subject: subject,
      Id: id,
      Problem: problem,
      Remedy: remedy,
      State: state,
      ...(error === "" ? {} : { Error: error }),
    };
    yield `${JSON.stringify(body)}\n`;
  }
}

function amountBody({ bytes, inodes }: Amount): AmountBody {
  return { Bytes: bytes, Inodes: inodes };
}
