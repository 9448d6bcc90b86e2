import { existsSync, mkdirSync } from "node:fs";
import { OnggiError } from "../base/error.ts";
import type { ContainerConfig } from "./model.ts";

/**
 * Looks for the sources of `--mount type=bind`: unlike those of `-v`, they aren't made.
 *
 * @throws OnggiError `invalid` for the first that isn't there
 */
export function checkBindSources({ mounts = [] }: ContainerConfig): void {
  for (const mount of mounts) {
    if (mount.kind !== "bind" || mount.createSource || existsSync(mount.source)) continue;
    throw new OnggiError(
      "invalid",
      `invalid mount config for type "bind": bind source path does not exist: ${mount.source}`,
      { hint: "Make it first, or use -v, which makes a folder." },
    );
  }
}

/** Makes the folders that `-v` names and the host doesn't have: at each start, since one may have gone meanwhile. */
export function makeBindSources({ mounts = [] }: Pick<ContainerConfig, "mounts">): void {
  for (const mount of mounts) {
    if (mount.kind !== "bind" || !mount.createSource || existsSync(mount.source)) continue;
    mkdirSync(mount.source, { recursive: true });
  }
}
