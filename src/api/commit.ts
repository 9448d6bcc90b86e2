import { OnggiError } from "../base/error.ts";
import { type Route, route } from "./route.ts";
import type { CommitConfig, IdResponse } from "./wire.ts";

/** Images of what containers have become. */
export const commitRoutes: readonly Route[] = [
  route("POST /commit", async (engine, call) => {
    const { query, signal } = call;
    const container = query.text("container");
    if (container === "") throw new OnggiError("invalid", "no container named", { hint: "Name it with ?container=…" });
    const config = await call.json<CommitConfig>();
    const reference = referenceOf(query.text("repo"), query.text("tag"));
    const id = await engine.files.commit(container, {
      ...(reference === undefined ? {} : { reference }),
      author: query.text("author"),
      comment: query.text("comment"),
      pause: query.flag("pause", true),
      changes: [...changesOf(config), ...query.all("changes")],
      signal,
    });
    return { status: 201, json: { Id: id } satisfies IdResponse };
  }),
];

/** `repo[:tag]`; undefined for an image without a name. */
export function referenceOf(repo: string, tag: string): string | undefined {
  if (repo === "") return undefined;
  return tag === "" ? repo : `${repo}:${tag}`;
}

/** A config that a client sends whole counts where it says something, as if it had been written in a Dockerfile. */
function changesOf(config: Partial<CommitConfig>): string[] {
  const { Entrypoint, Cmd, Env, Labels, ExposedPorts, Volumes, User, WorkingDir, StopSignal, OnBuild } = config;
  const quoted = (text: string) => JSON.stringify(text).replaceAll("$", "\\$");
  return [
    ...(Entrypoint ? [`ENTRYPOINT ${JSON.stringify(Entrypoint)}`] : []),
    ...(Cmd ? [`CMD ${JSON.stringify(Cmd)}`] : []),
    ...(Env ?? [])
      .filter((entry) => entry.includes("="))
      .map((entry) => `ENV ${entry.slice(0, entry.indexOf("="))}=${quoted(entry.slice(entry.indexOf("=") + 1))}`),
    ...Object.entries(Labels ?? {}).map(([key, value]) => `LABEL ${quoted(key)}=${quoted(value)}`),
    ...Object.keys(ExposedPorts ?? {}).map((port) => `EXPOSE ${port}`),
    ...(Volumes && Object.keys(Volumes).length > 0 ? [`VOLUME ${JSON.stringify(Object.keys(Volumes))}`] : []),
    ...(User ? [`USER ${quoted(User)}`] : []),
    ...(WorkingDir ? [`WORKDIR ${quoted(WorkingDir)}`] : []),
    ...(StopSignal ? [`STOPSIGNAL ${StopSignal}`] : []),
    ...(OnBuild ?? []).map((trigger) => `ONBUILD ${trigger}`),
  ];
}
