import type { ContainerSummary } from "../api/wire.ts";
import { command } from "./command.ts";
import { containerList, labelOf } from "./container-list.ts";
import { filterQuery } from "./filters.ts";
import { flag } from "./flag.ts";
import { formatList, usesField } from "./format.ts";

export const ps = command({
  name: "ps",
  summary: "List containers",
  args: "",
  arity: [0, 0],
  flags: {
    all: flag.switch({ short: "a", help: "Show all containers (default shows just running)" }),
    filter: flag.list({ short: "f", help: "Show only what fits (name=…, status=…, label=…, ancestor=…, id=…, …)" }),
    format: flag.string({ help: "Print as 'table', 'table TEMPLATE', 'json', or by a Go template" }),
    last: flag.integer({ short: "n", help: "Show the last n created containers, whatever their state" }),
    latest: flag.switch({ short: "l", help: "Show the last created container, whatever its state" }),
    noTrunc: flag.switch({ help: "Don't shorten output" }),
    quiet: flag.switch({ short: "q", help: "Only show IDs" }),
    size: flag.switch({ short: "s", help: "Show sizes on disk" }),
  },
  async run({ client, flags, print }) {
    const format = flags.format ?? "";
    const limit = flags.latest ? 1 : flags.last;
    const withSize = flags.size || usesField(format, "Size");
    const containers = await client.json<readonly ContainerSummary[]>({
      method: "GET",
      path: "/containers/json",
      query: {
        all: flags.all || undefined,
        limit: limit === undefined || limit < 0 ? undefined : limit,
        size: withSize || undefined,
        filters: filterQuery(flags.filter),
      },
    });
    const list = containerList({ trunc: !flags.noTrunc, size: flags.size, nowMs: Date.now() });
    const lines =
      flags.quiet && format === ""
        ? formatList(containers, "{{.ID}}", list)
        : formatList(containers, format, list, { Label: labelOf });
    for (const line of lines) print(line);
    return 0;
  },
});
