import { OnggiError } from "../base/error.ts";
import type { PathInfo } from "../engine/files-face.ts";
import { type Route, route } from "./route.ts";
import { formatTime } from "./time.ts";
import type { ContainerPathStat } from "./wire.ts";

/** Files in and out of containers: `cp` and `export`. */
export const archiveRoutes: readonly Route[] = [
  route("HEAD /containers/:id/archive", async (engine, { params, query }) => ({
    headers: pathHeaders(await engine.files.stat(params.id, pathIn(query.text("path")))),
  })),

  route("GET /containers/:id/archive", async (engine, { params, query, signal }) => {
    const { info, archive } = await engine.files.read(params.id, pathIn(query.text("path")), { signal });
    return { contentType: "application/x-tar", stream: archive, headers: pathHeaders(info) };
  }),

  route("PUT /containers/:id/archive", async (engine, { params, query, stream, signal }) => {
    await engine.files.write(params.id, pathIn(query.text("path")), stream, {
      keepsTypes: query.flag("noOverwriteDirNonDir"),
      asContainerUser: query.flag("copyUIDGID"),
      signal,
    });
    return {};
  }),

  route("GET /containers/:id/export", async (engine, { params, signal }) => ({
    contentType: "application/octet-stream",
    stream: await engine.files.export(params.id, { signal }),
  })),
];

function pathIn(path: string): string {
  if (path === "") throw new OnggiError("invalid", "bad parameter: 'path' cannot be empty");
  return path;
}

/** Go's file modes: the type in the high bits. */
const typeBits: Readonly<Record<PathInfo["type"], number>> = {
  file: 0,
  directory: 2 ** 31,
  symlink: 2 ** 27,
  block: 2 ** 26,
  char: 2 ** 26 + 2 ** 21,
  fifo: 2 ** 25,
  socket: 2 ** 24,
};

/** setuid, setgid and sticky, as the kernel has them and as Go has them. */
const specialBits = [
  [0o4000, 2 ** 23],
  [0o2000, 2 ** 22],
  [0o1000, 2 ** 20],
] as const;

function pathHeaders({ name, type, mode, size, mtimeNs, linkTarget }: PathInfo): Readonly<Record<string, string>> {
  const special = specialBits.reduce((sum, [bit, go]) => sum + ((mode & bit) === 0 ? 0 : go), 0);
  const stat: ContainerPathStat = {
    name,
    size,
    mode: typeBits[type] + special + (mode & 0o777),
    mtime: formatTime(Number(mtimeNs / 1_000_000n)),
    linkTarget,
  };
  return { "X-Docker-Container-Path-Stat": Buffer.from(JSON.stringify(stat)).toString("base64") };
}
