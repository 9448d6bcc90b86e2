import { messageOf, OnggiError } from "../base/error.ts";
import type { EngineFace, RegistryLogin } from "../engine/engine.ts";
import type { Progress } from "../engine/model.ts";
import { familiarReference, parseReference, withDefaultTag } from "../oci/reference.ts";
import { referenceOf } from "./commit.ts";
import { isDefect } from "./http-error.ts";
import type { Query } from "./query.ts";
import { type Call, type Route, route, type StreamAnswer } from "./route.ts";
import type { FromHostRequest, LoadFileRequest, ProgressLine, RegistryAuth } from "./wire.ts";

/** What moves images: from and to registries, archives and the host. */
export const imageTransferRoutes: readonly Route[] = [
  route("POST /images/create", (engine, { query, headers, stream, signal }) => {
    if (query.text("fromSrc") !== "") return progressAnswer(imported(engine, query, stream, signal), signal);
    const [image, tag, platform] = [query.text("fromImage"), query.text("tag"), query.text("platform")];
    const reference = withDefaultTag(parseReference(joined(image, tag)));
    return progressAnswer(
      engine.images.pull(familiarReference(reference), {
        ...loginOf(headers),
        ...(platform === "" ? {} : { platform }),
        signal,
      }),
      signal,
    );
  }),

  route("POST /images/:name*/push", (engine, { params, query, headers, signal }) => {
    const named = parseReference(joined(params.name, query.text("tag")));
    if (named.digest !== undefined) throw new OnggiError("invalid", "cannot push a digest reference");
    return progressAnswer(
      engine.images.push(familiarReference(withDefaultTag(named)), { ...loginOf(headers), signal }),
      signal,
    );
  }),

  route("POST /images/load", (engine, { query, stream, signal }) => {
    const progress = engine.images.load(stream, { signal });
    return progressAnswer(query.flag("quiet") ? onlyResults(progress) : progress, signal);
  }),

  route("POST /onggi/v1/images/load", async (engine, call) => {
    const { path = "", device, inode } = await call.json<LoadFileRequest>();
    const identity = device === undefined || inode === undefined ? {} : { identity: identityOf(device, inode) };
    return progressAnswer(engine.images.load({ path, ...identity }, { signal: call.signal }), call.signal);
  }),

  route("GET /images/get", (engine, { query, signal }) => {
    const names = query.all("names");
    if (names.length === 0) throw new OnggiError("invalid", "no image named", { hint: "Name them with ?names=…" });
    return { contentType: "application/x-tar", stream: engine.images.save(names, { signal }) };
  }),

  route("GET /images/:name*/get", (engine, { params, signal }) => ({
    contentType: "application/x-tar",
    stream: engine.images.save([params.name], { signal }),
  })),

  route("POST /onggi/v1/images/from-host", async (engine, call) => {
    const { reference = "", programs } = await call.json<FromHostRequest>();
    const name = familiarReference(withDefaultTag(parseReference(reference)));
    return progressAnswer(
      engine.images.fromHost({ reference: name, ...(programs === undefined ? {} : { programs }) }),
      call.signal,
    );
  }),
];

/** `fromSrc=-`: a tree's tar is in the body. The last line is the image's id, as Docker has it. */
async function* imported(
  engine: EngineFace,
  query: Query,
  stream: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Progress> {
  if (query.text("fromSrc") !== "-") {
    throw new OnggiError("unsupported", "importing from a URL is not supported by Onggi", {
      hint: "Fetch it and give it on stdin: curl URL | onggi import - NAME.",
    });
  }
  const reference = referenceOf(query.text("repo"), query.text("tag"));
  const platform = query.text("platform");
  const id = await engine.files.import(stream, {
    ...(reference === undefined ? {} : { reference }),
    ...(platform === "" ? {} : { platform }),
    comment: query.text("message"),
    changes: query.all("changes"),
    signal,
  });
  yield { status: id };
}

function identityOf(device: string, inode: string): { readonly device: bigint; readonly inode: bigint } {
  if (/^\d+$/.test(device) && /^\d+$/.test(inode)) return { device: BigInt(device), inode: BigInt(inode) };
  throw new OnggiError("invalid", "device and inode are numbers in decimal digits");
}

/** The tag may be a digest, as docker sends it for `name@sha256:…`. */
function joined(name: string, tag: string): string {
  if (tag === "") return name;
  return tag.startsWith("sha256:")
    ? `${name}@${tag}`
    : `${name.replace(new RegExp(`:${escapeExpression(tag)}$`), "")}:${tag}`;
}

function escapeExpression(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** Lines of JSON. What fails before the first is an error as any; later it is the last line, since the status has gone out. */
function progressAnswer(progress: AsyncIterable<Progress>, signal: AbortSignal): StreamAnswer {
  return { contentType: "application/json", stream: progressLines(progress, signal) };
}

async function* progressLines(progress: AsyncIterable<Progress>, signal: AbortSignal): AsyncGenerator<string> {
  let hasBegun = false;
  try {
    for await (const line of progress) {
      hasBegun = true;
      yield `${JSON.stringify(line)}\r\n`;
    }
  } catch (error) {
    if (!hasBegun || signal.aborted) throw error;
    yield `${JSON.stringify(errorLine(error))}\r\n`;
    // The client has its line; the log is told of what nobody foresaw.
    if (isDefect(error)) throw error;
  }
}

function errorLine(error: unknown): ProgressLine {
  const hint = error instanceof OnggiError ? error.hint : undefined;
  const message = hint === undefined ? messageOf(error) : `${messageOf(error)}\n${hint}`;
  return { errorDetail: { message }, error: message };
}

/** Load's last words, without the bars before them. */
async function* onlyResults(progress: AsyncIterable<Progress>): AsyncGenerator<Progress> {
  for await (const line of progress) if (line.stream !== undefined) yield line;
}

/** @throws OnggiError `invalid` for a header that is no base64url of JSON */
function loginOf(headers: Call["headers"]): { readonly login?: RegistryLogin } {
  const header = headers["x-registry-auth"];
  if (typeof header !== "string" || header === "") return {};
  const { username = "", password = "", auth = "", identitytoken = "" } = decodeAuth(header);
  // An identity token is used in place of a password, under a name that registries know.
  if (identitytoken !== "") return { login: { username: "<token>", password: identitytoken } };
  if (username !== "") return { login: { username, password } };
  const decoded = Buffer.from(auth, "base64").toString();
  const at = decoded.indexOf(":");
  return at < 0 ? {} : { login: { username: decoded.slice(0, at), password: decoded.slice(at + 1) } };
}

function decodeAuth(header: string): RegistryAuth {
  const text = Buffer.from(header, "base64url").toString();
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // Said below.
  }
  throw new OnggiError("invalid", "invalid X-Registry-Auth header: it is not JSON in base64url");
}
