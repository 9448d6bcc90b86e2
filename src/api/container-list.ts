import { OnggiError } from "../base/error.ts";
import type { EngineFace } from "../engine/engine.ts";
import type { ContainerInfo } from "../engine/model.ts";
import { summarizeContainer } from "./container-view.ts";
import { Filters } from "./filters.ts";
import { isPortIn, toPort } from "./ports.ts";
import type { ContainerSummary } from "./wire.ts";

const knownFilters =
  "ancestor before expose exited health id isolation is-task label name network publish since status volume".split(" ");
const statuses = ["created", "running", "paused", "restarting", "removing", "exited", "dead"];

export interface ListOptions {
  readonly all: boolean;
  /** Of the newest; 0 for no limit. */
  readonly limit: number;
  readonly size: boolean;
  /** The query's JSON. */
  readonly filters: string;
}

/** The containers that a list shows, newest first. */
export async function listContainers(
  engine: EngineFace,
  { all, limit, size, filters: text }: ListOptions,
): Promise<ContainerSummary[]> {
  const filters = Filters.parse(text, knownFilters);
  const accept = await acceptance(engine, filters);
  // Asking for a state, or for the last few, is asking for those that don't run as well.
  const showsAll = all || limit > 0 || filters.has("status");
  await engine.storage.refresh();
  const found = engine.containers
    .list()
    .filter((info) => (showsAll || ["running", "paused", "restarting"].includes(info.state.status)) && accept(info));
  const shown = limit > 0 ? found.slice(0, limit) : found;
  return await Promise.all(
    shown.map(async (info) => summarizeContainer(info, size ? await engine.containers.size(info.id) : undefined)),
  );
}

async function acceptance(engine: EngineFace, filters: Filters): Promise<(info: ContainerInfo) => boolean> {
  for (const status of filters.values("status")) {
    if (!statuses.includes(status))
      throw new OnggiError("invalid", `invalid filter 'status=${status}'`, {
        hint: `A status is one of ${statuses.join(", ")}.`,
      });
  }
  for (const code of filters.values("exited"))
    if (!/^-?\d+$/.test(code)) throw new OnggiError("invalid", `invalid filter 'exited=${code}'`);
  const ancestors = await imageIds(engine, filters.values("ancestor"));
  const edge = (name: string) => filters.values(name).map((key) => engine.containers.get(key).createdAtMs);
  const before = Math.min(...edge("before"));
  const since = Math.max(...edge("since"));
  const networks = filters.values("network");
  return (info) =>
    filters.matches("id", info.id) &&
    filters.matches("name", info.name, `/${info.name}`) &&
    filters.matchesLabels(info.labels) &&
    filters.any("status", (status) => status === info.state.status) &&
    filters.any("exited", (code) => info.state.status === "exited" && info.state.exitCode === Number(code)) &&
    (!filters.has("ancestor") || ancestors.has(info.imageId)) &&
    info.createdAtMs < before &&
    info.createdAtMs > since &&
    filters.any("publish", (port) => isPortIn(port, info.ports)) &&
    filters.any("expose", (port) => isPortIn(port, info.exposedPorts.map(toContainerPort))) &&
    (networks.length === 0 || networks.some((network) => isOn(info, network))) &&
    filters.any("volume", (path) =>
      info.mounts.some(
        (mount) =>
          mount.target === path ||
          (mount.kind === "bind" && mount.source === path) ||
          (mount.kind === "volume" && mount.name === path),
      ),
    ) &&
    filters.any("health", (health) => health === "none") &&
    filters.flag("is-task") !== true;
}

function toContainerPort(key: string) {
  const { number, protocol } = toPort(key);
  return { containerPort: number, protocol };
}

function isOn({ config, address }: ContainerInfo, network: string): boolean {
  return (
    network === (config.network ?? "bridge") ||
    (address !== undefined && (network === address.network || address.networkId.startsWith(network)))
  );
}

/** An image that isn't there has no containers, which is no error. */
async function imageIds(engine: EngineFace, keys: readonly string[]): Promise<Set<string>> {
  const ids = new Set<string>();
  for (const key of keys) {
    try {
      ids.add((await engine.images.get(key)).id);
    } catch (error) {
      if (!(error instanceof OnggiError && (error.code === "not_found" || error.code === "invalid"))) throw error;
    }
  }
  return ids;
}
