import { isOnggiError, OnggiError } from "../base/error.ts";
import type { EngineFace } from "../engine/engine.ts";
import type { ContainerInfo } from "../engine/model.ts";
import { formatPlatform, isPlatformMatch, parsePlatform, platformOf } from "../oci/platform.ts";
import { parseCreateRequest } from "./container-create.ts";
import { listContainers } from "./container-list.ts";
import { inspectContainer } from "./container-view.ts";
import { Filters } from "./filters.ts";
import type { Query } from "./query.ts";
import { type Route, route } from "./route.ts";
import { parseMoment } from "./time.ts";
import type { ContainersPruneResponse, CreateRequest, CreateResponse, TopResponse } from "./wire.ts";

/** Containers but for their streams. */
export const containerRoutes: readonly Route[] = [
  route("POST /containers/create", async (engine, call) => {
    const request = await call.json<CreateRequest>();
    const config = parseCreateRequest(request, call.query.text("name"), engine.networks);
    await checkPlatform(engine, config.image, call.query.text("platform"));
    const { id, warnings } = await engine.containers.create(config);
    return { status: 201, json: { Id: id, Warnings: warnings } satisfies CreateResponse };
  }),

  route("GET /containers/json", async (engine, { query }) => ({
    json: await listContainers(engine, {
      all: query.flag("all"),
      limit: Math.max(0, query.integer("limit") ?? 0),
      size: query.flag("size"),
      filters: query.text("filters"),
    }),
  })),

  route("GET /containers/:id/json", async (engine, { params, query }) => {
    const { id } = engine.containers.get(params.id);
    await engine.storage.refresh([id]);
    const info = engine.containers.get(id);
    return { json: inspectContainer(info, query.flag("size") ? await engine.containers.size(info.id) : undefined) };
  }),

  route("POST /containers/:id/start", async (engine, { params, query }) => {
    if (query.text("checkpoint") !== "")
      throw new OnggiError("unsupported", "checkpoints are not supported", { hint: "Leave --checkpoint out." });
    const outcome = await engine.containers.start(params.id);
    return { status: outcome === "started" ? 204 : 304 };
  }),

  route("POST /containers/:id/stop", async (engine, { params, query }) => {
    const outcome = await engine.containers.stop(params.id, stopOptions(query));
    return { status: outcome === "stopped" ? 204 : 304 };
  }),

  route("POST /containers/:id/restart", async (engine, { params, query }) => {
    await engine.containers.restart(params.id, stopOptions(query));
    return { status: 204 };
  }),

  route("POST /containers/:id/kill", async (engine, { params, query }) => {
    await inWords(`cannot kill container: ${params.id}`, () =>
      engine.containers.kill(params.id, query.text("signal") || undefined),
    );
    return { status: 204 };
  }),

  route("POST /containers/:id/pause", async (engine, { params }) => {
    await engine.containers.pause(params.id);
    return { status: 204 };
  }),

  route("POST /containers/:id/unpause", async (engine, { params }) => {
    await engine.containers.unpause(params.id);
    return { status: 204 };
  }),

  route("POST /containers/:id/rename", async (engine, { params, query }) => {
    const name = query.text("name");
    if (name === "" || name === "/") throw new OnggiError("invalid", "Neither old nor new names may be empty");
    await inWords("Error when allocating new name", () => engine.containers.rename(params.id, name));
    return { status: 204 };
  }),

  route("POST /containers/:id/resize", (engine, { params, query }) => {
    const { rows, columns } = terminalSize(query);
    engine.containers.resize(params.id, rows, columns);
    return {};
  }),

  route("GET /containers/:id/top", async (engine, { params, query }) => {
    const words = (query.text("ps_args") || "-ef").split(/\s+/).filter((word) => word !== "");
    const { titles, processes } = await engine.containers.top(params.id, words);
    return { json: { Titles: titles, Processes: processes } satisfies TopResponse };
  }),

  route("DELETE /containers/:id", async (engine, { params, query }) => {
    if (query.flag("link"))
      throw new OnggiError("unsupported", "links are not supported", { hint: "Remove the container without --link." });
    await engine.containers.remove(params.id, { force: query.flag("force"), volumes: query.flag("v") });
    return { status: 204 };
  }),

  route("POST /containers/prune", async (engine, { query }) => {
    const { ids, bytes } = await engine.containers.prune(pruneAcceptance(query.text("filters")));
    return {
      json: {
        ContainersDeleted: ids.length === 0 ? null : ids,
        SpaceReclaimed: bytes,
      } satisfies ContainersPruneResponse,
    };
  }),
];

/** @throws OnggiError `invalid` unless both are positive */
export function terminalSize(query: Query): { readonly rows: number; readonly columns: number } {
  const rows = query.integer("h") ?? 0;
  const columns = query.integer("w") ?? 0;
  if (rows < 0 || columns < 0 || rows > 0xffff || columns > 0xffff)
    throw new OnggiError("invalid", `invalid terminal size: ${rows} rows, ${columns} columns`);
  return { rows, columns };
}

function stopOptions(query: Query): { readonly signal?: string; readonly timeoutSeconds?: number } {
  const timeoutSeconds = query.integer("t");
  const signal = query.text("signal");
  return { ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }), ...(signal === "" ? {} : { signal }) };
}

/** Docker finds such an image as good as absent, and its client pulls the right one then. */
async function checkPlatform(engine: EngineFace, key: string, text: string): Promise<void> {
  if (text === "") return;
  const wanted = parsePlatform(text, platformOf(process.arch));
  const image = await engine.images.get(key);
  if (!isPlatformMatch(image, wanted)) {
    throw new OnggiError(
      "not_found",
      `image with reference ${key} was found but its platform (${formatPlatform(image)}) does not match the specified platform (${formatPlatform(wanted)})`,
    );
  }
}

/** Docker's sentence before the reason of a conflict. */
async function inWords<T>(words: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isOnggiError(error, "conflict")) throw error;
    throw new OnggiError("conflict", `${words}: ${error.message}`, { hint: error.hint, cause: error });
  }
}

function pruneAcceptance(text: string): (info: ContainerInfo) => boolean {
  const filters = Filters.parse(text, ["label", "label!", "until"]);
  const until = filters.values("until").map((moment) => parseMoment("until", moment) ?? 0);
  return (info) => filters.matchesLabels(info.labels) && until.every((moment) => info.createdAtMs < moment);
}
