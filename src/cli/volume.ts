import type { VolumeBody, VolumesList } from "../api/wire.ts";
import { command } from "./command.ts";
import { confirm } from "./confirm.ts";
import { forEach, volumePath } from "./engine-call.ts";
import { filterQuery } from "./filters.ts";
import { flag } from "./flag.ts";
import { formatList, type ListFormat } from "./format.ts";
import { decimalSize } from "./humanize.ts";
import { pruneVolumes } from "./volume-prune.ts";

export const volumeCreate = command({
  name: "create",
  summary: "Create a volume",
  args: "[VOLUME]",
  arity: [0, 1],
  details: [
    "Without a name it gets one of 64 digits and counts as anonymous: 'volume prune' removes it when no container has it.",
    "Options of the driver local: size=1G and inodes=100k give it a file system of that size; type, device and o are mounted as",
    "mount(8) does: --opt type=tmpfs --opt device=tmpfs --opt o=size=100m,uid=1000, or --opt type=none --opt o=bind --opt device=/srv.",
  ].join("\n"),
  flags: {
    driver: flag.string({ short: "d", help: 'Driver of the volume (default "local", the only one)' }),
    label: flag.map({ help: "Set metadata on the volume" }),
    name: flag.string({ help: "Name of the volume", hidden: true }),
    opt: flag.map({ short: "o", help: "Options of the driver (size, inodes, type, device, o)" }),
  },
  async run({ client, args: [name = ""], flags, print }) {
    const { Name } = await client.json<VolumeBody>({
      method: "POST",
      path: "/volumes/create",
      body: {
        Name: name || (flags.name ?? ""),
        Driver: flags.driver ?? "local",
        DriverOpts: flags.opt,
        Labels: flags.label,
      },
    });
    print(Name);
    return 0;
  },
});

export const volumeLs = command({
  name: "ls",
  summary: "List volumes",
  args: "",
  arity: [0, 0],
  flags: {
    filter: flag.list({ short: "f", help: "Show only what fits (dangling=…, driver=…, label=…, name=…)" }),
    format: flag.string({ help: "Print as 'table', 'table TEMPLATE', 'json', or by a Go template" }),
    quiet: flag.switch({ short: "q", help: "Only show names" }),
  },
  async run({ client, flags, print }) {
    const { Volumes } = await client.json<VolumesList>({
      method: "GET",
      path: "/volumes",
      query: { filters: filterQuery(flags.filter) },
    });
    const format = flags.quiet && flags.format === undefined ? "{{.Name}}" : (flags.format ?? "");
    for (const line of formatList(Volumes, format, volumeList, { Label: labelOf })) print(line);
    return 0;
  },
});

export const volumeRm = command({
  name: "rm",
  summary: "Remove one or more volumes",
  args: "VOLUME [VOLUME...]",
  arity: [1, Number.POSITIVE_INFINITY],
  details: "A volume that a container has, running or not, stays: remove the container first.",
  flags: { force: flag.switch({ short: "f", help: "Be content where there is no such volume" }) },
  async run(context) {
    return await forEach(context, context.args, async (name) => {
      await context.client.status({
        method: "DELETE",
        path: volumePath(name),
        query: { force: context.flags.force || undefined },
      });
      return name;
    });
  },
});

export const volumePrune = command({
  name: "prune",
  summary: "Remove unused volumes",
  args: "",
  arity: [0, 0],
  details: "Without --all, only anonymous ones: what somebody named is kept.",
  flags: {
    all: flag.switch({ short: "a", help: "Remove all unused volumes, not just anonymous ones" }),
    filter: flag.list({ help: "Only what fits (label=…, label!=…)" }),
    force: flag.switch({ short: "f", help: "Do not ask" }),
  },
  async run(context) {
    const { client, flags, print } = context;
    const kind = flags.all ? "all" : "anonymous";
    if (!flags.force && !(await confirm(context, [`${kind} local volumes not used by at least one container`])))
      return 0;
    const bytes = await pruneVolumes(client, flags.filter, flags.all, print);
    print(`Total reclaimed space: ${decimalSize(bytes, 4)}`);
    return 0;
  },
});

/** The columns of a list of volumes; what only swarm's volumes have is said as Docker says it. */
export const volumeList: ListFormat<VolumeBody> = {
  table: "{{.Driver}}\t{{.Name}}",
  columns: {
    Availability: { header: "AVAILABILITY", value: () => "N/A" },
    Driver: { header: "DRIVER", value: ({ Driver }) => Driver },
    Group: { header: "GROUP", value: () => "N/A" },
    Labels: { header: "LABELS", value: ({ Labels }) => pairs(Labels) },
    Links: {
      header: "LINKS",
      value: ({ UsageData }) => (UsageData === undefined ? "N/A" : String(UsageData.RefCount)),
    },
    Mountpoint: { header: "MOUNTPOINT", value: ({ Mountpoint }) => Mountpoint },
    Name: { header: "VOLUME NAME", value: ({ Name }) => Name },
    Scope: { header: "SCOPE", value: ({ Scope }) => Scope },
    Size: { header: "SIZE", value: ({ UsageData }) => (UsageData === undefined ? "N/A" : decimalSize(UsageData.Size)) },
    Status: { header: "STATUS", value: () => "N/A" },
  },
};

function labelOf({ Labels }: VolumeBody) {
  return (name = "") => Labels?.[name] ?? "";
}

function pairs(map: Readonly<Record<string, string>> | null): string {
  return Object.entries(map ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
}
