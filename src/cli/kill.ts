import { command } from "./command.ts";
import { containerPath, forEach } from "./engine-call.ts";
import { flag } from "./flag.ts";

export const kill = command({
  name: "kill",
  summary: "Kill one or more running containers",
  args: "CONTAINER [CONTAINER...]",
  arity: [1, Number.POSITIVE_INFINITY],
  flags: { signal: flag.string({ short: "s", help: "Signal to send (default KILL)" }) },
  async run(context) {
    const { client, args, flags } = context;
    return await forEach(context, args, async (key) => {
      await client.status({ method: "POST", path: containerPath(key, "kill"), query: { signal: flags.signal } });
      return key;
    });
  },
});
