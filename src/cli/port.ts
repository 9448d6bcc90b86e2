import type { ContainerInspect, PortBinding } from "../api/wire.ts";
import { command } from "./command.ts";
import { containerPath } from "./engine-call.ts";
import { Exit } from "./exit.ts";

export const port = command({
  name: "port",
  summary: "List port mappings or a specific mapping for the container",
  args: "CONTAINER [PRIVATE_PORT[/PROTO]]",
  arity: [1, 2],
  flags: {},
  async run({ client, args: [key = "", wanted], print }) {
    const { NetworkSettings } = await client.json<ContainerInspect>({
      method: "GET",
      path: containerPath(key, "json"),
    });
    const ports = Object.entries(NetworkSettings.Ports ?? {});
    if (wanted !== undefined) {
      const name = wanted.includes("/") ? wanted : `${wanted}/tcp`;
      const bindings = ports.find(([one]) => one === name)?.[1] ?? [];
      if (bindings.length === 0) throw new Exit(1, `Error: No public port '${wanted}' published for ${key}`);
      for (const binding of bindings) print(address(binding));
      return 0;
    }
    const lines = ports.flatMap(([name, bindings]) =>
      (bindings ?? []).map((binding) => ({ name, text: `${name} -> ${address(binding)}` })),
    );
    lines.sort((a, b) => Number.parseInt(a.name, 10) - Number.parseInt(b.name, 10) || (a.text < b.text ? -1 : 1));
    for (const { text } of lines) print(text);
    return 0;
  },
});

function address({ HostIp = "", HostPort = "" }: PortBinding): string {
  return HostIp.includes(":") ? `[${HostIp}]:${HostPort}` : `${HostIp}:${HostPort}`;
}
