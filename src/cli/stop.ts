import { command } from "./command.ts";
import { containerPath, forEach } from "./engine-call.ts";
import { stopFlags } from "./stop-flags.ts";

export const stop = command({
  name: "stop",
  summary: "Stop one or more running containers",
  args: "CONTAINER [CONTAINER...]",
  arity: [1, Number.POSITIVE_INFINITY],
  flags: stopFlags,
  async run(context) {
    const { client, args, flags } = context;
    return await forEach(context, args, async (key) => {
      await client.status({
        method: "POST",
        path: containerPath(key, "stop"),
        query: { signal: flags.signal, t: flags.timeout },
      });
      return key;
    });
  },
});
