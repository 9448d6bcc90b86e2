import { OnggiError } from "../base/error.ts";
import type { FileChange, FileDifference } from "../engine/files-face.ts";
import { type Route, route } from "./route.ts";
import type { ContainerChange, TreeDifference } from "./wire.ts";

const kinds: Readonly<Record<FileChange["kind"], 0 | 1 | 2>> = { modified: 0, added: 1, deleted: 2 };

/** What differs: of a container from its image, and between any two trees. */
export const changesRoutes: readonly Route[] = [
  route("GET /containers/:id/changes", async (engine, { params }) => {
    const changes = await engine.files.changes(params.id);
    return { json: changes.map(({ kind, path }): ContainerChange => ({ Path: path, Kind: kinds[kind] })) };
  }),

  route("GET /onggi/v1/diff", (engine, { query, signal }) => {
    const [from, to] = [query.text("from"), query.text("to")];
    if (from === "" || to === "") {
      throw new OnggiError("invalid", "two trees are needed: from and to", {
        hint: "Each is a container, a snapshot (CONTAINER@NAME) or an image.",
      });
    }
    const differences = engine.files.diff(from, to, { patch: query.flag("patch"), signal });
    return { contentType: "application/json", stream: differenceLines(differences) };
  }),
];

async function* differenceLines(differences: AsyncIterable<FileDifference>): AsyncGenerator<string> {
  for await (const { kind, path, patch } of differences) {
    const line: TreeDifference = { Path: path, Kind: kinds[kind], ...(patch === undefined ? {} : { Patch: patch }) };
    yield `${JSON.stringify(line)}\n`;
  }
}
