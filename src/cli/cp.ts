import { lstatSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { type Readable, Transform } from "node:stream";
import type { ContainerPathStat } from "../api/wire.ts";
import { OnggiError } from "../base/error.ts";
import { type Client, errorCode } from "./client.ts";
import { type Context, command } from "./command.ts";
import {
  assertsDirectory,
  type CopySource,
  type CopyTarget,
  keepEnding,
  meansContents,
  parseCopySide,
  planCopy,
  renamed,
  splitEntry,
} from "./cp-path.ts";
import { containerPath } from "./engine-call.ts";
import { Exit } from "./exit.ts";
import { flag } from "./flag.ts";
import { decimalSize } from "./humanize.ts";
import { write } from "./io.ts";
import { packLocal, unpackLocal } from "./local-tar.ts";

const statHeader = "x-docker-container-path-stat";
/** Go's file modes. */
const isDirectoryBit = 2 ** 31;
const isLinkBit = 2 ** 27;

const flags = {
  archive: flag.switch({ short: "a", help: "Keep owners: to a container, all becomes its user's" }),
  followLink: flag.switch({ short: "L", help: "Always follow symbol link in SRC_PATH" }),
  quiet: flag.switch({ short: "q", help: "Say nothing of what was copied" }),
};
type CpContext = Context<typeof flags>;

export const cp = command({
  name: "cp",
  summary: "Copy files/folders between a container and the local filesystem",
  args: "CONTAINER:SRC_PATH DEST_PATH|-  or  SRC_PATH|- CONTAINER:DEST_PATH",
  arity: [2, 2],
  flags,
  details: `
The container may run or not; volumes and binds are seen as it sees them. A folder that is there gets SRC in it; what isn't there gets
DEST's name. SRC/. is what is in a folder, without the folder. '-' is a tar on stdin or stdout.

Symbolic links are copied as such (-L follows one that is SRC itself), and never lead out of the container.`,
  async run(context) {
    const [source, target] = context.args.map(parseCopySide);
    if (source === undefined || target === undefined) return 1;
    if (source.container !== undefined && target.container !== undefined)
      throw new OnggiError("invalid", "copying between containers is not supported");
    if (source.container !== undefined) await fromContainer(context, source.container, source.path, target.path);
    else if (target.container !== undefined) await toContainer(context, source.path, target.container, target.path);
    else throw new OnggiError("invalid", "must specify at least one container source");
    return 0;
  },
});

async function fromContainer(context: CpContext, container: string, asked: string, written: string): Promise<void> {
  const { client, flags, io } = context;
  const source = flags.followLink ? await followed(client, container, asked) : { path: asked };
  const target = written === "-" ? undefined : localTarget(written);
  const call = { path: containerPath(container, "archive"), query: { path: source.path } };
  const answer = await client.open({ method: "GET", ...call });
  if (target === undefined) {
    for await (const chunk of answer) await write(io.stdout, chunk);
    return;
  }
  const { mode } = decodeStat(answer.headers[statHeader]);
  const copied: CopySource = { ...source, isDirectory: (mode & isDirectoryBit) !== 0 };
  const counter = new Counter();
  try {
    const { folder, name } = planCopy(copied, target);
    const entry = name ?? splitEntry(source.path).name;
    if (!meansContents(entry)) checkTypes(join(folder, entry), copied.isDirectory);
    await unpackLocal(answer.pipe(counter), folder, { name, keepsOwners: flags.archive });
  } finally {
    answer.destroy();
  }
  report(context, counter.bytes, written);
}

async function toContainer(context: CpContext, written: string, container: string, asked: string): Promise<void> {
  const { client, flags, io } = context;
  const target = await containerTarget(client, container, asked);
  const call = (folder: string, stream: Readable) =>
    client.status({
      method: "PUT",
      path: containerPath(container, "archive"),
      query: { path: folder, noOverwriteDirNonDir: "true", ...(flags.archive ? { copyUIDGID: "true" } : {}) },
      stream,
    });
  const counter = new Counter();
  if (written === "-") {
    if (target.kind !== "directory")
      throw new OnggiError("invalid", `destination "${container}:${asked}" must be a directory`);
    await call(target.path, io.stdin.pipe(counter));
  } else {
    const source = localSource(written, flags.followLink);
    const { folder, name } = planCopy(source, target);
    const { folder: from, name: entry } = splitEntry(source.path);
    const packing = packLocal(from, entry, name ?? source.name);
    await call(folder, packing.stream.pipe(counter));
    await packing.done;
  }
  report(context, counter.bytes, `${container}:${asked}`);
}

/** SRC itself is a link: what it leads to is copied, under the link's name. */
async function followed(client: Client, container: string, path: string) {
  const stat = await statIn(client, container, path);
  return stat === undefined || (stat.mode & isLinkBit) === 0 ? { path } : renamed(path, stat.linkTarget);
}

/** What can't be looked at counts as missing: writing to it will tell why. */
async function containerTarget(client: Client, container: string, path: string): Promise<CopyTarget> {
  let at = path;
  let stat = await statIn(client, container, at);
  if (stat !== undefined && (stat.mode & isLinkBit) !== 0) {
    at = stat.linkTarget;
    stat = await statIn(client, container, at);
  }
  if (stat === undefined) return { path: at, kind: "missing" };
  return { path: at, kind: (stat.mode & isDirectoryBit) !== 0 ? "directory" : "other" };
}

async function statIn(client: Client, container: string, path: string): Promise<ContainerPathStat | undefined> {
  try {
    const answer = await client.open({ method: "HEAD", path: containerPath(container, "archive"), query: { path } });
    answer.resume();
    return decodeStat(answer.headers[statHeader]);
  } catch (error) {
    if (error instanceof Error && error.name === "DaemonError") return undefined;
    throw error;
  }
}

function decodeStat(header: string | string[] | undefined): ContainerPathStat {
  if (typeof header !== "string") throw new OnggiError("unavailable", "the daemon didn't say what lies at the path");
  return JSON.parse(Buffer.from(header, "base64").toString()) as ContainerPathStat;
}

function localSource(written: string, followLink: boolean): CopySource {
  const path = keepEnding(resolve(written), written);
  try {
    // A slash or a dot at the end means what a link leads to.
    const found = followLink
      ? renamed(path, realpathSync(path))
      : { path: keepEnding(join(realpathSync(dirname(resolve(written))), basename(resolve(written))), written) };
    return { ...found, isDirectory: lstatSync(found.path).isDirectory() };
  } catch (cause) {
    throw notThere("lstat", path, cause);
  }
}

function localTarget(written: string): CopyTarget {
  const path = keepEnding(resolve(written), written);
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat !== undefined) return { path, kind: stat.isDirectory() ? "directory" : "other" };
  const { folder } = splitEntry(path);
  const parent = statSync(folder, { throwIfNoEntry: false });
  if (parent === undefined)
    throw new Exit(1, `invalid output path: directory ${JSON.stringify(folder)} does not exist`);
  if (!parent.isDirectory()) throw new OnggiError("invalid", "not a directory");
  return { path, kind: "missing" };
}

