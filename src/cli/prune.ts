import type { ContainersPruneResponse, ImagesPruneResponse } from "../api/wire.ts";
import type { Client } from "./client.ts";
import { command } from "./command.ts";
import { confirm } from "./confirm.ts";
import { filterQuery } from "./filters.ts";
import { flag } from "./flag.ts";
import { decimalSize } from "./humanize.ts";
import { pruneVolumes } from "./volume-prune.ts";

const force = flag.switch({ short: "f", help: "Do not ask" });
const filter = flag.list({ help: "Only what fits (until=…, label=…, label!=…)" });
const allImages = flag.switch({ short: "a", help: "Remove all unused images, not just those without a name" });

export const containerPrune = command({
  name: "prune",
  summary: "Remove all stopped containers",
  args: "",
  arity: [0, 0],
  flags: { force, filter },
  async run(context) {
    const { client, flags, print } = context;
    if (!flags.force && !(await confirm(context, ["all stopped containers"]))) return 0;
    const bytes = await pruneContainers(client, flags.filter, print);
    print(`Total reclaimed space: ${decimalSize(bytes, 4)}`);
    return 0;
  },
});

export const imagePrune = command({
  name: "prune",
  summary: "Remove unused images",
  args: "",
  arity: [0, 0],
  flags: { all: allImages, force, filter },
  async run(context) {
    const { client, flags, print } = context;
    const what = flags.all ? "all images without at least one container associated to them" : "all dangling images";
    if (!flags.force && !(await confirm(context, [what]))) return 0;
    const bytes = await pruneImages(client, flags.filter, flags.all, print);
    print(`Total reclaimed space: ${decimalSize(bytes, 4)}`);
    return 0;
  },
});

export const systemPrune = command({
  name: "prune",
  summary: "Remove unused data",
  args: "",
  arity: [0, 0],
  flags: { all: allImages, force, filter, volumes: flag.switch({ help: "Remove unused anonymous volumes, too" }) },
  async run(context) {
    const { client, flags, print } = context;
    const images = flags.all ? "all images without at least one container associated to them" : "all dangling images";
    const volumes = flags.volumes ? ["all anonymous volumes not used by at least one container"] : [];
    if (!flags.force && !(await confirm(context, ["all stopped containers", ...volumes, images]))) return 0;
    const containers = await pruneContainers(client, flags.filter, print);
    const labels = flags.filter.filter((text) => !text.startsWith("until="));
    const freed = flags.volumes ? await pruneVolumes(client, labels, false, print) : 0;
    const bytes = containers + freed + (await pruneImages(client, flags.filter, flags.all, print));
    print(`Total reclaimed space: ${decimalSize(bytes, 4)}`);
    return 0;
  },
});

async function pruneContainers(
  client: Client,
  filters: readonly string[],
  print: (line: string) => void,
): Promise<number> {
  const { ContainersDeleted, SpaceReclaimed } = await client.json<ContainersPruneResponse>({
    method: "POST",
    path: "/containers/prune",
    query: { filters: filterQuery(filters) },
  });
  if (ContainersDeleted !== null && ContainersDeleted.length > 0)
    print(["Deleted Containers:", ...ContainersDeleted, ""].join("\n"));
  return SpaceReclaimed;
}

async function pruneImages(
  client: Client,
  filters: readonly string[],
  all: boolean,
  print: (line: string) => void,
): Promise<number> {
  const { ImagesDeleted, SpaceReclaimed } = await client.json<ImagesPruneResponse>({
    method: "POST",
    path: "/images/prune",
    query: { filters: filterQuery([...filters, `dangling=${!all}`]) },
  });
  const lines = (ImagesDeleted ?? []).map((item) =>
    "Untagged" in item ? `untagged: ${item.Untagged}` : `deleted: ${item.Deleted}`,
  );
  if (lines.length > 0) print(["Deleted Images:", ...lines, ""].join("\n"));
  return SpaceReclaimed;
}
