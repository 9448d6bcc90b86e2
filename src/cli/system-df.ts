import type { DiskUsage, LayerTreeBody, StorageBody } from "../api/wire.ts";
import { type Context, command } from "./command.ts";
import { diskTables, summaryList, summaryRows, verboseUsage } from "./disk-tables.ts";
import { flag } from "./flag.ts";
import { formatList, unescaped } from "./format.ts";
import { compileTemplate } from "./template.ts";
import { UsageError } from "./usage-error.ts";
import { whyLines } from "./why-lines.ts";

const flags = {
  format: flag.string({ help: "Print as 'table', 'table TEMPLATE', 'json', or by a Go template" }),
  verbose: flag.switch({ short: "v", help: "Show each image, container, volume and layer" }),
  why: flag.string({ help: "Show what keeps an image's layers, or a layer, on the disk", placeholder: "IMAGE|LAYER" }),
};

export const systemDf = command({
  name: "df",
  summary: "Show disk use",
  args: "",
  arity: [0, 0],
  details: [
    "Layers that several images share are counted once. RECLAIMABLE is what onggi system prune -a could free.",
    "With --why, a tree shows the images, containers and snapshots that stand on a layer: those must go first.",
  ].join("\n"),
  flags,
  async run(context) {
    const { client, print } = context;
    const { why } = context.flags;
    if (why !== undefined) {
      if (context.flags.verbose) throw new UsageError("onggi: --why and --verbose don't go together", 1);
      const tree = await client.json<LayerTreeBody>({
        method: "GET",
        path: "/onggi/v1/storage/why",
        query: { name: why },
      });
      if (context.flags.format === "json") print(JSON.stringify(tree));
      else for (const line of whyLines(tree)) print(line);
      return 0;
    }
    const usage = await client.json<DiskUsage>({ method: "GET", path: "/system/df" });
    return context.flags.verbose ? await showAll(context, usage) : showSummary(context, usage);
  },
});

type DfContext = Context<typeof flags>;

function showSummary({ flags: { format = "" }, print }: DfContext, usage: DiskUsage): number {
  for (const line of formatList(summaryRows(usage), format, summaryList)) print(line);
  return 0;
}

async function showAll({ client, flags: { format = "" }, print }: DfContext, usage: DiskUsage): Promise<number> {
  const storage = await client.json<StorageBody>({ method: "GET", path: "/onggi/v1/storage" });
  if (format === "json") print(JSON.stringify(verboseUsage(usage, storage)));
  else if (format !== "" && format !== "table") print(compileTemplate(unescaped(format))(verboseUsage(usage, storage)));
  else for (const line of diskTables(usage, storage, Date.now())) print(line);
  return 0;
}
