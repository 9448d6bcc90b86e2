import type { ImageSummary } from "../api/wire.ts";
import { command } from "./command.ts";
import { filterQuery } from "./filters.ts";
import { flag } from "./flag.ts";
import { formatList, usesField } from "./format.ts";
import { imageList, namesOf } from "./image-list.ts";

export const images = command({
  name: "images",
  summary: "List images",
  args: "[REPOSITORY[:TAG]]",
  arity: [0, 1],
  flags: {
    all: flag.switch({ short: "a", help: "Show intermediate images too" }),
    digests: flag.switch({ help: "Show digests" }),
    filter: flag.list({
      short: "f",
      help: "Show only what fits (reference=…, dangling=…, label=…, before=…, since=…)",
    }),
    format: flag.string({ help: "Print as 'table', 'table TEMPLATE', 'json', or by a Go template" }),
    noTrunc: flag.switch({ help: "Don't shorten output" }),
    quiet: flag.switch({ short: "q", help: "Only show IDs" }),
  },
  async run({ client, args: [reference], flags, print }) {
    const format = flags.format ?? "";
    const found = await client.json<readonly ImageSummary[]>({
      method: "GET",
      path: "/images/json",
      query: {
        all: flags.all || undefined,
        digests: flags.digests || undefined,
        filters: filterQuery(reference === undefined ? flags.filter : [...flags.filter, `reference=${reference}`]),
      },
    });
    const rows = found.flatMap((image) => namesOf(image, flags.digests || usesField(format, "Digest")));
    const list = imageList({ trunc: !flags.noTrunc, digests: flags.digests, nowMs: Date.now() });
    const lines = flags.quiet && format === "" ? formatList(rows, "{{.ID}}", list) : formatList(rows, format, list);
    for (const line of lines) print(line);
    return 0;
  },
});