/** tar replaces types without asking; Docker doesn't. */
function checkTypes(path: string, isDirectory: boolean): void {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there === undefined || there.isDirectory() === isDirectory) return;
  const [was, is] = isDirectory ? ["non-directory", "directory"] : ["directory", "non-directory"];
  throw new OnggiError("conflict", `cannot overwrite ${was} "${path}" with ${is} "${path}"`);
}

function notThere(call: string, path: string, cause: unknown): OnggiError {
  const code = errorCode(cause) ?? "";
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: "no such file or directory",
    ENOTDIR: "not a directory",
    EACCES: "permission denied",
    ELOOP: "too many levels of symbolic links",
  };
  const shown = assertsDirectory(path) && code === "ENOTDIR" ? path.replace(/\/\.?$/, "/") : path;
  return new OnggiError("not_found", `${call} ${shown}: ${reasons[code] ?? code}`, { cause });
}

function report({ flags, io }: CpContext, bytes: number, to: string): void {
  if (flags.quiet || io.stdout.isTTY !== true) return;
  io.stderr.write(`Successfully copied ${decimalSize(bytes)} to ${to}\n`);
}

/** Counts what flows through. */
class Counter extends Transform {
  bytes = 0;

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: (error: null, chunk: Buffer) => void): void {
    this.bytes += chunk.length;
    done(null, chunk);
  }
}
