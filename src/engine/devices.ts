import { listHostDevices, readDevices } from "../runtime/host-devices.ts";
import type { ContainerConfig } from "./model.ts";
import type { ContainerDevice } from "./spec-resources.ts";

/**
 * The devices of the host that a container gets, as they are at this moment.
 *
 * @throws OnggiError `invalid` for a path that is none
 */
export function devicesFor(config: ContainerConfig): readonly ContainerDevice[] {
  if (config.privileged === true) return listHostDevices().map((device) => ({ ...device, permissions: "rwm" }));
  return (config.devices ?? []).flatMap(({ hostPath, containerPath, permissions }) =>
    readDevices(hostPath, containerPath).map((device) => ({ ...device, permissions })),
  );
}
