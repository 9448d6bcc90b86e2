import { OnggiError } from "../base/error.ts";
import type { ContainerConfig, ImageConfig } from "./model.ts";

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** What a container runs with: its own settings over its image's. */
export interface MergedSettings {
  readonly argv: readonly string[];
  readonly env: readonly string[];
  readonly workingDirectory: string;
  readonly user: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly exposedPorts: readonly string[];
  readonly stopSignal: string;
}

/**
 * Joins a request with its image, by Docker's rules: an entrypoint of one's own drops the image's command.
 *
 * @throws OnggiError `invalid` when nothing is left to run
 */
export function mergeImage(config: ContainerConfig, image: ImageConfig): MergedSettings {
  const ownEntrypoint = config.entrypoint !== undefined;
  const entrypoint = config.entrypoint ?? image.Entrypoint ?? [];
  const command =
    config.command !== undefined && config.command.length > 0 ? config.command : ownEntrypoint ? [] : (image.Cmd ?? []);
  const argv = [...entrypoint, ...command];
  if (argv.length === 0) {
    throw new OnggiError("invalid", "no command specified", {
      hint: "The image names none: give one after the image.",
    });
  }
  return {
    argv,
    env: mergeEnv(image.Env ?? [], config.env ?? []),
    workingDirectory: config.workingDirectory || image.WorkingDir || "/",
    user: config.user || image.User || "",
    labels: { ...image.Labels, ...config.labels },
    exposedPorts: [...new Set([...Object.keys(image.ExposedPorts ?? {}), ...(config.exposedPorts ?? [])])],
    stopSignal: config.stopSignal || image.StopSignal || "SIGTERM",
  };
}

/** Later settings win in place; a bare name takes the variable away. */
export function mergeEnv(base: readonly string[], own: readonly string[]): string[] {
  const merged = new Map<string, string>();
  for (const entry of [defaultPath, ...base, ...own]) {
    const at = entry.indexOf("=");
    if (at < 0) merged.delete(entry);
    else merged.set(entry.slice(0, at), entry);
  }
  return [...merged.values()];
}
