import type { ContainerInspect } from "../api/wire.ts";
import { defaultDetachKeys, parseDetachKeys } from "../base/detach-keys.ts";
import { attachContainer } from "./attach-container.ts";
import { command } from "./command.ts";
import { containerPath } from "./engine-call.ts";
import { Exit } from "./exit.ts";
import { flag } from "./flag.ts";
import { requireTerminal } from "./session.ts";

export const attach = command({
  name: "attach",
  summary: "Attach local standard input, output and error streams to a running container",
  args: "CONTAINER",
  arity: [1, 1],
  flags: {
    detachKeys: flag.string({ help: 'Keys that detach (default "ctrl-p,ctrl-q")' }),
    noStdin: flag.switch({ help: "Do not attach STDIN" }),
    sigProxy: flag.switch({ initial: true, help: "Hand received signals on to the process (default true)" }),
  },
  async run({ client, args, flags, io }) {
    const [key = ""] = args;
    parseDetachKeys(flags.detachKeys ?? "");
    const { Id, Config, State } = await client.json<ContainerInspect>({
      method: "GET",
      path: containerPath(key, "json"),
    });
    for (const [wrong, what] of [
      [!State.Running, "a stopped container, start it first"],
      [State.Paused, "a paused container, unpause it first"],
      [State.Restarting, "a restarting container, wait until it is running"],
    ] as const) {
      if (wrong) throw new Exit(1, `onggi: cannot attach to ${what}`);
    }
    const tty = Config.Tty === true;
    const stdin = !flags.noStdin && Config.OpenStdin === true;
    requireTerminal(io, stdin, tty);
    const end = await attachContainer(client, io, {
      id: Id,
      tty,
      streams: { stdin, stdout: true, stderr: true },
      sigProxy: flags.sigProxy && !tty,
      detachKeys: flags.detachKeys ?? defaultDetachKeys,
      condition: "not-running",
    });
    if (end === "detached") throw new Exit(1, "read escape sequence");
    return end;
  },
});
