import type { SnapshotBody } from "../api/wire.ts";
import { command } from "./command.ts";
import { filterQuery } from "./filters.ts";
import { flag } from "./flag.ts";
import { formatList, type ListFormat } from "./format.ts";
import { ago, decimalSize, goTime, shortId } from "./humanize.ts";

export const snapshotLs = command({
  name: "ls",
  summary: "List snapshots",
  args: "[CONTAINER]",
  arity: [0, 1],
  flags: {
    filter: flag.list({ short: "f", help: "Show only what fits (container=…, image=…, name=…)" }),
    format: flag.string({ help: "Print as 'table', 'table TEMPLATE', 'json', or by a Go template" }),
    noTrunc: flag.switch({ help: "Don't shorten output" }),
    quiet: flag.switch({ short: "q", help: "Only show IDs" }),
  },
  async run({ client, args: [container], flags, print }) {
    const found = await client.json<readonly SnapshotBody[]>({
      method: "GET",
      path: "/onggi/v1/snapshots",
      query: { container, filters: filterQuery(flags.filter) },
    });
    const format = flags.quiet && flags.format === undefined ? "{{.ID}}" : (flags.format ?? "");
    for (const line of formatList(found, format, snapshotList({ trunc: !flags.noTrunc, nowMs: Date.now() })))
      print(line);
    return 0;
  },
});

/** The columns of a list of snapshots. */
export function snapshotList({ trunc, nowMs }: { trunc: boolean; nowMs: number }): ListFormat<SnapshotBody> {
  return {
    table: "{{.ID}}\t{{.Name}}\t{{.Container}}\t{{.CreatedSince}}\t{{.Size}}",
    columns: {
      Container: { header: "CONTAINER", value: ({ container }) => container.name },
      ContainerID: { header: "CONTAINER ID", value: ({ container }) => (trunc ? shortId(container.id) : container.id) },
      CreatedAt: { header: "CREATED AT", value: ({ created }) => goTime(Date.parse(created)) },
      CreatedSince: { header: "CREATED", value: ({ created }) => ago(Date.parse(created), nowMs) },
      ID: { header: "SNAPSHOT ID", value: ({ id }) => (trunc ? shortId(id) : id) },
      Image: { header: "IMAGE", value: ({ image }) => image.reference },
      Name: { header: "NAME", value: ({ name }) => name },
      Reference: { header: "REFERENCE", value: ({ reference }) => reference },
      Size: { header: "SIZE", value: ({ sizeBytes }) => decimalSize(sizeBytes) },
      UsedBy: { header: "USED BY", value: ({ usedBy }) => usedBy.join(",") },
    },
  };
}
