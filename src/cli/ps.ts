import type { ContainerSummary, PortSummary } from "../api/wire.ts";
import { command } from "./command.ts";
import { filterQuery } from "./filters.ts";
import { flag } from "./flag.ts";
import { formatList, type ListFormat, usesField } from "./format.ts";
import { ago, decimalSize, ellipsis, goTime, shortId } from "./humanize.ts";

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

const tableTemplate = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";

/** The columns of a list of containers. */
export function containerList({
  trunc,
  size,
  nowMs,
}: {
  trunc: boolean;
  size: boolean;
  nowMs: number;
}): ListFormat<ContainerSummary> {
  const short = (text: string, width: number) => (trunc ? ellipsis(text, width) : text);
  return {
    table: size ? `${tableTemplate}\t{{.Size}}` : tableTemplate,
    columns: {
      Command: { header: "COMMAND", value: ({ Command }) => JSON.stringify(short(Command, 20)) },
      CreatedAt: { header: "CREATED AT", value: ({ Created }) => goTime(Created * 1000) },
      ID: { header: "CONTAINER ID", value: ({ Id }) => (trunc ? shortId(Id) : Id) },
      Image: { header: "IMAGE", value: (one) => imageText(one, trunc) },
      Labels: { header: "LABELS", value: ({ Labels }) => pairs(Labels) },
      LocalVolumes: {
        header: "LOCAL VOLUMES",
        value: ({ Mounts }) => String((Mounts ?? []).filter(({ Driver }) => Driver === "local").length),
      },
      Mounts: {
        header: "MOUNTS",
        value: ({ Mounts }) => (Mounts ?? []).map(({ Name, Source }) => short(Name || Source, 15)).join(","),
      },
      Names: { header: "NAMES", value: ({ Names }) => ownNames(Names, trunc) },
      Networks: {
        header: "NETWORKS",
        value: ({ NetworkSettings }) => Object.keys(NetworkSettings?.Networks ?? {}).join(","),
      },
      Platform: { header: "PLATFORM", value: () => null },
      Ports: { header: "PORTS", value: ({ Ports }) => portsText(Ports) },
      RunningFor: { header: "CREATED", value: ({ Created }) => ago(Created * 1000, nowMs) },
      Size: { header: "SIZE", value: sizeText },
      State: { header: "STATE", value: ({ State }) => State },
      Status: { header: "STATUS", value: ({ Status }) => Status },
    },
  };
}

function labelOf({ Labels }: ContainerSummary) {
  return (name = "") => Labels?.[name] ?? "";
}

function pairs(map: Readonly<Record<string, string>> | null): string {
  return Object.entries(map ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
}

/** Links would show as further names with a second slash; the own name has one. */
function ownNames(names: readonly string[], trunc: boolean): string {
  const plain = names.map((name) => name.replace(/^\//, ""));
  return (trunc ? plain.filter((name) => !name.includes("/")) : plain).join(",");
}

function imageText({ Image, ImageID }: ContainerSummary, trunc: boolean): string {
  if (Image === "") return "<no image>";
  return trunc && (Image === ImageID || /^sha256:/.test(Image)) ? shortId(Image) : Image;
}

function sizeText({ SizeRw = 0, SizeRootFs = 0 }: ContainerSummary): string {
  const own = decimalSize(SizeRw);
  return SizeRootFs > 0 ? `${own} (virtual ${decimalSize(SizeRootFs)})` : own;
}

/** `0.0.0.0:8000-8002->8000-8002/tcp, 0.0.0.0:8080->80/tcp, 81/tcp`: neighbouring ports are joined to ranges. */
export function portsText(ports: readonly PortSummary[]): string {
  const sorted = [...ports].sort(
    (a, b) =>
      a.PrivatePort - b.PrivatePort ||
      compare(a.IP ?? "", b.IP ?? "") ||
      (a.PublicPort ?? 0) - (b.PublicPort ?? 0) ||
      compare(a.Type, b.Type),
  );
  const moved: string[] = [];
  const done: string[] = [];
  const open = new Map<string, { ip: string; type: string; first: number; last: number }>();
  for (const { IP: ip = "", PrivatePort: inside, PublicPort: outside, Type: type } of sorted) {
    if (ip !== "" && outside !== inside) {
      moved.push(`${joinHost(ip, String(outside))}->${inside}/${type}`);
      continue;
    }
    const key = `${ip}/${type}`;
    const range = open.get(key);
    if (range !== undefined && inside === range.last + 1) range.last = inside;
    else {
      if (range !== undefined) done.push(rangeText(range));
      open.set(key, { ip, type, first: inside, last: inside });
    }
  }
  return [...done, ...[...open.values()].map(rangeText), ...moved].join(", ");
}

function rangeText({ ip, type, first, last }: { ip: string; type: string; first: number; last: number }): string {
  const range = first === last ? String(first) : `${first}-${last}`;
  return `${ip === "" ? range : `${joinHost(ip, range)}->${range}`}/${type}`;
}

function joinHost(ip: string, port: string): string {
  return ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
