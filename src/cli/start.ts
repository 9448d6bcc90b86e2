import type { ContainerInspect } from "../api/wire.ts";
import { defaultDetachKeys, parseDetachKeys } from "../base/detach-keys.ts";
import { attachContainer } from "./attach-container.ts";
import { type Context, command } from "./command.ts";
import { containerPath, forEach } from "./engine-call.ts";
import { Exit, explainError, startFailureStatus } from "./exit.ts";
import { flag } from "./flag.ts";
import { requireTerminal } from "./session.ts";

const flags = {
  attach: flag.switch({ short: "a", help: "Attach STDOUT and STDERR and hand signals on" }),
  detachKeys: flag.string({ help: 'Keys that detach (default "ctrl-p,ctrl-q")' }),
  interactive: flag.switch({ short: "i", help: "Attach the container's STDIN" }),
};

type StartContext = Context<typeof flags>;

export const start = command({
  name: "start",
  summary: "Start one or more stopped containers",
  args: "CONTAINER [CONTAINER...]",
  arity: [1, Number.POSITIVE_INFINITY],
  flags,
  async run(context) {
    const { client, args, flags } = context;
    if (flags.attach || flags.interactive) return await startAttached(context);
    return await forEach(context, args, async (key) => {
      await client.status({ method: "POST", path: containerPath(key, "start") });
      return key;
    });
  },
});

async function startAttached({ client, args, flags, io }: StartContext): Promise<number> {
  const [key = "", ...more] = args;
  if (more.length > 0) throw new Exit(1, "onggi: you cannot start and attach multiple containers at once");
  parseDetachKeys(flags.detachKeys ?? "");
  const { Id, Config, HostConfig } = await client.json<ContainerInspect>({
    method: "GET",
    path: containerPath(key, "json"),
  });
  const tty = Config.Tty === true;
  const stdin = flags.interactive && Config.OpenStdin === true;
  requireTerminal(io, stdin, tty);
  const end = await attachContainer(client, io, {
    id: Id,
    tty,
    streams: { stdin, stdout: true, stderr: true },
    sigProxy: !tty,
    detachKeys: flags.detachKeys ?? defaultDetachKeys,
    condition: HostConfig.AutoRemove ? "removed" : "next-exit",
    attached: async () => {
      try {
        await client.status({ method: "POST", path: containerPath(Id, "start") });
      } catch (error) {
        throw new Exit(startFailureStatus(error) ?? 1, explainError(error));
      }
    },
  });
  return end === "detached" ? 0 : end;
}
