import type { VolumesPruneResponse } from "../api/wire.ts";
import type { Client } from "./client.ts";
import { filterQuery } from "./filters.ts";

/** Removes the volumes that no container has. @returns the bytes that are free now */
export async function pruneVolumes(
  client: Client,
  filters: readonly string[],
  all: boolean,
  print: (line: string) => void,
): Promise<number> {
  const { VolumesDeleted, SpaceReclaimed } = await client.json<VolumesPruneResponse>({
    method: "POST",
    path: "/volumes/prune",
    query: { filters: filterQuery(all ? [...filters, "all=true"] : filters) },
  });
  if (VolumesDeleted !== null && VolumesDeleted.length > 0)
    print(["Deleted Volumes:", ...VolumesDeleted, ""].join("\n"));
  return SpaceReclaimed;
}
