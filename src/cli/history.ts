import type { ImageHistoryItem } from "../api/wire.ts";
import { command } from "./command.ts";
import { imagePath } from "./engine-call.ts";
import { flag } from "./flag.ts";
import { formatList, type ListFormat } from "./format.ts";
import { ago, decimalSize, ellipsis, shortId } from "./humanize.ts";

export const history = command({
  name: "history",
  summary: "Show the history of an image",
  args: "IMAGE",
  arity: [1, 1],
  flags: {
    format: flag.string({ help: "Print as 'table', 'table TEMPLATE', 'json', or by a Go template" }),
    human: flag.switch({ short: "H", initial: true, help: "Print sizes and dates for people (default true)" }),
    noTrunc: flag.switch({ help: "Don't shorten output" }),
    quiet: flag.switch({ short: "q", help: "Only show IDs" }),
  },
  async run({ client, args: [key = ""], flags, print }) {
    const items = await client.json<readonly ImageHistoryItem[]>({ method: "GET", path: imagePath(key, "history") });
    const list = historyList({ human: flags.human, trunc: !flags.noTrunc, nowMs: Date.now() });
    const format = flags.quiet && flags.format === undefined ? "{{.ID}}" : (flags.format ?? "");
    for (const line of formatList(items, format, list)) print(line);
    return 0;
  },
});

/** The columns of an image's history. */
export function historyList({
  human,
  trunc,
  nowMs,
}: {
  human: boolean;
  trunc: boolean;
  nowMs: number;
}): ListFormat<ImageHistoryItem> {
  const createdAt = ({ Created }: ImageHistoryItem) => new Date(Created * 1000).toISOString().replace(/\.\d+Z$/, "Z");
  return {
    table: "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
    columns: {
      Comment: { header: "COMMENT", value: ({ Comment }) => Comment },
      CreatedAt: { header: "CREATED AT", value: createdAt },
      CreatedBy: {
        header: "CREATED BY",
        value: ({ CreatedBy }) =>
          trunc ? ellipsis(CreatedBy.replaceAll("\t", " "), 45) : CreatedBy.replaceAll("\t", " "),
      },
      CreatedSince: {
        header: human ? "CREATED" : "CREATED AT",
        value: (item) => (!human ? createdAt(item) : item.Created <= 0 ? "N/A" : ago(item.Created * 1000, nowMs)),
      },
      ID: { header: "IMAGE", value: ({ Id }) => (trunc && Id !== "<missing>" ? shortId(Id) : Id) },
      Size: { header: "SIZE", value: ({ Size }) => (human ? decimalSize(Size) : String(Size)) },
    },
  };
}
