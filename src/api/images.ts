import { OnggiError } from "../base/error.ts";
import type { EngineFace } from "../engine/engine.ts";
import type { ImageInfo } from "../engine/model.ts";
import { familiarReference, parseReference } from "../oci/reference.ts";
import { Filters } from "./filters.ts";
import { type Route, route } from "./route.ts";
import { formatTime, parseMoment } from "./time.ts";
import type {
  ContainerConfigBody,
  ImageDeleteItem,
  ImageHistoryItem,
  ImageInspect,
  ImageSummary,
  ImagesPruneResponse,
} from "./wire.ts";

const knownFilters = "before dangling label label! reference since until".split(" ");

/** Images but for what moves them. */
export const imageRoutes: readonly Route[] = [
  route("GET /images/json", async (engine, { query }) => {
    const accept = await acceptance(engine, query.text("filters"));
    return { json: (await engine.images.list()).filter(accept).map(summarizeImage) };
  }),

  route("GET /images/:name*/json", async (engine, { params }) => ({
    json: inspectImage(await engine.images.get(params.name)),
  })),

  route("GET /images/:name*/history", async (engine, { params }) => ({
    json: history(await engine.images.get(params.name)),
  })),

  route("POST /images/:name*/tag", async (engine, { params, query }) => {
    const [repository, tag] = [query.text("repo"), query.text("tag")];
    const reference = parseReference(tag === "" ? repository : `${repository}:${tag}`);
    if (reference.digest !== undefined)
      throw new OnggiError("invalid", "refusing to create a tag with a digest reference");
    await engine.images.tag(params.name, familiarReference(reference));
    return { status: 201 };
  }),

  route("DELETE /images/:name*", async (engine, { params, query }) => {
    const done = await engine.images.remove(params.name, { force: query.flag("force"), prune: !query.flag("noprune") });
    return {
      json: done.map(
        (item): ImageDeleteItem =>
          "untagged" in item ? { Untagged: familiar(item.untagged) } : { Deleted: item.deleted },
      ),
    };
  }),

  route("POST /images/prune", async (engine, { query }) => {
    const filters = Filters.parse(query.text("filters"), ["dangling", "label", "label!", "until"]);
    const until = filters.values("until").map((moment) => parseMoment("until", moment) ?? 0);
    const { deleted, bytes } = await engine.images.prune({
      all: filters.flag("dangling") === false,
      accept: (info) => filters.matchesLabels(info.labels) && until.every((moment) => info.createdAtMs < moment),
    });
    return {
      json: {
        ImagesDeleted: deleted.length === 0 ? null : deleted.map(prunedItem),
        SpaceReclaimed: bytes,
      } satisfies ImagesPruneResponse,
    };
  }),
];

export function summarizeImage(info: ImageInfo): ImageSummary {
  return {
    Id: info.id,
    ParentId: "",
    RepoTags: info.references.map(familiar),
    RepoDigests: info.repoDigests.map(familiar),
    Created: Math.floor(info.createdAtMs / 1000),
    Size: info.sizeBytes,
    SharedSize: -1,
    Labels: info.labels,
    Containers: info.containers,
  };
}

function inspectImage(info: ImageInfo): ImageInspect {
  return {
    Id: info.id,
    RepoTags: info.references.map(familiar),
    RepoDigests: info.repoDigests.map(familiar),
    Parent: "",
    Comment: info.history.at(-1)?.comment ?? "",
    Created: formatTime(info.createdAtMs),
    DockerVersion: "",
    Author: info.author,
    Config: configBody(info),
    Architecture: info.architecture,
    ...(info.variant === "" ? {} : { Variant: info.variant }),
    Os: info.os,
    Size: info.sizeBytes,
    GraphDriver: { Name: "", Data: null },
    RootFS: { Type: "layers", Layers: info.layers },
    Metadata: { LastTagTime: formatTime(0) },
  };
}

function configBody({ config }: ImageInfo): ContainerConfigBody {
  return {
    Hostname: "",
    Domainname: "",
    User: config.User ?? "",
    AttachStdin: false,
    AttachStdout: false,
    AttachStderr: false,
    ...(config.ExposedPorts === undefined ? {} : { ExposedPorts: config.ExposedPorts }),
    Tty: false,
    OpenStdin: false,
    StdinOnce: false,
    Env: config.Env ?? [],
    Cmd: config.Cmd ?? null,
    Image: "",
    Volumes: config.Volumes ?? null,
    WorkingDir: config.WorkingDir ?? "",
    Entrypoint: config.Entrypoint ?? null,
    OnBuild: null,
    Labels: config.Labels ?? null,
    ...(config.StopSignal === undefined ? {} : { StopSignal: config.StopSignal }),
  };
}

/** Newest first; of the entries only the newest has an id of its own. */
function history(info: ImageInfo): ImageHistoryItem[] {
  return info.history
    .map((entry, index) => {
      const isNewest = index === info.history.length - 1;
      return {
        Id: isNewest ? info.id : "<missing>",
        Created: Math.floor(entry.createdAtMs / 1000),
        CreatedBy: entry.createdBy,
        Tags: isNewest && info.references.length > 0 ? info.references.map(familiar) : null,
        Size: entry.sizeBytes,
        Comment: entry.comment,
      };
    })
    .reverse();
}

async function acceptance(engine: EngineFace, text: string): Promise<(info: ImageInfo) => boolean> {
  const filters = Filters.parse(text, knownFilters);
  const dangling = filters.flag("dangling");
  const edges = async (name: string) =>
    await Promise.all(filters.values(name).map(async (key) => (await engine.images.get(key)).createdAtMs));
  const until = filters.values("until").map((moment) => parseMoment("until", moment) ?? 0);
  const before = Math.min(...(await edges("before")), ...until);
  const since = Math.max(...(await edges("since")));
  return (info) =>
    (dangling === undefined || dangling === (info.references.length === 0)) &&
    filters.matchesLabels(info.labels) &&
    info.createdAtMs < before &&
    info.createdAtMs > since &&
    filters.any("reference", (pattern) =>
      [...info.references, ...info.repoDigests].some((name) => isReferenceLike(familiar(name), pattern)),
    );
}

/** A shell pattern over the name as Docker shows it, with or without its tag; a star stays within a part of the path. */
function isReferenceLike(name: string, pattern: string): boolean {
  const expression = new RegExp(
    `^${pattern
      .replace(/[.+^${}()|\\]/g, "\\$&")
      .replaceAll("*", "[^/]*")
      .replaceAll("?", "[^/]")}$`,
  );
  const at = name.lastIndexOf(":");
  const bare = at > name.lastIndexOf("/") ? name.slice(0, at).replace(/@sha256$/, "") : name;
  return expression.test(name) || expression.test(bare);
}

function prunedItem(text: string): ImageDeleteItem {
  return text.startsWith("sha256:") ? { Deleted: text } : { Untagged: familiar(text) };
}

/** `docker.io/library/debian:12` as `debian:12`; ids stay as they are. */
function familiar(text: string): string {
  return /^(docker\.io|index\.docker\.io)\//.test(text) ? familiarReference(parseReference(text)) : text;
}
