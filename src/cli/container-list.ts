import type { ContainerSummary, PortSummary } from "../api/wire.ts";
import type { ListFormat } from "./format.ts";
import { ago, decimalSize, ellipsis, goTime, shortId } from "./humanize.ts";

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

/** `.Label "key"` of a template. */
export function labelOf({ Labels }: ContainerSummary) {
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
