import { OnggiError } from "../base/error.ts";
import { readAll } from "./client.ts";
import { command } from "./command.ts";
import { createRequest } from "./create-request.ts";
import { parseFlags } from "./parse-flags.ts";
import { type CreateFlags, runFlags } from "./run-flags.ts";
import { UsageError } from "./usage-error.ts";

export const explain = command({
  name: "explain",
  summary: "Print the bash script that makes the same container",
  args: "run [OPTIONS] IMAGE [COMMAND] [ARG...] | CONTAINER",
  arity: [1, Number.POSITIVE_INFINITY],
  flags: {},
  stopEarly: true,
  details:
    "With 'run' and its options nothing is made: the script tells what would be done. With a container it tells how that one was made.",
  async run({ client, args, io }) {
    const [what = "", ...rest] = args;
    if (what !== "run") {
      if (rest.length > 0) throw new UsageError("onggi: 'onggi explain' takes one container", 1);
      const answer = await client.open({
        method: "GET",
        path: `/onggi/v1/containers/${encodeURIComponent(what)}/explain`,
      });
      io.stdout.write(await readAll(answer));
      return 0;
    }
    const { values, args: words } = parseFlags(rest, runFlags, true);
    if (words.length === 0)
      throw new OnggiError("invalid", "'onggi explain run' requires at least 1 argument", { hint: "Name an image." });
    // parseFlags fills each flag of the table by the flag's own reader.
    const flags = values as unknown as CreateFlags;
    const { name, body } = createRequest(flags, words, { attached: !values.detach, environment: io.env });
    const answer = await client.open({ method: "POST", path: "/onggi/v1/explain", query: { name }, body });
    io.stdout.write(await readAll(answer));
    return 0;
  },
});
