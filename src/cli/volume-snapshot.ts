import type { VolumeBody, VolumeSnapshotBody } from "../api/wire.ts";
import { type Context, command } from "./command.ts";
import { volumePath } from "./engine-call.ts";
import { Exit } from "./exit.ts";
import { flag } from "./flag.ts";
import { formatList, type ListFormat } from "./format.ts";
import { ago } from "./humanize.ts";

export const volumeSnapshot = command({
  name: "snapshot",
  summary: "Keep a copy of a volume, list, remove or put back such copies",
  args: "VOLUME [NAME] | ls VOLUME | rm VOLUME NAME | rollback VOLUME NAME",
  arity: [1, 3],
  details: [
    "VOLUME [NAME]          keeps a copy of what it holds now; containers that write to it stand still meanwhile",
    "ls VOLUME              lists the copies",
    "rm VOLUME NAME         removes one",
    "rollback VOLUME NAME   puts back what the volume held then; no container that has it may run",
    "",
    "Without a NAME the next free number is one. On file systems that can share blocks (btrfs, xfs) a copy takes no room.",
    "For a volume that is called ls, rm or rollback: 'volume snapshot create VOLUME [NAME]'.",
  ].join("\n"),
  flags: { format: flag.string({ help: "Of ls: 'table', 'table TEMPLATE', 'json', or a Go template" }) },
  async run(context) {
    const [verb = "", volume = "", name = ""] = context.args;
    const own = Object.hasOwn(verbs, verb) ? verbs[verb as keyof typeof verbs] : undefined;
    if (own === undefined || context.args.length === 1) return await verbs.create(context, verb, volume);
    return await own(context, volume, name);
  },
});

export const volumeClone = command({
  name: "clone",
  summary: "Make a volume with the content of another",
  args: "VOLUME NEW",
  arity: [2, 2],
  details: "Containers that write to VOLUME stand still meanwhile. Labels and options are the same.",
  flags: { from: flag.string({ help: "Take what it held in this snapshot" }) },
  async run({ client, args: [volume = "", clone = ""], flags, print }) {
    const { Name } = await client.json<VolumeBody>({
      method: "POST",
      path: `${ownPath(volume)}/clone`,
      body: { Name: clone, From: flags.from ?? "" },
    });
    print(Name);
    return 0;
  },
});

type SnapshotContext = Pick<Context<object>, "client" | "print"> & {
  readonly flags: { readonly format: string | undefined };
};

const verbs = {
  async create({ client, print }: SnapshotContext, volume: string, name: string): Promise<number> {
    const { Name } = await client.json<VolumeSnapshotBody>({
      method: "POST",
      path: `${ownPath(volume)}/snapshots`,
      body: { Name: name },
    });
    print(Name);
    return 0;
  },

  async ls({ client, print, flags }: SnapshotContext, volume: string): Promise<number> {
    const all = await client.json<readonly VolumeSnapshotBody[]>({
      method: "GET",
      path: `${ownPath(volume)}/snapshots`,
    });
    for (const line of formatList(all, flags.format ?? "", snapshotList(Date.now()))) print(line);
    return 0;
  },

  async rm({ client, print }: SnapshotContext, volume: string, name: string): Promise<number> {
    await client.status({ method: "DELETE", path: `${ownPath(volume)}/snapshots/${named(name)}` });
    print(name);
    return 0;
  },

  async rollback({ client, print }: SnapshotContext, volume: string, name: string): Promise<number> {
    await client.status({ method: "POST", path: `${ownPath(volume)}/snapshots/${named(name)}/rollback` });
    print(volume);
    return 0;
  },
};

function named(name: string): string {
  if (name === "") throw new Exit(1, "name the snapshot: 'onggi volume snapshot ls VOLUME' lists all there are");
  return encodeURIComponent(name);
}

function ownPath(volume: string): string {
  return `/onggi/v1${volumePath(volume)}`;
}

function snapshotList(nowMs: number): ListFormat<VolumeSnapshotBody> {
  return {
    table: "{{.Name}}\t{{.CreatedSince}}",
    columns: {
      CreatedAt: { header: "CREATED AT", value: ({ CreatedAt }) => CreatedAt },
      CreatedSince: { header: "CREATED", value: ({ CreatedAt }) => ago(Date.parse(CreatedAt), nowMs) },
      Name: { header: "SNAPSHOT", value: ({ Name }) => Name },
      Volume: { header: "VOLUME", value: ({ Volume }) => Volume },
    },
    notInJson: ["CreatedSince"],
  };
}
