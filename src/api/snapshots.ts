import { OnggiError } from "../base/error.ts";
import type { EngineFace } from "../engine/engine.ts";
import type { ContainerSnapshot } from "../engine/snapshot-model.ts";
import { Filters } from "./filters.ts";
import { type Route, route } from "./route.ts";
import { formatTime } from "./time.ts";
import type { SnapshotBody, SnapshotCreateRequest, SnapshotCreateResponse } from "./wire.ts";

const knownFilters = ["container", "image", "name"];

/** Snapshots of containers: Onggi's own paths. */
export const snapshotRoutes: readonly Route[] = [
  route("POST /onggi/v1/containers/:id/snapshots", async (engine, call) => {
    const { name: text, keep, keepForMs } = await call.json<SnapshotCreateRequest>();
    const name = optionalText(text, "name");
    const { snapshot, removed } = await engine.snapshots.create(call.params.id, {
      ...(name === undefined ? {} : { name }),
      ...(keep === undefined ? {} : { keep }),
      ...(keepForMs === undefined ? {} : { keepForMs }),
    });
    return {
      status: 201,
      json: { snapshot: await snapshotBody(engine, snapshot), removed } satisfies SnapshotCreateResponse,
    };
  }),

  route("GET /onggi/v1/snapshots", async (engine, { query }) => {
    const filters = Filters.parse(query.text("filters"), knownFilters);
    const found = engine.snapshots.list(query.text("container") || undefined).filter((one) => isWanted(one, filters));
    return { json: await Promise.all(found.map((one) => snapshotBody(engine, one))) };
  }),

  route("GET /onggi/v1/snapshots/:key", async (engine, { params }) => ({
    json: await snapshotBody(engine, engine.snapshots.get(params.key)),
  })),

  route("DELETE /onggi/v1/snapshots/:key", async (engine, { params, query }) => {
    await engine.snapshots.remove(params.key, { force: query.flag("force") });
    return { status: 204 };
  }),

  route("GET /onggi/v1/tree", async (engine) => ({ json: await engine.snapshots.tree() })),
];

export async function snapshotBody(engine: EngineFace, snapshot: ContainerSnapshot): Promise<SnapshotBody> {
  const { createdAtMs, ...rest } = snapshot;
  return { ...rest, created: formatTime(createdAtMs), sizeBytes: await engine.snapshots.size(snapshot.id) };
}

/** A field of a request that is a text, where it is there. @throws OnggiError `invalid` */
export function optionalText(value: unknown, field: string): string | undefined {
  if (value === undefined || value === null || value === "") return undefined;
  if (typeof value === "string") return value;
  throw new OnggiError("invalid", `invalid JSON: ${field} must be a string`);
}

function isWanted({ name, container, image }: ContainerSnapshot, filters: Filters): boolean {
  return (
    filters.matches("name", name) &&
    filters.any("container", (key) => container.name === key || container.id.startsWith(key)) &&
    filters.any("image", (key) => image.reference === key || image.id === key || image.id.startsWith(`sha256:${key}`))
  );
}
