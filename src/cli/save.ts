import { command } from "./command.ts";
import { Exit } from "./exit.ts";
import { flag } from "./flag.ts";
import { write } from "./io.ts";
import { writeWhole } from "./whole-file.ts";

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
