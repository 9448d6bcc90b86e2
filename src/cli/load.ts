import { createReadStream, fstatSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { open, stat } from "node:fs/promises";
import { resolve } from "node:path";
import type { Readable } from "node:stream";
import type { LoadFileRequest, ProgressLine } from "../api/wire.ts";
import { OnggiError } from "../base/error.ts";
import { DaemonError, errorCode } from "./client.ts";
import { type Context, command } from "./command.ts";
import { Exit } from "./exit.ts";
import { flag } from "./flag.ts";
import { showProgress } from "./progress.ts";

export const load = command({
  name: "load",
  summary: "Load an image from an archive or STDIN (tar, also gzip or zstd)",
  args: "",
  arity: [0, 0],
  flags: {
    input: flag.string({ short: "i", help: "Read from this file instead of STDIN" }),
    quiet: flag.switch({ short: "q", help: "Show only what was loaded" }),
  },
  async run(context) {
    const { flags, io } = context;
    const lines = (await loadedInPlace(context)) ?? (await loadedByStream(context));
    await showProgress(flags.quiet ? onlyResults(lines) : lines, io.stdout);
    return 0;
  },
});

type LoadContext = Pick<Context<object>, "client" | "io"> & {
  readonly flags: { readonly input: string | undefined; readonly quiet: boolean };
};

/** Names the file to the daemon, which reads it where it lies; undefined where that isn't the file that is meant. */
async function loadedInPlace({ client, flags, io }: LoadContext): Promise<AsyncIterable<ProgressLine> | undefined> {
  const { input } = flags;
  const path = input === undefined || input === "-" ? fileOnStdin(io.stdin) : resolve(input);
  const stats = path === undefined ? undefined : await stat(path, { bigint: true }).catch(() => undefined);
  if (path === undefined || stats?.isFile() !== true) return undefined;
  const body = { path, device: String(stats.dev), inode: String(stats.ino) } satisfies LoadFileRequest;
  const lines = client.lines<ProgressLine>({ method: "POST", path: "/onggi/v1/images/load", body });
  try {
    const first = await lines.next();
    return again(first, lines);
  } catch (error) {
    if (error instanceof DaemonError && error.status === 404) return undefined;
    throw error;
  }
}

/** The path of a file that is redirected to stdin and not begun. */
function fileOnStdin(stdin: object): string | undefined {
  try {
    if (!("fd" in stdin) || stdin.fd !== 0) return undefined;
    const isAtStart = /^pos:\s*0$/m.test(readFileSync("/proc/self/fdinfo/0", "utf8"));
    const path = readlinkSync("/proc/self/fd/0");
    const [given, named] = [fstatSync(0, { bigint: true }), statSync(path, { bigint: true })];
    return isAtStart && given.isFile() && given.dev === named.dev && given.ino === named.ino ? path : undefined;
  } catch {
    return undefined; // a pipe, or a file that has lost its name
  }
}

async function* again<T>(first: IteratorResult<T>, rest: AsyncIterable<T>): AsyncGenerator<T> {
  if (first.done) return;
  yield first.value;
  yield* rest;
}

async function loadedByStream(context: LoadContext): Promise<AsyncIterable<ProgressLine>> {
  const { client, flags } = context;
  const stream = await openArchive(context, flags.input);
  // Once the archive flows the call can't be made again: see first that a daemon answers.
  await client.status({ method: "GET", path: "/_ping" });
  return client.lines({ method: "POST", path: "/images/load", query: { quiet: flags.quiet }, stream });
}

async function openArchive({ io }: Pick<Context<object>, "io">, path: string | undefined): Promise<Readable> {
  if (path === undefined || path === "-") {
    if (io.stdin.isTTY === true)
      throw new Exit(1, "onggi: requested load from stdin, but stdin is empty\nGive the archive with -i FILE.");
    return io.stdin;
  }
  try {
    await (await open(path)).close();
    return createReadStream(path, { highWaterMark: 1 << 20 });
  } catch (cause) {
    const code = errorCode(cause) ?? "";
    throw new OnggiError("not_found", `open ${path}: ${code === "ENOENT" ? "no such file or directory" : code}`, {
      cause,
    });
  }
}

async function* onlyResults(lines: AsyncIterable<ProgressLine>): AsyncGenerator<ProgressLine> {
  for await (const line of lines)
    if (line.stream !== undefined || line.error !== undefined || line.errorDetail !== undefined) yield line;
}
