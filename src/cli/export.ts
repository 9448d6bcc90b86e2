import { command } from "./command.ts";
import { containerPath } from "./engine-call.ts";
import { Exit } from "./exit.ts";
import { flag } from "./flag.ts";
import { write } from "./io.ts";
import { writeWhole } from "./whole-file.ts";

export const exportContainer = command({
  name: "export",
  summary: "Export a container's filesystem as a tar archive",
  args: "CONTAINER",
  arity: [1, 1],
  flags: { output: flag.string({ short: "o", help: "Write to this file instead of STDOUT" }) },
  details: `
The whole tree, with owners, times, extended attributes, hard links and holes. What lies in volumes and binds isn't in it.
'onggi import' makes an image of it again.`,
  async run({ client, args: [container = ""], flags, io }) {
    if (flags.output === undefined && io.stdout.isTTY === true)
      throw new Exit(1, "onggi: cowardly refusing to save to a terminal. Use the -o flag or redirect");
    const answer = await client.open({ method: "GET", path: containerPath(container, "export") });
    if (flags.output === undefined) for await (const chunk of answer) await write(io.stdout, chunk);
    else await writeWhole(answer, flags.output);
    return 0;
  },
});
