import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { isOnggiError, OnggiError } from "../base/error.ts";
import { parseSignal } from "../base/signal.ts";
import { type Platform, platformOf } from "../oci/platform.ts";
import type { HostFacts } from "../runtime/compile/host-facts.ts";
import { checkBindSources } from "./bind-sources.ts";
import type { ContainerNames } from "./container-names.ts";
import { type ContainerRecord, neverRan } from "./container-record.ts";
import { logSettings } from "./log-settings.ts";
import { mergeImage } from "./merge-image.ts";
import type { ContainerConfig, ContainerMount, ImageConfig, NetworkMode } from "./model.ts";
import { generateName } from "./name-generator.ts";
import { platformWarnings } from "./platform-warning.ts";
import { checkConfig } from "./spec.ts";
import { resolveMounts } from "./volume-mounts.ts";

export const shortIdLength = 12;

/** An image as far as a container needs it. */
export interface ImageForContainer {
  readonly id: string;
  readonly reference: string;
  readonly config: ImageConfig;
  readonly platform: Platform;
  readonly chainId: string | undefined;
}

/** What a draft asks others for. */
export interface DraftParts {
  readonly names: ContainerNames;
  /** @throws OnggiError `not_found` */
  resolveImage(key: string): Promise<ImageForContainer>;
}

/** The record of a container that isn't made yet. */
export async function draftContainer(
  config: ContainerConfig,
  { names, resolveImage }: DraftParts,
): Promise<ContainerRecord> {
  const image = await resolveImage(config.image);
  const id = newId(names);
  return {
    format: 1,
    id,
    name: config.name?.replace(/^\//, "") || generateName((name) => names.isTaken(name)),
    config,
    image,
    ...mergeImage(config, image.config),
    ...resolveMounts(config, image.config, (key) => mountsOf(key, names)),
    hostname: config.hostname || hostnameIn(config.network, names) || id.slice(0, shortIdLength),
    createdAtMs: Date.now(),
    last: neverRan,
    restartCount: 0,
    stoppedByUser: false,
    wasRunning: false,
  };
}

/**
 * @returns what is said to the user, though nothing fails
 * @throws OnggiError `invalid` with all that is wrong
 */
export function checkDraft({ config, image }: ContainerRecord, facts: HostFacts): readonly string[] {
  logSettings(config.log);
  parseSignal(config.stopSignal ?? "SIGTERM");
  checkBindSources(config);
  return [...platformWarnings(image.platform, platformOf(process.arch)), ...checkConfig(config, facts)];
}

/** Never `not_found`: Docker's client takes that as the image's, and pulls one. */
export function mountsOf(key: string, names: ContainerNames): readonly ContainerMount[] {
  try {
    const { mounts, config } = names.find(key).record;
    return mounts ?? config.mounts ?? [];
  } catch (error) {
    if (!isOnggiError(error, "not_found")) throw error;
    throw new OnggiError("invalid", error.message, { hint: error.hint, cause: error });
  }
}

/** In the network of the host or of another container one goes by its name. */
export function hostnameIn(network: NetworkMode | undefined, names: ContainerNames): string | undefined {
  if (network === "host") return hostname();
  if (!network?.startsWith("container:")) return undefined;
  try {
    return names.find(network.slice("container:".length)).record.hostname;
  } catch {
    return undefined; // It need not be there before the start.
  }
}

export function newId(names: ContainerNames): string {
  for (;;) {
    const id = randomBytes(32).toString("hex");
    // Docker's clients take an id of digits only for a number.
    if (!/^\d+$/.test(id.slice(0, shortIdLength)) && !names.has(id)) return id;
  }
}
