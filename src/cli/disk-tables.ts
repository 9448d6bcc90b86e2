import type { ContainerSummary, DiskUsage, ImageSummary, LayerUseBody, StorageBody, VolumeBody } from "../api/wire.ts";
import { containerList } from "./container-list.ts";
import { formatList, type ListFormat } from "./format.ts";
import { decimalSize, shortId } from "./humanize.ts";
import { type ImageRow, imageList, namesOf } from "./image-list.ts";

/** One kind of thing in the summary. */
export interface DiskRow {
  readonly type: string;
  readonly total: number;
  readonly active: number;
  readonly bytes: number;
  readonly reclaimable: number;
}

const digits = 4;

/** What each kind takes, and what of it nothing uses: in Docker's way of counting. */
export function summaryRows({ LayersSize, Images, Containers, Volumes }: DiskUsage): readonly DiskRow[] {
  const used = Images.filter(isUsed).map(({ Size, SharedSize }) => Size - Math.max(0, SharedSize));
  const [running, stopped] = [Containers.filter(isActive), Containers.filter((one) => !isActive(one))];
  const idle = Volumes.filter(({ UsageData }) => (UsageData?.RefCount ?? 0) < 1);
  return [
    {
      type: "Images",
      total: Images.length,
      active: Images.filter(isUsed).length,
      bytes: LayersSize,
      reclaimable: Math.max(0, LayersSize - sum(used)),
    },
    {
      type: "Containers",
      total: Containers.length,
      active: running.length,
      bytes: sum(Containers.map(ownSize)),
      reclaimable: sum(stopped.map(ownSize)),
    },
    {
      type: "Local Volumes",
      total: Volumes.length,
      active: Volumes.length - idle.length,
      bytes: sum(Volumes.map(volumeSize)),
      reclaimable: sum(idle.map(volumeSize)),
    },
    { type: "Build Cache", total: 0, active: 0, bytes: 0, reclaimable: 0 },
  ];
}

export const summaryList: ListFormat<DiskRow> = {
  table: "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
  columns: {
    Active: { header: "ACTIVE", value: ({ active }) => String(active) },
    Reclaimable: { header: "RECLAIMABLE", value: reclaimableText },
    Size: { header: "SIZE", value: ({ bytes }) => decimalSize(bytes, digits) },
    TotalCount: { header: "TOTAL", value: ({ total }) => String(total) },
    Type: { header: "TYPE", value: ({ type }) => type },
  },
};

function reclaimableText({ type, bytes, reclaimable }: DiskRow): string {
  const text = decimalSize(reclaimable, digits);
  const hasShare = bytes > 0 && type !== "Build Cache";
  return hasShare ? `${text} (${Math.trunc((reclaimable * 100) / bytes)}%)` : text;
}

/** The tables of `-v`, an empty line between two of them. */
export function diskTables(usage: DiskUsage, storage: StorageBody, nowMs: number): readonly string[] {
  const images = usage.Images.flatMap((image) => namesOf(image, false));
  return [
    "Images space usage:",
    "",
    ...formatList(images, "", imageTable(nowMs)),
    "",
    "Containers space usage:",
    "",
    ...formatList(usage.Containers, "", containerTable(nowMs)),
    "",
    "Local Volumes space usage:",
    "",
    ...formatList(usage.Volumes, "", volumeTable),
    "",
    "Layers space usage:",
    "",
    ...formatList(storage.Layers, "", layerTable),
    "",
    `Build cache usage: ${decimalSize(0)}`,
    "",
    fileSystemText(storage),
  ];
}

/** What templates and `--format json` get with `-v`. */
export function verboseUsage(usage: DiskUsage, storage: StorageBody): object {
  const { LayersSize, Images, Containers, Volumes, BuildCache } = usage;
  const { Layers, FileSystem, LayersUsage } = storage;
  const images = Images.map((image) => ({ ...image, UniqueSize: uniqueSize(image) }));
  return { LayersSize, Images: images, Containers, Volumes, BuildCache, Layers, LayersUsage, FileSystem };
}

function imageTable(nowMs: number): ListFormat<ImageRow> {
  const list = imageList({ trunc: true, digests: false, nowMs });
  return {
    table: `${list.table}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}`,
    columns: {
      ...list.columns,
      Containers: { header: "CONTAINERS", value: ({ image }) => String(image.Containers) },
      SharedSize: { header: "SHARED SIZE", value: ({ image }) => decimalSize(Math.max(0, image.SharedSize)) },
      UniqueSize: { header: "UNIQUE SIZE", value: ({ image }) => decimalSize(uniqueSize(image)) },
    },
  };
}

function containerTable(nowMs: number): ListFormat<ContainerSummary> {
  const list = containerList({ trunc: true, size: true, nowMs });
  return {
    table: "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}",
    columns: { ...list.columns, Size: { header: "SIZE", value: (one) => decimalSize(ownSize(one)) } },
  };
}

const volumeTable: ListFormat<VolumeBody> = {
  table: "{{.Name}}\t{{.Links}}\t{{.Size}}",
  columns: {
    Links: { header: "LINKS", value: ({ UsageData }) => String(UsageData?.RefCount ?? 0) },
    Name: { header: "VOLUME NAME", value: ({ Name }) => Name },
    Size: { header: "SIZE", value: (volume) => decimalSize(volumeSize(volume)) },
  },
};

const layerTable: ListFormat<LayerUseBody> = {
  table: "{{.ID}}\t{{.Kind}}\t{{.Size}}\t{{.Inodes}}\t{{.Images}}\t{{.Containers}}\t{{.Snapshots}}",
  columns: {
    Containers: { header: "CONTAINERS", value: ({ Containers }) => String(Containers.length) },
    ID: { header: "LAYER", value: ({ Id }) => shortId(Id) },
    Images: { header: "IMAGES", value: ({ Images }) => Images.join(",") || "<none>" },
    Inodes: { header: "INODES", value: ({ Inodes }) => String(Inodes) },
    Kind: { header: "KIND", value: ({ Kind }) => Kind },
    Size: { header: "SIZE", value: ({ Bytes }) => decimalSize(Bytes) },
    Snapshots: { header: "SNAPSHOTS", value: ({ Snapshots }) => String(Snapshots.length) },
  },
};

function fileSystemText({ Root, FileSystem: { Type, Bytes, Inodes } }: StorageBody): string {
  const inodes =
    Inodes.Total === 0 ? "inodes as needed" : `${Inodes.Used} of ${Inodes.Total} inodes (${Inodes.Percent}%)`;
  return `File system of ${Root} (${Type}): ${decimalSize(Bytes.Used, digits)} of ${decimalSize(Bytes.Total, digits)} used (${Bytes.Percent}%), ${inodes}`;
}

function uniqueSize({ Size, SharedSize }: ImageSummary): number {
  return Size - Math.max(0, SharedSize);
}

function isUsed({ Containers }: ImageSummary): boolean {
  return Containers > 0;
}

function isActive({ State }: ContainerSummary): boolean {
  return ["running", "paused", "restarting"].includes(State);
}

function ownSize({ SizeRw }: ContainerSummary): number {
  return SizeRw ?? 0;
}

function volumeSize({ UsageData }: VolumeBody): number {
  return Math.max(0, UsageData?.Size ?? 0);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
