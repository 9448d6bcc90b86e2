import { join } from "node:path";
import type { Cgroups } from "../cgroup/cgroups.ts";
import { loopbackSteps } from "../network/loopback.ts";
import type { Connection } from "../network/network.ts";
import type { Mount } from "../program/mount.ts";
import type { Op, Program, Steps } from "../program/op.ts";
import { compile } from "../runtime/compile/compile.ts";
import type { HostFacts } from "../runtime/compile/host-facts.ts";
import { type ContainerFiles, containerFilesIn } from "./container-files.ts";
import type { ContainerRecord } from "./container-record.ts";
import { logFormat } from "./log-frames.ts";
import { logPlaceOf, logSettings } from "./log-settings.ts";
import type { ContainerAddress, ContainerMount } from "./model.ts";
import { specFor } from "./spec.ts";
import type { ContainerDevice } from "./spec-resources.ts";
import type { ResolvedUser } from "./user.ts";

/** What a container's program is made from, apart from its record. */
export interface PlanInput {
  readonly record: ContainerRecord;
  readonly user: ResolvedUser;
  /** All that it mounts, with the places of volumes. */
  readonly mounts: readonly ContainerMount[];
  readonly rootfs: readonly Mount[];
  readonly connection: Connection | undefined;
  /** The process of the container whose network is shared. */
  readonly networkOf: { readonly pid: number } | undefined;
  readonly devices: readonly ContainerDevice[];
  readonly runDirectory: string;
  readonly logDirectory: string;
  /** An empty directory on which the root is mounted, in the container's own mount namespace only. */
  readonly staging: string;
}

export interface PlanParts {
  readonly cgroups: Cgroups;
  readonly facts: HostFacts;
}

/** Joins the parts' steps to a container's program. Pure but for the parts it asks. */
export function planContainer(input: PlanInput, { cgroups, facts }: PlanParts): Program {
  const { record, user } = input;
  const files: ContainerFiles = containerFilesIn(input.runDirectory);
  const { id, config, hostname } = record;
  const network = input.networkOf === undefined ? {} : { networkPath: `/proc/${input.networkOf.pid}/ns/net` };
  const devices = input.devices;
  const spec = specFor({
    id,
    config: { ...config, mounts: input.mounts },
    settings: record,
    user,
    facts,
    rootPath: input.staging,
    hostname,
    files,
    devices,
    ...network,
  });
  return compile(spec, facts, {
    rootfs: input.rootfs,
    cgroup: cgroups.steps(record.id, spec.linux.resources ?? {}),
    network: networkSteps(input),
    monitor: monitorSteps(input),
    init: record.config.init === true,
  });
}

/** Undefined: the namespace is the host's, or another container's, as the spec says. */
function networkSteps({ record, connection }: PlanInput): Steps | undefined {
  return connection?.steps ?? (record.config.network === "none" ? loopbackSteps() : undefined);
}

/** What the monitor keeps: streams, log, its socket, the record of the exit. */
function monitorSteps({ record, runDirectory, logDirectory }: PlanInput): readonly Op[] {
  const { config } = record;
  const [rows, columns] = config.terminalSize ?? [0, 0];
  const settings = logSettings(config.log);
  const { directory, name } = logPlaceOf(logDirectory, record.id, settings);
  const log: readonly Op[] =
    settings.format === logFormat.none
      ? []
      : [
          {
            op: "log",
            directory,
            name,
            format: settings.format,
            maxBytes: settings.maxBytes,
            maxFiles: settings.maxFiles,
          },
        ];
  return [
    { op: "stdio", terminal: config.terminal === true, stdin: config.openStdin === true, rows, columns },
    ...log,
    { op: "listen", path: join(runDirectory, "monitor.sock") },
    { op: "record", path: join(runDirectory, "exit.json") },
  ];
}

export function addressOf(
  connection: Connection | undefined,
  network: { readonly id: string; readonly name: string },
  endpointId: string,
): ContainerAddress | undefined {
  if (connection === undefined) return undefined;
  const { address, prefixLength, gateway, mac } = connection;
  return { network: network.name, networkId: network.id, endpointId, address, prefixLength, gateway, mac };
}

/** Whether a container is connected to the bridge. */
export function isBridged(record: ContainerRecord): boolean {
  return record.config.network === undefined || record.config.network === "bridge";
}
