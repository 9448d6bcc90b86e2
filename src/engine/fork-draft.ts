import { OnggiError } from "../base/error.ts";
import { hostnameIn, mountsOf, newId, shortIdLength } from "./container-draft.ts";
import type { ContainerNames } from "./container-names.ts";
import { type ContainerRecord, neverRan } from "./container-record.ts";
import { mergeEnv } from "./merge-image.ts";
import type { ContainerConfig, PortMapping } from "./model.ts";
import { resolveMounts } from "./volume-mounts.ts";

const maxForks = 1000;

/** How many forks there shall be. @throws OnggiError `invalid` */
export function countOfForks(count: number | undefined, names: readonly string[]): number {
  const wanted = count ?? Math.max(1, names.length);
  if (!Number.isInteger(wanted) || wanted < 1 || wanted > maxForks)
    throw new OnggiError("invalid", `${wanted} forks can't be made at once`, { hint: `Ask for 1 to ${maxForks}.` });
  if (names.length > wanted)
    throw new OnggiError("invalid", `${names.length} names were given for ${wanted} forks`, {
      hint: "Give a name for each fork at most.",
    });
  return wanted;
}

/** `NAME-fork-1` and so on, leaving out those that are taken. */
export function forkNames(
  source: string,
  count: number,
  given: readonly string[],
  isTaken: (name: string) => boolean,
): readonly string[] {
  const chosen = given.map((name) => name.replace(/^\//, ""));
  for (let number = 1; chosen.length < count; number++) {
    const name = `${source}-fork-${number}`;
    if (!isTaken(name) && !chosen.includes(name)) chosen.push(name);
  }
  return chosen;
}

/** The record of a container like another, on a tree of its own: id, name, host name and anonymous volumes are new. */
export function draftFork(
  source: ContainerRecord,
  { name, base, env = [] }: { readonly name: string; readonly base: string; readonly env?: readonly string[] },
  names: ContainerNames,
): ContainerRecord {
  const id = newId(names);
  const config = forkConfig(source.config, name, env);
  const { swap: _, resumes: __, ...kept } = source;
  return {
    ...kept,
    id,
    name,
    base,
    config,
    env: env.length === 0 ? source.env : mergeEnv(source.env, env),
    ...resolveMounts(config, source.image.config, (key) => mountsOf(key, names)),
    hostname: hostnameIn(config.network, names) ?? id.slice(0, shortIdLength),
    createdAtMs: Date.now(),
    last: neverRan,
    restartCount: 0,
    stoppedByUser: false,
    wasRunning: false,
  };
}

/** A host port is one container's: a fork gets another, which is chosen when it starts. */
function forkConfig(
  { hostname: _, ports, ...config }: ContainerConfig,
  name: string,
  env: readonly string[],
): ContainerConfig {
  const own = env.length === 0 ? {} : { env: [...(config.env ?? []), ...env] };
  return { ...config, ...own, name, ...(ports === undefined ? {} : { ports: ports.map(freePort) }) };
}

function freePort(port: PortMapping): PortMapping {
  return { ...port, hostPort: 0 };
}
