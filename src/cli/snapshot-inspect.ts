import type { SnapshotBody } from "../api/wire.ts";
import { command } from "./command.ts";
import { flag } from "./flag.ts";
import { unescaped } from "./format.ts";
import { compileTemplate } from "./template.ts";

export const snapshotInspect = command({
  name: "inspect",
  summary: "Display detailed information on one or more snapshots",
  args: "SNAPSHOT [SNAPSHOT...]",
  arity: [1, Number.POSITIVE_INFINITY],
  flags: { format: flag.string({ short: "f", help: "Print by a Go template" }) },
  async run({ client, args, flags, print }) {
    const found: SnapshotBody[] = [];
    for (const key of args)
      found.push(await client.json({ method: "GET", path: `/onggi/v1/snapshots/${encodeURIComponent(key)}` }));
    const template = flags.format ?? "";
    if (template === "" || template === "json") {
      print(JSON.stringify(found, undefined, template === "" ? 4 : undefined));
      return 0;
    }
    const fill = compileTemplate(unescaped(template));
    for (const one of found) print(fill(one));
    return 0;
  },
});
