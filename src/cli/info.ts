import type { InfoBody } from "../api/wire.ts";
import { clientVersion } from "./client-version.ts";
import { command } from "./command.ts";
import { flag } from "./flag.ts";
import { unescaped } from "./format.ts";
import { binarySize } from "./humanize.ts";
import { compileTemplate } from "./template.ts";

export const info = command({
  name: "info",
  summary: "Display system-wide information",
  args: "",
  arity: [0, 0],
  flags: { format: flag.string({ short: "f", help: "Print as 'json' or by a Go template" }) },
  async run({ client, flags, print, warn }) {
    const format = flags.format ?? "";
    const fill = format === "" || format === "json" ? undefined : compileTemplate(unescaped(format));
    const server = await client.json<InfoBody>({ method: "GET", path: "/info" });
    const known = { ...server, ClientInfo: { Version: clientVersion, Context: "default" } };
    if (fill !== undefined) print(fill(known));
    else if (format === "json") print(JSON.stringify(known));
    else {
      print(infoText(server));
      for (const warning of server.Warnings ?? []) warn(warning);
    }
    return 0;
  },
});

/** Docker's page, and below it what only Onggi knows. */
export function infoText(server: InfoBody): string {
  const { cgroupVersion, storageDrivers, bridge } = server.Onggi;
  const drivers = storageDrivers.map(
    ({ name, usable, reason }) => `  ${name}: ${usable ? "usable" : `not usable: ${reason}`}`,
  );
  return [
    "Client:",
    ` Version:    ${clientVersion}`,
    "",
    "Server:",
    ` Containers: ${server.Containers}`,
    `  Running: ${server.ContainersRunning}`,
    `  Paused: ${server.ContainersPaused}`,
    `  Stopped: ${server.ContainersStopped}`,
    ` Images: ${server.Images}`,
    ` Server Version: ${server.ServerVersion}`,
    ` Storage Driver: ${server.Driver}`,
    ...drivers,
    ` Logging Driver: ${server.LoggingDriver}`,
    ` Cgroup Driver: ${server.CgroupDriver}`,
    ` Cgroup Version: ${cgroupVersion}`,
    ` Default Runtime: ${server.DefaultRuntime}`,
    " Security Options:",
    ...server.SecurityOptions.map(securityText),
    ` Bridge: ${bridge === null ? "none" : `${bridge.name} (${bridge.subnet})`}`,
    ` Kernel Version: ${server.KernelVersion}`,
    ` Operating System: ${server.OperatingSystem}`,
    ` OSType: ${server.OSType}`,
    ` Architecture: ${server.Architecture}`,
    ` CPUs: ${server.NCPU}`,
    ` Total Memory: ${binarySize(server.MemTotal)}`,
    ` Name: ${server.Name}`,
    ` ID: ${server.ID}`,
    ` Onggi Root Dir: ${server.DockerRootDir}`,
  ].join("\n");
}

/** `name=seccomp,profile=builtin` as Docker shows it, in two lines. */
function securityText(option: string): string {
  const [name = "", ...rest] = option.split(",");
  const details = rest
    .map((one) => one.replace("=", ": "))
    .map((text) => `   ${text.charAt(0).toUpperCase()}${text.slice(1)}`);
  return [`  ${name.replace(/^name=/, "")}`, ...details].join("\n");
}
