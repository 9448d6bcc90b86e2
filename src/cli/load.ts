import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import type { Readable } from "node:stream";
import type { ProgressLine } from "../api/wire.ts";
import { OnggiError } from "../base/error.ts";
import { errorCode } from "./client.ts";
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
    const { client, flags, io } = context;
    const stream = await openArchive(context, flags.input);
    // Once the archive flows the call can't be made again: see first that a daemon answers.
    await client.status({ method: "GET", path: "/_ping" });
    const lines = client.lines<ProgressLine>({
      method: "POST",
      path: "/images/load",
      query: { quiet: flags.quiet },
      stream,
    });
    await showProgress(flags.quiet ? onlyResults(lines) : lines, io.stdout);
    return 0;
  },
});

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
