import type { ForkResponse } from "../api/wire.ts";
import { command } from "./command.ts";
import { readEnvironment } from "./env-file.ts";
import { flag } from "./flag.ts";
import { UsageError } from "./usage-error.ts";

export const fork = command({
  name: "fork",
  summary: "Make running copies of a container as it is now",
  args: "[CONTAINER]",
  arity: [0, 1],
  flags: {
    count: flag.integer({ short: "n", help: "How many (default 1, or as many as there are names)" }),
    env: flag.list({ short: "e", help: "Set environment variables of the copies" }),
    from: flag.string({
      help: "Fork what a snapshot holds instead; its container may be gone",
      placeholder: "snapshot",
    }),
    name: flag.list({ help: "Name of the first copy, of the second … (default CONTAINER-fork-1 …)" }),
    noStart: flag.switch({ help: "Only make them" }),
  },
  details: `
Each copy begins with the container's files as they are now and runs the container's command anew; processes aren't copied. It has an id, a name,
a host name, an address and a machine-id (/etc/machine-id, where the image has one) of its own. The container stands still only while its
files are copied. All copies are made, or none.

A port that is published on a host port of its own is published on a free one, which is said. Volumes and what is bound from the
host are shared with the container, anonymous volumes are new. What was set with --hostname isn't taken over.

What the copies share on disk goes with the last of them.

    onggi fork web --count 10
    onggi fork web --from web@before-upgrade --name web-old`,
  async run({ client, args: [container], flags, io, print, warn }) {
    if (container === undefined && flags.from === undefined)
      throw new UsageError("onggi: 'onggi fork' needs a container, or a snapshot with --from", 1);
    const { forks } = await client.json<ForkResponse>({
      method: "POST",
      path: container === undefined ? "/onggi/v1/fork" : `/onggi/v1/containers/${encodeURIComponent(container)}/fork`,
      body: {
        count: flags.count,
        from: flags.from,
        env: flags.env.length === 0 ? undefined : readEnvironment([], flags.env, io.env),
        names: flags.name.length === 0 ? undefined : flags.name,
        start: !flags.noStart,
      },
    });
    for (const { id, name, movedPorts } of forks) {
      print(id);
      for (const { containerPort, protocol, hostPort, insteadOf } of movedPorts) {
        const where = hostPort === 0 ? "a free host port when it starts" : `host port ${hostPort}`;
        warn(`${name}: port ${containerPort}/${protocol} is published on ${where}, not on ${insteadOf}`);
      }
    }
    return 0;
  },
});
