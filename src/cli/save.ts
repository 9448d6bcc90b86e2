import { createWriteStream, renameSync, rmSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { messageOf, OnggiError } from "../base/error.ts";
import { command } from "./command.ts";
import { Exit } from "./exit.ts";
import { flag } from "./flag.ts";
import { write } from "./io.ts";

export const save = command({
  name: "save",
  summary: "Save one or more images to a tar archive",
  args: "IMAGE [IMAGE...]",
  arity: [1, Number.POSITIVE_INFINITY],
  flags: { output: flag.string({ short: "o", help: "Write to this file instead of STDOUT" }) },
  async run({ client, args, flags, io }) {
    if (flags.output === undefined && io.stdout.isTTY === true) {
      throw new Exit(1, "onggi: cowardly refusing to save to a terminal. Use the -o flag or redirect");
    }
    const answer = await client.open({ method: "GET", path: "/images/get", query: { names: args } });
    if (flags.output === undefined) for await (const chunk of answer) await write(io.stdout, chunk);
    else await writeWhole(answer, flags.output);
    return 0;
  },
});

/** The file appears when it is whole, and not at all when the stream breaks off. */
async function writeWhole(stream: NodeJS.ReadableStream, path: string): Promise<void> {
  const partial = `${path}.${process.pid}.partial`;
  try {
    await pipeline(stream, createWriteStream(partial, { mode: 0o600 }));
    renameSync(partial, path);
  } catch (cause) {
    rmSync(partial, { force: true });
    throw new OnggiError("unavailable", `can't save to ${path}: ${messageOf(cause)}`, { cause });
  }
}
