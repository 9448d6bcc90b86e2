import type { FullImageConfig } from "./commit-changes.ts";
import type { ContainerRecord } from "./container-record.ts";

/** How containers of an image run that is made of this one: as this one does. */
export function committedConfig({ config, image, ...record }: ContainerRecord): FullImageConfig {
  const entrypoint = config.entrypoint ?? image.config.Entrypoint ?? [];
  const command = record.argv.slice(entrypoint.length);
  const volumes = record.volumes ?? Object.keys(image.config.Volumes ?? {});
  const workingDirectory = config.workingDirectory || image.config.WorkingDir;
  const stopSignal = config.stopSignal || image.config.StopSignal;
  const { Entrypoint: _entrypoint, Cmd: _command, ...kept } = image.config;
  return {
    ...kept,
    Env: record.env,
    ...(record.user === "" ? {} : { User: record.user }),
    ...(entrypoint.length === 0 ? {} : { Entrypoint: entrypoint }),
    ...(command.length === 0 ? {} : { Cmd: command }),
    ...(workingDirectory ? { WorkingDir: workingDirectory } : {}),
    ...(Object.keys(record.labels).length === 0 ? {} : { Labels: record.labels }),
    ...(record.exposedPorts.length === 0 ? {} : { ExposedPorts: emptyObjects(record.exposedPorts) }),
    ...(volumes.length === 0 ? {} : { Volumes: emptyObjects(volumes) }),
    ...(stopSignal ? { StopSignal: stopSignal } : {}),
  };
}

function emptyObjects(keys: readonly string[]): Record<string, object> {
  return Object.fromEntries(keys.map((key) => [key, {}]));
}
