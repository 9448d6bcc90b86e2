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
import { splitName } from "./repository.ts";

export const importImage = command({
  name: "import",
  summary: "Import the contents from a tarball to create a filesystem image",
  args: "FILE|- [REPOSITORY[:TAG]]",
  arity: [1, 2],
  flags: {
    change: flag.list({ short: "c", help: "Apply Dockerfile instruction to the created image" }),
    message: flag.string({ short: "m", help: "Set commit message for imported image" }),
    platform: flag.string({ help: "Set platform if server is multi-platform capable" }),
  },
  details: `
The archive is a tar of a whole tree, plain or compressed with gzip or zstd, as 'onggi export' writes it. It knows nothing of how it is run: say
that with --change, for example --change 'CMD ["/bin/sh"]'.`,
  async run(context) {
    const { client, args, flags, io } = context;
    const [file = "", name = ""] = args;
    const stream = await openTree(context, file);
    const { repo, tag } = splitName(name);
    // Once the archive flows the call can't be made again: see first that a daemon answers.
    await client.status({ method: "GET", path: "/_ping" });
    const lines = client.lines<ProgressLine>({
      method: "POST",
      path: "/images/create",
      query: { fromSrc: "-", repo, tag, message: flags.message, changes: flags.change, platform: flags.platform },
      stream,
    });
    await showProgress(lines, io.stdout);
    return 0;
  },
});

async function openTree({ io }: Pick<Context<object>, "io">, path: string): Promise<Readable> {
  if (path === "-") {
    if (io.stdin.isTTY === true)
      throw new Exit(1, "onggi: requested import from stdin, but stdin is a terminal\nName a file, or redirect.");
    return io.stdin;
  }
  if (/^https?:\/\//.test(path)) {
    throw new OnggiError("unsupported", "importing from a URL is not supported by Onggi", {
      hint: `Fetch it and give it on stdin: curl ${path} | onggi import - NAME`,
    });
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
