import type { VersionBody } from "../api/wire.ts";
import { apiVersion } from "../api/wire.ts";
import { clientVersion } from "./client-version.ts";
import { command } from "./command.ts";
import { Exit, explainError } from "./exit.ts";
import { flag } from "./flag.ts";
import { unescaped } from "./format.ts";
import { compileTemplate } from "./template.ts";

const client = {
  Version: clientVersion,
  ApiVersion: apiVersion,
  DefaultAPIVersion: apiVersion,
  NodeVersion: process.version,
  Os: process.platform,
  Arch: process.arch === "x64" ? "amd64" : process.arch,
  Context: "default",
};

export const version = command({
  name: "version",
  summary: "Show the versions of client and daemon",
  args: "",
  arity: [0, 0],
  flags: { format: flag.string({ short: "f", help: "Print as 'json' or by a Go template" }) },
  async run({ client: daemon, flags, print }) {
    const format = flags.format ?? "";
    const fill = format === "" || format === "json" ? undefined : compileTemplate(unescaped(format));
    let server: VersionBody | null = null;
    let failure: unknown;
    try {
      server = await daemon.json<VersionBody>({ method: "GET", path: "/version" });
    } catch (error) {
      failure = error;
    }
    const known = { Client: client, Server: server };
    if (fill !== undefined) print(fill({ Client: withGoName(client), Server: server && withGoName(server) }));
    else print(format === "json" ? JSON.stringify(known) : versionText(server));
    if (failure !== undefined) throw new Exit(1, `onggi: ${explainError(failure)}`);
    return 0;
  },
});

/** Templates name the field as Docker's program does, JSON as its API does. */
function withGoName<T extends { readonly ApiVersion: string }>(part: T): T & { readonly APIVersion: string } {
  return { ...part, APIVersion: part.ApiVersion };
}

function versionText(server: VersionBody | null): string {
  const ours = [
    "Client:",
    row("Version", client.Version),
    row("API version", client.ApiVersion),
    row("Node version", client.NodeVersion),
    row("OS/Arch", `${client.Os}/${client.Arch}`),
  ];
  if (server === null) return ours.join("\n");
  const name = server.Platform.Name === "" ? "Server:" : `Server: ${server.Platform.Name}`;
  return [
    ...ours,
    "",
    name,
    row("Version", server.Version),
    row("API version", `${server.ApiVersion} (minimum version ${server.MinAPIVersion})`),
    row("OS/Arch", `${server.Os}/${server.Arch}`),
    row("Kernel", server.KernelVersion),
    ...server.Components.flatMap(({ Name, Version }) => [` ${Name}:`, `  ${"Version:".padEnd(18)}${Version}`]),
  ].join("\n");
}

function row(name: string, value: string): string {
  return ` ${`${name}:`.padEnd(19)}${value}`;
}
