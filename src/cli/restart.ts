import { command } from "./command.ts";
import { containerPath, forEach } from "./engine-call.ts";
import { stopFlags } from "./stop-flags.ts";

export const restart = command({
  name: "restart",
  summary: "Restart one or more containers",
  args: "CONTAINER [CONTAINER...]",
  arity: [1, Number.POSITIVE_INFINITY],
  flags: stopFlags,
  async run(context) {
    const { client, args, flags } = context;
    return await forEach(context, args, async (key) => {
      await client.status({
        method: "POST",
        path: containerPath(key, "restart"),
        query: { signal: flags.signal, t: flags.timeout },
      });
      return key;
    });
  },
});
